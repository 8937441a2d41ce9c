// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"cmp"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// Trace is the spans of one trace id as a tree.
type Trace struct {
	ID         string
	Roots      []*Node
	Spans      int
	Start, End time.Time
	// Conflicts counts spans that came more than once with different content; the one that ended last is drawn.
	Conflicts int

	attempts []*attempt // of the container, by number
	group    *several   // that is drawn; nil: one pod
}

// Node is a span with its children, by start.
type Node struct {
	*Span
	Children []*Node
	// Missing marks a made-up root in place of a parent that nobody exported (yet). Its Span has the name, where that
	// can be told, and the extent of its children.
	Missing bool
	// Group marks a made-up node over the spans of one attempt.
	Group bool
	// Member marks a made-up node that stands for the start of another pod of the group.
	Member bool
	// Exclusive is the part of the trace's time in which this span is the shortest one open: what it alone explains.
	Exclusive time.Duration

	waitedFor string // which pod of the group, in words
	last      bool   // the pod that the others waited for

	attempt int  // that it belongs to, where there are several; 0 else
	quiet   bool // it failed, and another span says better why
}

// Total is the time from the first start to the last end.
func (t *Trace) Total() time.Duration { return t.End.Sub(t.Start) }

// Walk visits the tree, parents first.
func (t *Trace) Walk(visit func(n *Node)) {
	var walk func(nodes []*Node)
	walk = func(nodes []*Node) {
		for _, n := range nodes {
			visit(n)
			walk(n.Children)
		}
	}
	walk(t.Roots)
}

// Build sorts spans into traces, the newest first.
func Build(spans []*Span) (traces []*Trace) {
	byTrace := map[string][]*Span{}
	for _, s := range spans {
		byTrace[s.TraceID] = append(byTrace[s.TraceID], s)
	}
	ids := slices.Collect(maps.Keys(byTrace))
	traces = make([]*Trace, len(ids))
	Each(len(ids), func(i int) { traces[i] = build(ids[i], byTrace[ids[i]]) })
	slices.SortFunc(traces, func(a, b *Trace) int { return cmp.Or(b.Start.Compare(a.Start), cmp.Compare(a.ID, b.ID)) })
	return traces
}

// Each does something for each number below n, on all processors at once.
func Each(n int, do func(i int)) {
	var (
		next atomic.Int64
		busy sync.WaitGroup
	)
	for range min(n, runtime.GOMAXPROCS(0)) {
		busy.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	busy.Wait()
}

func build(id string, spans []*Span) *Trace {
	t := &Trace{ID: id}
	nodes := map[string]*Node{}
	var order []*Node
	for _, s := range withOpen(spans) {
		n, seen := nodes[s.ID]
		switch {
		case !seen:
			n = &Node{Span: s}
			nodes[s.ID] = n
			order = append(order, n)
		case !reflect.DeepEqual(n.Span, s):
			t.Conflicts++
			if s.End.After(n.End) {
				n.Span = s
			}
		}
	}
	slices.SortStableFunc(order, earlier)
	t.Spans = len(order)
	t.attach(order, nodes)
	for i, n := range order {
		if i == 0 || n.Start.Before(t.Start) {
			t.Start = n.Start
		}
		if i == 0 || n.End.After(t.End) {
			t.End = n.End
		}
	}
	t.coverServing()
	t.findAttempts()
	t.findReadinessWait()
	t.groupAttempts()
	t.silence()
	t.assignExclusive()
	return t
}

// attach hangs every node under its parent, or under a root that stands for the missing one. A span that is its own
// ancestor loses its parent.
func (t *Trace) attach(order []*Node, nodes map[string]*Node) {
	missing, firsts := map[string]*Node{}, firstsOfCycles(order, nodes)
	for _, n := range order {
		parent := nodes[n.ParentID]
		switch {
		case n.ParentID == "":
			t.Roots = append(t.Roots, n)
		case parent == nil:
			stand := missing[n.ParentID]
			if stand == nil {
				stand = standIn(n.Span)
				missing[n.ParentID] = stand
				t.Roots = append(t.Roots, stand)
			}
			stand.Children = append(stand.Children, n)
			if n.End.After(stand.End) {
				stand.End = n.End
			}
		case firsts[n]:
			stand := standIn(n.Span)
			stand.Children = []*Node{n}
			t.Roots = append(t.Roots, stand)
		default:
			parent.Children = append(parent.Children, n)
		}
	}
	slices.SortStableFunc(t.Roots, earlier)
}

// firstsOfCycles are the spans, one of each cycle of parents and the earliest of it, that give up their parent.
func firstsOfCycles(order []*Node, nodes map[string]*Node) map[*Node]bool {
	firsts := map[*Node]bool{}
	seen := map[*Node]*Node{} // and from where
	for _, from := range order {
		at := from
		for at != nil && seen[at] == nil {
			seen[at] = from
			at = nodes[at.ParentID]
		}
		if at == nil || seen[at] != from {
			continue // a root's, or what was looked at before
		}
		first := at
		for n := nodes[at.ParentID]; n != at; n = nodes[n.ParentID] {
			if earlier(n, first) < 0 {
				first = n
			}
		}
		firsts[first] = true
	}
	return firsts
}

// standIn is the root in place of child's missing parent. Where the ids follow from the pod's UID, it has a name.
func standIn(child *Span) *Node {
	name := "(parent missing)"
	if uid := child.attribute(startup.ResourcePodUID); uid != "" {
		for _, hash := range []startup.Hash{startup.MD5, startup.SHA256} {
			for _, known := range []string{startup.SpanPodStartup, startup.SpanStartup, startup.SpanVLLMInit} {
				for attempt := range 10 {
					if hash.SpanID(uid, startup.Key(known, "", attempt+1)).String() == child.ParentID {
						name = known
					}
				}
			}
		}
	}
	return &Node{Missing: true, Span: &Span{
		TraceID: child.TraceID, ID: child.ParentID, Name: name, Start: child.Start, End: child.End, Resource: child.Resource,
	}}
}

func earlier(a, b *Node) int {
	return cmp.Or(
		a.Start.Compare(b.Start),
		b.End.Compare(a.End), // the longer first: it is likely to contain the other
		cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.ID, b.ID))
}
