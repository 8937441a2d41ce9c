// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"cmp"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/coldtrace/coldtrace/startup"
)

// DefaultTimeout is after how long a start is given up. It includes the wait for a node, which for GPUs may be long.
const DefaultTimeout = 2 * time.Hour

// Span is a span of a start. While it is open its End is the time of the call.
type Span struct {
	startup.Span
	Open bool
	// Exact tells that no event which is yet to come could make its edges more precise.
	Exact bool
	// Witnessed tells that an edge is from the observer's own clock, see Witness.
	Witnessed bool
	// Cut tells that the phase did not fail: the pod's deletion ended it.
	Cut bool
}

// Finished are the spans that have ended, as they are exported.
func Finished(spans []Span) []startup.Span {
	var out []startup.Span
	for i := range spans {
		if !spans[i].Open {
			out = append(out, spans[i].Span)
		}
	}
	return out
}

// Timeline is one start.
type Timeline struct {
	Outcome Outcome // Open while it goes on
	Phase   string  // the name of the span that is going on, empty once the start has ended
	Spans   []Span  // the root first, then by start
}

// Skew is what a timeline adds to times of the node's clock, as its root says. Without a root it is 0.
func Skew(spans []Span) time.Duration {
	if len(spans) == 0 {
		return 0
	}
	return time.Duration(spans[0].Get(startup.AttrClockSkewSeconds).AsFloat64() * float64(time.Second))
}

// Build tells the start as far as the facts go. A start that is not over timeout after the pod's creation is over then;
// 0 is DefaultTimeout. Before the pod itself is known there are no spans.
func (f *Facts) Build(now time.Time, timeout time.Duration) Timeline {
	if f.created == 0 {
		return Timeline{}
	}
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	b := builder{f: f, now: max(nanos(now.UnixNano()), f.created), scheduled: f.scheduledAt()}
	b.end = f.ending(b.now, nanos(timeout))
	b.offset = b.behind()
	b.now = max(b.now, b.f.latest()+b.offset) // other clocks may be ahead of ours
	b.runs = make([][]run, len(f.containers))
	for i := range f.containers {
		b.runs[i] = b.runsOf(i)
	}
	b.moveEnd()
	b.pending()
	b.sandbox()
	for i := range f.containers {
		b.container(i)
	}
	for i := range f.volumes {
		b.imageVolume(i)
	}
	b.readiness()
	return b.finish()
}

// builder is the work of one Build.
type builder struct {
	f         *Facts
	now       nanos
	end       ending
	offset    nanos // to add to times of the node's clock
	scheduled edge
	inside    edge // the first thing that happened in the sandbox
	runs      [][]run
	spans     []Span
	phase     string
	blocked   startup.Reason // why the kubelet could not go on with a phase that was open when the start ended
	blockedBy causes
}

// skewTolerance is more than the rounding of status explains.
const skewTolerance = second + second/2

// behind is by how much the node's clock is behind that of the control plane: nothing happens on a node before the pod
// was scheduled there. All times of the node are moved by as much, which leaves durations what they were.
func (b *builder) behind() nanos {
	if !b.scheduled.known() {
		return 0
	}
	var first nanos
	first.earliest(b.f.sandbox)
	for i := range b.f.events {
		if e := &b.f.events[i]; slices.Contains(onNode, e.kind) {
			first.earliest(e.first)
		}
	}
	for i := range b.f.containers {
		for _, a := range b.f.containers[i].attempts {
			first.earliest(a.started)
			first.earliest(a.finished)
		}
	}
	if d := b.scheduled.at - first; first != 0 && d > skewTolerance {
		return d
	}
	return 0
}

// latest is the last time of anything known.
func (f *Facts) latest() nanos {
	last := max(f.created, f.scheduled, f.sandbox, f.initialized, f.ungated)
	for i := range f.events {
		last = max(last, f.events[i].first, f.events[i].last)
	}
	for i := range f.containers {
		for _, a := range f.containers[i].attempts {
			last = max(last, a.started, a.finished)
		}
	}
	return last
}

// onNode are the kinds of events that have the time of the node's clock.
var onNode = []kind{kindPulling, kindPulled, kindCached, kindCreated, kindStarted, kindPullFailed, kindSandboxFailed}

// node is an edge by the node's clock.
func (b *builder) node(e edge) edge {
	if e.known() {
		e.at += b.offset
	}
	return e
}

func (f *Facts) scheduledAt() edge {
	for i := range f.events {
		if e := &f.events[i]; e.kind == kindScheduled {
			return edge{e.first, e.source}
		}
	}
	return status(f.scheduled)
}

