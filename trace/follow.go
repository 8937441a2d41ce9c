// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"slices"
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

// Now is what a start is at, for how long, and when it is likely ready, by others of its kind: "torch_compile 31.0 s, usually
// 26.0 s; ready in about 40.0 s". Empty where it is over.
func (t *Trace) Now(others []*Trace, now time.Time) string {
	if !t.Outcome().InProgress() {
		return ""
	}
	text := ""
	for _, n := range t.Open() {
		if !n.hasOpen() { // of several the one that began last
			text = joinedBy(", usually ", n.Label()+" "+seconds(now.Sub(n.Start)), Usual(others, n.Name))
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
		if its := o.ended(last.Name); len(its) > 0 {
			all = append(all, o.root().End.Sub(its[0].End))
		}
	}
	if len(all) == 0 {
		return ""
	}
	return seconds(max(0, startup.Median(all)-now.Sub(last.End)))
}

// ended are the phases of a name that ended well, of a start that succeeded.
func (t *Trace) ended(name string) []*Node {
	if o := t.Outcome(); o.Failed() || o.InProgress() {
		return nil
	}
	return t.those(func(n *Node) bool { return n.Name == name && !n.Open && !n.Failed })
}

// lastEnded is the phase that ended last; nil if there is none.
func (t *Trace) lastEnded() *Node {
	ended := t.Ended()
	if len(ended) == 0 {
		return nil
	}
	return slices.MaxFunc(ended, func(a, b *Node) int { return a.End.Compare(b.End) })
}

// Usual is how long a phase usually takes in starts, their median; empty: none of them that succeeded has it.
func Usual(traces []*Trace, name string) string {
	var all []time.Duration
	for _, t := range traces {
		for _, n := range t.ended(name) {
			all = append(all, n.Duration())
		}
	}
	if len(all) == 0 {
		return ""
	}
	return seconds(startup.Median(all))
}
