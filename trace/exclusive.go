// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"cmp"
	"slices"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// assignExclusive gives each moment until the start ended to the shortest span that is open then, so that the figures add up to
// the time that is covered at all. Depth would not do: pod_ready and startup are siblings that tell the same time, the
// second in parts.
func (t *Trace) assignExclusive() {
	type edge struct {
		at    time.Time
		node  *Node
		opens bool
	}
	var edges []edge
	order := map[*Node]int{} // parents first
	over := t.Start.Add(t.Took())
	t.Walk(func(n *Node) {
		order[n] = len(order)
		if !n.Missing && !n.Group && n.Duration() > 0 && n.Start.Before(over) {
			edges = append(edges, edge{n.Start, n, true}, edge{startup.Earlier(n.End, over), n, false})
		}
	})
	slices.SortStableFunc(edges, func(a, b edge) int { return a.at.Compare(b.at) })

	var open []*Node // the shortest last, as what is inside another is
	for i, e := range edges {
		if i > 0 && len(open) > 0 {
			open[len(open)-1].Exclusive += e.at.Sub(edges[i-1].at)
		}
		at, _ := slices.BinarySearchFunc(open, e.node, func(a, b *Node) int {
			return cmp.Or(cmp.Compare(b.Duration(), a.Duration()), cmp.Compare(order[a], order[b])) // of equals the inner one
		})
		if e.opens {
			open = slices.Insert(open, at, e.node)
		} else {
			open = slices.Delete(open, at, at+1)
		}
	}
}

// Phases are the spans that explain time of their own, the one that explains most first. Those that hold the whole
// start together, or an attempt, explain none.
func (t *Trace) Phases() []*Node {
	var phases []*Node
	t.Walk(func(n *Node) {
		if n.Exclusive > 0 && !t.holds(n) {
			phases = append(phases, n)
		}
	})
	slices.SortStableFunc(phases, func(a, b *Node) int { return cmp.Compare(b.Exclusive, a.Exclusive) })
	return phases
}

// Uncovered is the time until the start ended that no phase explains.
func (t *Trace) Uncovered() time.Duration {
	uncovered := t.Took()
	if t.group != nil {
		uncovered = t.group.first.Took() // the others have phases of their own
	}
	for _, n := range t.Phases() {
		uncovered -= n.Exclusive
	}
	return uncovered
}

func (t *Trace) holds(n *Node) bool {
	return n.Group || len(n.Children) > 0 && (n.Name == startup.SpanStartup || slices.Contains(t.Roots, n))
}

// Took is how long it was until the start ended, or until now.
func (t *Trace) Took() time.Duration { return t.took(t.Outcome()) }

// took is how long it was to the outcome. A wrapper may have gone on watching a pod that was ready.
func (t *Trace) took(o Outcome) time.Duration {
	if t.group != nil && !t.group.End.IsZero() {
		return t.group.End.Sub(t.Start)
	}
	root := t.root()
	if o.Failed() || o.InProgress() || root.Name != startup.SpanPodStartup {
		return t.Total()
	}
	end := root.End
	if root.Missing || root.Open {
		end = t.Start
	}
	for _, a := range t.attempts {
		for _, n := range a.nodes {
			if !a.failed && !n.Failed && n.End.After(end) {
				end = n.End
			}
		}
	}
	return end.Sub(t.Start)
}