// moveEnd moves the end to the last thing known to have happened before it. Times of status lost up to a second, so
// that what ended the start seems to lie before what happened just then. What made the pod ready is the wrapper's to
// know, not ours: there the whole second is given back, or its spans, whose times lost nothing, would end outside of
// the root. When we first saw the pod ready would be closer, but another leader would see it at another time.
func (b *builder) moveEnd() {
	switch b.end.outcome {
	case Open, TimedOut:
		return
	case Ready, Completed, Failed:
		if b.end.by == byLog {
			return // to the nanosecond, and by the clock of whoever read it
		}
		b.end.at += b.offset
	}
	whole := b.end.at
	if b.end.outcome == Ready {
		b.end.at += second - 1
	}
	consider := func(at nanos) {
		if at < whole+second {
			b.end.at = max(b.end.at, at)
		}
	}
	consider(b.scheduled.at)
	for i := range b.f.events {
		if e := &b.f.events[i]; e.kind == kindStarted {
			consider(e.first + b.offset)
		}
	}
	for _, runs := range b.runs {
		for _, r := range runs {
			consider(r.started.at)
			consider(r.finished.at)
		}
	}
}

// finish adds the root and orders the spans.
func (b *builder) finish() Timeline {
	root := Span{Exact: b.startsExact(), Open: b.end.outcome == Open, Witnessed: b.end.witnessed}
	end := b.end.at
	if root.Open {
		end = b.now
	}
	for i := range b.spans {
		s := &b.spans[i]
		root.Exact = root.Exact && s.Exact
	}
	root.Name, root.Key = startup.SpanPodStartup, startup.Key(startup.SpanPodStartup, "", 1)
	root.Start, root.End = b.f.created.time(), max(end, b.f.created).time()
	root.Attributes = timeAttributes(byStatus, b.end.by)
	b.runsOnRoot(&root)
	outcome := b.verdict(&root)
	root.Cut = outcome == Deleted
	if b.offset > 0 {
		root.Attributes = append(root.Attributes, attribute.Float64(startup.AttrClockSkewSeconds, b.offset.seconds()))
	}
	slices.SortStableFunc(b.spans, func(x, y Span) int {
		return cmp.Or(x.Start.Compare(y.Start), y.End.Compare(x.End), cmp.Compare(x.Key, y.Key))
	})
	t := Timeline{Outcome: outcome, Spans: append([]Span{root}, b.spans...)}
	if root.Open {
		t.Phase = b.phase
	}
	return t
}

// startsExact tells whether the first start of each container is known from its event. The end of a start moves by
// them.
func (b *builder) startsExact() bool {
	for _, runs := range b.runs {
		if len(runs) == 0 || !runs[0].started.known() || runs[0].started.src == byStatus {
			return false
		}
	}
	return true
}

// runsOnRoot tells on the root how often containers ran, and of each the last run that ended badly: that is what status
// has, whoever looks and since when. Of the others their own spans tell.
func (b *builder) runsOnRoot(root *Span) {
	restarts := 0
	for i := range b.runs {
		last, failed := b.lastRuns(i)
		if failed != nil {
			root.Events = append(root.Events, startup.Event{
				Name: startup.EventContainerEnded,
				Time: max(failed.finished.at, b.f.created).time(),
				Attributes: []attribute.KeyValue{
					attribute.String(startup.AttrContainerName, b.f.containers[i].name),
					attribute.Int(startup.AttrAttempt, failed.number),
					attribute.String(startup.AttrReason, string(failed.failure)),
					attribute.Int(startup.AttrExitCode, failed.exit),
				},
			})
		}
		if last == nil {
			continue
		}
		restarts += last.number - 1
		root.Exact = root.Exact && (!last.known || last.image.there.known())
	}
	if restarts > 0 {
		root.Attributes = append(root.Attributes, attribute.Int(startup.AttrRestarts, restarts))
	}
}

// lastRuns are the last run of a container that is one of the start, and the last that failed within it; nil if there is
// none.
func (b *builder) lastRuns(i int) (last, failed *run) {
	for n := range b.runs[i] {
		r := &b.runs[i][n]
		if b.end.outcome != Open && r.started.at > b.end.at {
			break
		}
		if last = r; r.failure != "" && b.within(i, n) {
			failed = r
		}
	}
	return last, failed
}

// within says whether run n of a container ended as a part of the start. What ends in the second in which the pod is
// deleted is ended by that. Of a pod that is ready only those runs did that another one followed by then: the last was ready,
// however soon it ended. The kubelet may say so a moment after a run that nothing probes has ended, and whoever looked in between
// has told that it was ready.
func (b *builder) within(i, n int) bool {
	runs := b.runs[i]
	r := &runs[n]
	switch b.end.outcome {
	case Open:
		return r.ended
	case Deleted:
		return r.ended && r.finished.at < b.end.asked
	case Ready:
		followed := n+1 < len(runs) && runs[n+1].started.at <= b.end.at
		return r.ended && followed && r.finished.at <= b.end.at
	}
	return r.ended && r.finished.at <= b.end.at
}
