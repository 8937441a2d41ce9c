// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/startup"
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

// Now is what a start is at, for how long, and when it is likely ready, by others of its kind: "torch_compile 31.0 s, usually
// 26.0 s; ready in about 40.0 s". Empty where it is over.
func (t *Trace) Now(others []*Trace, now time.Time) string {
	if !t.Outcome().InProgress() {
		return ""
	}
	text := ""
	for _, n := range t.Open() {
		if !n.hasOpen() { // of several the one that began last
			text = joinedBy(", usually ", n.label()+" "+seconds(now.Sub(n.Start)), Usual(others, n.Name))
		}
	}
	return strings.TrimPrefix(joinedBy("; ", text, prefixed("ready in about ", t.left(others, now))), "; ")
}

// left is the median of what others still had before them when they had come as far; empty: there are none.
func (t *Trace) left(others []*Trace, now time.Time) string {
	last := t.lastEnded()
	if last == nil {
		return ""
	}
	var all []time.Duration
	for _, o := range others {
		if out := o.Outcome(); out.Failed() || out.InProgress() {
			continue
		}
		for _, n := range o.those(func(n *Node) bool { return n.Name == last.Name && !n.Open && !n.Failed }) {
			all = append(all, o.root().End.Sub(n.End))
			break
		}
	}
	if len(all) == 0 {
		return ""
	}
	return seconds(max(0, startup.Median(all)-now.Sub(last.End)))
}

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
	return seconds(startup.Median(all))
}
