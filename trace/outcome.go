// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"cmp"
	"strings"

	"github.com/coldtrace/coldtrace/startup"
)

// Outcome is how a start went, as far as its spans tell.
type Outcome struct {
	Failed     bool
	InProgress bool
	Reason     string // of a failure
}

func (o Outcome) String() string {
	switch {
	case o.Failed:
		return "failed: " + o.Reason
	case o.InProgress:
		return "in progress"
	}
	return "ready"
}

func (o Outcome) style() style {
	switch {
	case o.Failed:
		return red
	case o.InProgress:
		return yellow
	}
	return plain
}

// Outcome of the trace: that of its root. A start whose root is missing is in progress, unless its last attempt in the
// container has failed.
func (t *Trace) Outcome() Outcome {
	var root, attempt *Node
	for _, n := range t.Roots {
		if n.Name == startup.SpanPodStartup && (root == nil || !n.Missing) {
			root = n
		}
	}
	if root == nil && len(t.Roots) > 0 {
		root = t.Roots[0]
	}
	if root == nil {
		return Outcome{InProgress: true}
	}
	if root.Open {
		return Outcome{InProgress: true}
	}
	if !root.Missing {
		return Outcome{Failed: root.Failed, Reason: root.Reason()}
	}
	t.Walk(func(n *Node) {
		if n.Name == startup.SpanStartup && !n.Missing {
			attempt = n
		}
	})
	if attempt != nil && attempt.Failed {
		return Outcome{Failed: true, Reason: attempt.Reason()}
	}
	return Outcome{InProgress: true}
}

// Facts are what the header says of a trace; unknown ones are empty.
type Facts struct {
	Endpoint, Model, GPU, Engine, Pod, Namespace, Node, Image, Region, Cluster string
}

// Facts of the trace: the first value that any of its spans has.
func (t *Trace) Facts() Facts {
	f := Facts{
		Endpoint:  t.first(startup.AttrEndpointName),
		Model:     t.first(startup.AttrModelName),
		GPU:       t.first(startup.AttrGPUType),
		Engine:    strings.TrimSpace(t.first(startup.AttrEngine) + " " + t.first(startup.AttrEngineVersion)),
		Pod:       t.first(attrPodName),
		Namespace: t.first(attrPodNamespace, startup.AttrNamespace),
		Node:      t.first("k8s.node.name", startup.AttrNodeName),
		Image:     t.first(startup.AttrImageTag),
		Region:    t.first(startup.AttrRegion),
		Cluster:   t.first("k8s.cluster.name"),
	}
	if n := t.first(startup.AttrNumGPUs); n != "" {
		f.GPU = n + " × " + cmp.Or(f.GPU, "GPU")
	}
	return f
}
