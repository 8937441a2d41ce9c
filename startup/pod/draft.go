// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"go.opentelemetry.io/otel/attribute"

	"github.com/coldtrace/coldtrace/startup"
)

// draft is a span before it is fitted into the start.
type draft struct {
	name, of   string
	parent     string // a key; empty: pod_startup
	attempt    int
	start, end edge
	exact      bool           // no event to come would tell the edges better
	witnessed  bool           // an edge is the observer's own
	failure    startup.Reason // how it ended
	unfinished startup.Reason // why, if the start ends before it does; empty: the start's own reason
	waits      startup.Reason // what the kubelet says it waits for, if it has not ended or did not end well
	causes     causes         // of failure, unfinished or waits
	holders    []string       // what holds it up, while it is open
	attrs      []attribute.KeyValue
	events     []startup.Event
}

// add fits a draft into the start. What has no begin, or began after the start was over, is no part of it.
func (b *builder) add(d draft) {
	over := b.end.outcome != Open
	if !d.start.known() || over && d.start.at > b.end.at+skewTolerance {
		return
	}
	s := Span{Exact: d.exact, Witnessed: d.witnessed}
	var skew nanos
	if over && d.end.at > b.end.at {
		if b.end.outcome == Ready {
			skew, d.end.at = d.end.at-b.end.at, b.end.at
		} else {
			d.end, d.failure, d.attrs, d.causes = edge{}, "", nil, 0 // the start ended first; what came later is none of it
		}
	}
	stopped := !d.end.known() // it goes on, or ended with the start
	switch {
	case stopped && over:
		b.endWithStart(&d, &s)
	case stopped:
		s.Open, s.Exact, d.end = true, false, status(b.now)
		b.phase = d.name
	}
	start, end := max(d.start.at, b.f.created), max(d.end.at, b.f.created)
	skew = max(skew, start-d.start.at, start-end)
	if over {
		start = min(start, b.end.at)
	}
	end = max(start, end)
	s.Name, s.Key, s.ParentKey = d.name, startup.Key(d.name, d.of, d.attempt), d.parent
	if s.ParentKey == "" {
		s.ParentKey = startup.Key(startup.SpanPodStartup, "", 1)
	}
	s.Start, s.End, s.Failure, s.Events = start.time(), end.time(), d.failure, d.events
	s.Attributes = d.attributes(stopped, s.Open)
	if b.offset > 0 && d.name != startup.SpanPodPending && d.parent == "" {
		skew = max(skew, b.offset)
	}
	if skew >= second && !s.Open { // less is the rounding of status
		s.Attributes = append(s.Attributes, attribute.Float64(startup.AttrClockSkewSeconds, skew.seconds()))
	}
	b.spans = append(b.spans, s)
}

// endWithStart ends what went on when the start ended.
func (b *builder) endWithStart(d *draft, s *Span) {
	d.end, s.Witnessed = status(b.end.at), s.Witnessed || b.end.witnessed
	s.Exact = b.end.outcome != Ready && (d.start.src < byStatus || d.name == startup.SpanPodPending) &&
		(d.name != startup.SpanImagePull || d.unfinished != "") // the event that says why may be on its way
	switch d.failure = d.unfinished; {
	case b.end.reason == "":
		d.failure = ""
	case d.unfinished == "":
		d.failure, s.Cut = b.end.reason, b.end.outcome == Deleted
	case d.name != startup.SpanRestartBackoff: // which follows a failure and is none
		b.blocked, b.blockedBy = d.failure, d.causes
	}
}

func (d *draft) attributes(stopped, open bool) []attribute.KeyValue {
	attrs := timeAttributes(d.start.src, d.end.src)
	if d.of != "" {
		attrs = append(attrs, attribute.String(startup.AttrContainerName, d.of))
	}
	if d.attempt > 1 {
		attrs = append(attrs, attribute.Int(startup.AttrAttempt, d.attempt))
	}
	attrs = append(attrs, d.attrs...)
	if stopped && d.waits != "" {
		attrs = append(attrs, attribute.String(startup.AttrWaitingReason, string(d.waits)))
	}
	if open && len(d.holders) > 0 {
		attrs = append(attrs, attribute.StringSlice(startup.AttrWaitingFor, d.holders))
	}
	if cause := d.causes.first(); cause != "" && (stopped || d.failure != "") {
		attrs = append(attrs, attribute.String(startup.AttrCause, cause))
	}
	return attrs
}

func timeAttributes(start, end source) []attribute.KeyValue {
	coarser := sources[max(start, end)]
	attrs := []attribute.KeyValue{
		attribute.String(startup.AttrTimeSource, string(coarser.name)),
		attribute.Float64(startup.AttrTimePrecision, coarser.precision),
	}
	if start != end {
		attrs = append(attrs,
			attribute.String(startup.AttrTimeSourceStart, string(sources[start].name)),
			attribute.String(startup.AttrTimeSourceEnd, string(sources[end].name)))
	}
	return attrs
}

// note is a span event, at a time that lies in the start.
func (b *builder) note(name string, at nanos, count int32, attrs ...attribute.KeyValue) startup.Event {
	at = max(at, b.f.created)
	if b.end.outcome != Open {
		at = min(at, b.end.at)
	}
	if count > 1 {
		attrs = append(attrs, attribute.Int(startup.AttrCount, int(count)))
	}
	return startup.Event{Name: name, Time: at.time(), Attributes: attrs}
}
