// SPDX-License-Identifier: Apache-2.0

package advice

import (
	"cmp"
	"slices"
	"time"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/trace"
)

// Lengths are how long some spans of a start would have been.
type Lengths map[*trace.Node]time.Duration

// Saved is by how much a start would have ended sooner. What follows on a phase, within the same parent, begins as much
// sooner as all that it waited for ends; a parent ends as much sooner as the last of its children.
func Saved(t *trace.Trace, lengths Lengths) time.Duration {
	r := replay{lengths: lengths}
	end, sooner := r.place(t.Roots, t.Start, t.Start)
	return max(0, end.Sub(sooner))
}

type replay struct{ lengths Lengths }

type placed struct {
	*trace.Node
	end time.Time // now
}

// place moves siblings, whose parent began at old and now begins at begin, and says when the last of them ended and ends
// now.
func (r *replay) place(nodes []*trace.Node, old, begin time.Time) (end, sooner time.Time) {
	nodes, covered := cover(nodes)
	end, sooner = old, begin
	var before []placed
	for _, n := range nodes {
		p := placed{n, r.move(n, covered[n], starts(n, before, old, begin))}
		before = append(before, p)
		end, sooner = later(end, n.End), later(sooner, p.end)
	}
	return end, sooner
}

// starts is when n begins now: as long as before after the last of what it waited for.
func starts(n *trace.Node, before []placed, old, begin time.Time) time.Time {
	var was, is time.Time
	for _, p := range before {
		if p.Start.Before(n.Start) && !p.End.After(n.Start.Add(tolerance(p.Node, n))) {
			was, is = later(was, p.End), later(is, p.end)
		}
	}
	if was.IsZero() {
		was, is = old, begin
	}
	return is.Add(n.Start.Sub(was))
}

// move is when n ends now that it begins at begin.
func (r *replay) move(n *trace.Node, covers []*trace.Node, begin time.Time) time.Time {
	if length, ok := r.lengths[n]; ok {
		return begin.Add(min(length, n.Duration()))
	}
	inside := append(slices.Clone(n.Children), covers...)
	slices.SortStableFunc(inside, func(a, b *trace.Node) int { return a.Start.Compare(b.Start) })
	end, sooner := r.place(inside, n.Start, begin)
	if n.Waited() { // the other pod comes no sooner
		return later(begin, n.End)
	}
	return later(begin, sooner.Add(n.End.Sub(end))) // what it does after the last of them takes as long as it did
}

// cover takes siblings apart that tell the same time: pod_ready lasts until the server answers, which its sibling startup
// tells in parts. An engine's own spans tell again what its log has told.
func cover(nodes []*trace.Node) (rest []*trace.Node, covered map[*trace.Node][]*trace.Node) {
	covered = map[*trace.Node][]*trace.Node{}
	for _, n := range nodes {
		switch {
		case n.Name == startup.SpanStartup:
			if ready := covering(nodes, n); ready != nil {
				covered[ready] = append(covered[ready], n)
				continue
			}
		case !ours(n) && slices.ContainsFunc(nodes, func(o *trace.Node) bool { return ours(o) && o.Start.Before(n.End) && n.Start.Before(o.End) }):
			continue
		}
		rest = append(rest, n)
	}
	slices.SortStableFunc(rest, func(a, b *trace.Node) int { return cmp.Or(a.Start.Compare(b.Start), a.End.Compare(b.End)) })
	return rest, covered
}

func covering(nodes []*trace.Node, n *trace.Node) *trace.Node {
	for _, o := range nodes {
		if slack := tolerance(o, n); o.Name == startup.SpanPodReady && !n.Start.Before(o.Start.Add(-slack)) && !n.End.After(o.End.Add(slack)) {
			return o
		}
	}
	return nil
}

// ours says whether the watcher or the wrapper told the span, or it was made of theirs.
func ours(n *trace.Node) bool {
	service := n.Get("service.name")
	return service == nil || service == startup.ServiceWatcher || service == startup.ServiceWrapper
}

// tolerance is by how much two edges may be apart that are the same.
func tolerance(a, b *trace.Node) time.Duration {
	const least = 50 * time.Millisecond
	slack := least
	for _, n := range []*trace.Node{a, b} {
		if s, ok := n.Get(startup.AttrTimePrecision).(float64); ok {
			slack = max(slack, time.Duration(s*float64(time.Second)))
		}
	}
	return slack
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
