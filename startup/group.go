// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"encoding/json"

	"go.opentelemetry.io/otel/attribute"
)

// Group is which of several pods that start as one a pod is: those of an endpoint that spans nodes. Of one that starts alone
// it is zero.
type Group struct {
	// Key names the group within its namespace: KIND/NAME, with an index where there are several: lws/llama/0, ray/llama-x2x7k.
	Key string `json:"key,omitempty"`
	// Generation tells one making of the group from the next: the UID of the object that owns the pod, with its revision where it
	// has some. A LeaderWorkerSet's leader is the owner of its workers' StatefulSet, so for itself it is the pod's own.
	Generation string `json:"generation,omitempty"`
	// Part is what of the group has that owner, where not all of it does: leader, worker, a clique's name.
	Part  string    `json:"part,omitempty"`
	Size  int       `json:"size,omitempty"`  // in pods; 0: unknown
	Index *int      `json:"index,omitempty"` // within the part; nil: it has none
	Role  GroupRole `json:"role,omitempty"`
	// StatefulSet and Job are the pod's controller, if it is one.
	StatefulSet string `json:"statefulSet,omitempty"`
	Job         string `json:"job,omitempty"`
}

// GroupRole is what a pod is among those of its group.
type GroupRole string

// Roles in a group. The leader answers for the group, or coordinates it. The group is ready when its leader and all other servers are.
const (
	GroupLeader GroupRole = "leader"
	GroupServer GroupRole = "server"
	GroupWorker GroupRole = "worker"
)

// Is tells whether there is a group.
func (g Group) Is() bool { return g.Key != "" }

// Leads tells whether the pod is the owner of the rest, so that it came before it.
func (g Group) Leads(podUID string) bool { return g.Role == GroupLeader && g.Generation == podUID }

// attributes are those of every span of a pod of the group.
func (g Group) attributes() []attribute.KeyValue {
	if !g.Is() {
		return nil
	}
	var out []attribute.KeyValue
	for _, a := range []struct{ key, value string }{
		{AttrGroupKey, g.Key}, {AttrGroupGeneration, g.Generation}, {AttrGroupPart, g.Part}, {AttrGroupRole, string(g.Role)},
	} {
		if a.value != "" {
			out = append(out, attribute.String(a.key, a.value))
		}
	}
	if g.Size > 0 {
		out = append(out, attribute.Int(AttrGroupSize, g.Size))
	}
	if g.Index != nil {
		out = append(out, attribute.Int(AttrGroupIndex, *g.Index))
	}
	return out
}

// Text is the group as EnvGroup has it; empty if there is none.
func (g Group) Text() string {
	if !g.Is() {
		return ""
	}
	text, err := json.Marshal(g)
	if err != nil {
		panic(err) // impossible: it has strings and numbers alone
	}
	return string(text)
}

// GroupOf reads EnvGroup, in a pod with the UID. What is no group is none.
func GroupOf(text, podUID string) Group {
	var g Group
	if text == "" || json.Unmarshal([]byte(text), &g) != nil {
		return Group{}
	}
	if g.Generation == "" && g.Role == GroupLeader && g.Part != "" { // admission did not know the UID yet
		g.Generation = podUID
	}
	return g
}
