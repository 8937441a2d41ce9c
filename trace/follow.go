// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"slices"
	"time"
)

// Open are the phases that go on.
func (t *Trace) Open() []*Node { return t.those(func(n *Node) bool { return n.Open && !n.Group }) }

// Ended are the phases that have ended.
func (t *Trace) Ended() []*Node {
	return t.those(func(n *Node) bool { return !n.Open && !n.Group && !n.Missing })
}

func (t *Trace) those(are func(*Node) bool) (out []*Node) {
	t.Walk(func(n *Node) {
		if are(n) {
			out = append(out, n)
		}
	})
	return out
}

// Label is a phase's name with what tells it from its like.
func (n *Node) Label() string { return n.label() }

// Took is how long a phase took, as a person reads it.
func (n *Node) Took() string { return seconds(n.Duration()) }

// Usual is how long a phase usually takes in starts, their median; empty: none of them that succeeded has it.
func Usual(traces []*Trace, name string) string {
	var all []time.Duration
	for _, t := range traces {
		if o := t.Outcome(); o.Failed() || o.InProgress() {
			continue
		}
		for _, n := range t.those(func(n *Node) bool { return n.Name == name && !n.Open && !n.Failed }) {
			all = append(all, n.Duration())
		}
	}
	if len(all) == 0 {
		return ""
	}
	slices.Sort(all)
	return seconds(all[len(all)/2])
}
