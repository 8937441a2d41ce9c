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

// replay is a start as it is replayed: what is in each phase, in the order of their starts; in nil, the roots.
type replay struct {
	start   *trace.Trace
	inside  map[*trace.Node][]*trace.Node
	lengths Lengths
}

func newReplay(t *trace.Trace) *replay {
	r := &replay{start: t, inside: map[*trace.Node][]*trace.Node{}}
	r.arrange(nil, t.Roots)
	return r
}

func (r *replay) arrange(parent *trace.Node, nodes []*trace.Node) {
	rest, covered := cover(nodes)
	r.inside[parent] = rest
	for _, n := range rest {
		r.arrange(n, slices.Concat(n.Children, covered[n]))
	}
}

// saved is by how much the start would have ended sooner. What follows on a phase, within the same parent, begins as much
// sooner as all that it waited for ends; a parent ends as much sooner as the last of its children.
func (r *replay) saved(lengths Lengths) time.Duration {
	if len(lengths) == 0 {
		return 0
	}
	r.lengths = lengths
	end, sooner := r.place(nil, r.start.Start, r.start.Start)
	return max(0, end.Sub(sooner))
}

type placed struct {
	*trace.Node
	end time.Time // now
}

// place moves what is in a parent that began at old and now begins at begin, and says when the last of them ended and ends
// now.
func (r *replay) place(parent *trace.Node, old, begin time.Time) (end, sooner time.Time) {
	end, sooner = old, begin
	before := make([]placed, 0, len(r.inside[parent]))
	for _, n := range r.inside[parent] {
		p := placed{n, r.move(n, starts(n, before, old, begin))}
		before = append(before, p)
		end, sooner = startup.Later(end, n.End), startup.Later(sooner, p.end)
	}
	return end, sooner
}

// starts is when n begins now: as long as before after the last of what it waited for.
func starts(n *trace.Node, before []placed, old, begin time.Time) time.Time {
	var was, is time.Time
	for _, p := range before {
		if p.Start.Before(n.Start) && !p.End.After(n.Start.Add(tolerance(p.Node, n))) {
			was, is = startup.Later(was, p.End), startup.Later(is, p.end)
		}
	}
	if was.IsZero() {
		was, is = old, begin
	}
	return is.Add(n.Start.Sub(was))
}

// move is when n ends now that it begins at begin.
func (r *replay) move(n *trace.Node, begin time.Time) time.Time {
	if length, ok := r.lengths[n]; ok {
		return begin.Add(min(length, n.Duration()))
	}
	end, sooner := r.place(n, n.Start, begin)
	if n.Waited() { // the other pod comes no sooner
		return startup.Later(begin, n.End)
	}
	return startup.Later(begin, sooner.Add(n.End.Sub(end))) // what it does after the last of them takes as long as it did
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

// covering is the pod_ready that most of startup lies in: the clocks that told the two may differ.
func covering(nodes []*trace.Node, n *trace.Node) *trace.Node {
	for _, o := range nodes {
		if o.Name == startup.SpanPodReady && 2*common(o, n) > n.Duration() {
			return o
		}
	}
	return nil
}

// common is for how long both were under way.
func common(a, b *trace.Node) time.Duration {
	return startup.Earlier(a.End, b.End).Sub(startup.Later(a.Start, b.Start))
}

// ours says whether the watcher or the wrapper told the span, or it was made of theirs.
func ours(n *trace.Node) bool {
	service := n.Get(startup.ResourceService)
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
