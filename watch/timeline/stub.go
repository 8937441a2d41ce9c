// SPDX-License-Identifier: Apache-2.0

package timeline

import "time"

// Stub is as much of Facts as is needed to tell a start to its end when the pod itself has gone in the meantime. The
// events that are still there fill in the rest.
type Stub struct {
	Namespace  string   `json:"ns"`
	Name       string   `json:"name"`
	UID        string   `json:"uid"`
	Node       string   `json:"node,omitempty"`
	Target     string   `json:"target,omitempty"`
	Created    int64    `json:"created"`             // unix nanoseconds
	Scheduled  int64    `json:"scheduled,omitempty"` // likewise
	Gated      bool     `json:"gated,omitempty"`
	Ungated    int64    `json:"ungated,omitempty"`
	Containers []string `json:"containers,omitempty"` // in the order of the spec
	Roles      []uint8  `json:"roles,omitempty"`      // of Containers
}

// Stub is what is kept of the facts across a restart.
func (f *Facts) Stub() Stub {
	s := Stub{
		Namespace: f.Namespace, Name: f.Name, UID: f.UID, Node: f.Node, Target: f.Target,
		Created: int64(f.created), Scheduled: int64(f.scheduled), Gated: f.gated,
	}
	if f.gated {
		s.Ungated = int64(f.ungated)
	}
	for i := range f.containers {
		s.Containers = append(s.Containers, f.containers[i].name)
		s.Roles = append(s.Roles, uint8(f.containers[i].role))
	}
	return s
}

// FromStub are the facts of a stub.
func FromStub(s Stub) *Facts {
	f := &Facts{
		Namespace: s.Namespace, Name: s.Name, UID: s.UID, Node: s.Node, Target: s.Target,
		created: nanos(s.Created), scheduled: nanos(s.Scheduled), gated: s.Gated, ungated: nanos(s.Ungated),
	}
	for i, name := range s.Containers {
		c := container{name: intern(name)}
		if i < len(s.Roles) {
			c.role = role(s.Roles[i])
		}
		f.containers = append(f.containers, c)
	}
	return f
}

// Created is when the pod was created, zero if no version of it is known.
func (f *Facts) Created() time.Time {
	if f.created == 0 {
		return time.Time{}
	}
	return f.created.time()
}
