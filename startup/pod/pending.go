// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"go.opentelemetry.io/otel/attribute"

	"github.com/coldtrace/coldtrace/startup"
)

// pending is the time without a node, and in it the gates and the wait for a node that does not exist yet.
func (b *builder) pending() {
	f := b.f
	created := status(f.created)
	pending := draft{
		name:   startup.SpanPodPending,
		start:  created,
		end:    b.scheduled,
		exact:  b.scheduled.src < byStatus,
		events: b.schedulerNotes(),
	}
	if !b.scheduled.known() && f.unscheduled != 0 {
		pending.attrs = []attribute.KeyValue{attribute.StringSlice(startup.AttrReasons, f.unscheduled.names())}
	}
	b.add(pending)
	parent := startup.Key(startup.SpanPodPending, "", 1)
	if f.gated {
		end := b.ungated()
		b.add(draft{
			name: startup.SpanSchedulingGated, parent: parent, start: created, end: end,
			witnessed: f.ungated != 0 && end.at == f.ungated,
		})
	}
	for i := range f.events {
		if e := &f.events[i]; e.kind == kindScaleUp {
			b.add(draft{
				name:   startup.SpanNodeProvisioning,
				parent: parent,
				start:  edge{e.first, e.source},
				end:    b.scheduled,
				exact:  b.scheduled.src < byStatus,
			})
			break
		}
	}
}

// ungated is when the last gate was removed. No object has a time for it, so it is the first sign of it.
func (b *builder) ungated() edge {
	first := b.scheduled
	consider := func(at nanos, src source) {
		if at != 0 && (!first.known() || at < first.at) {
			first = edge{at, src}
		}
	}
	consider(b.f.ungated, byStatus)
	for i := range b.f.events {
		switch e := &b.f.events[i]; e.kind {
		case kindUnschedulable:
			if e.why != becauseGated {
				consider(e.first, e.source)
			}
		case kindScaleUp, kindNoScaleUp:
			consider(e.first, e.source)
		}
	}
	return first
}

// schedulerNotes are the reasons why the pod had to wait, each once.
func (b *builder) schedulerNotes() []startup.Event {
	var out []startup.Event
	seen := map[unschedulable]int{}
	for i := range b.f.events {
		e := &b.f.events[i]
		switch e.kind {
		case kindUnschedulable:
			if _, repeated := seen[e.why]; repeated {
				continue
			}
			seen[e.why] = len(out)
			out = append(out, b.note(startup.EventFailedSchedule, e.first, 0, attribute.StringSlice(startup.AttrReasons, e.why.names())))
		case kindScaleUp:
			out = append(out, b.note(startup.EventScaleUp, e.first, 0))
		case kindNoScaleUp:
			out = append(out, b.note(startup.EventNoScaleUp, e.first, 0))
		}
	}
	return out
}

// sandbox is the time from the node's choice to the first container: volumes, devices, network.
func (b *builder) sandbox() {
	var (
		notes []event
		first edge
	)
	for i := range b.f.events {
		e := &b.f.events[i]
		switch e.kind {
		case kindPulling, kindPulled, kindCached, kindCreated, kindStarted:
			if !first.known() {
				first = b.node(edge{e.first, e.source})
			}
		case kindVolumeAttached, kindVolumeFailed, kindSandboxFailed:
			notes = append(notes, *e)
		}
	}
	b.inside = b.firstInside(first)
	d := draft{
		name:  startup.SpanSandboxCreating,
		start: b.scheduled,
		end:   b.inside,
		exact: b.scheduled.src < byStatus && b.inside.src < byStatus,
	}
	for i := range notes {
		b.sandboxNote(&d, &notes[i])
	}
	b.add(d)
}

// firstInside is the first thing that happened in the sandbox, given the first event of a container. The kubelet turns to the first
// container at once, so that its first event ends the sandbox better than the condition does, unless the first events were lost.
func (b *builder) firstInside(event edge) edge {
	condition := b.node(status(b.f.sandbox))
	switch {
	case condition.known() && (!event.known() || event.at >= condition.at+2*second):
		return condition
	case event.known():
		return event
	}
	var first edge
	for _, runs := range b.runs {
		for _, r := range runs {
			if r.number == 1 && r.started.known() && (!first.known() || r.started.at < first.at) {
				first = r.started
			}
		}
	}
	return first
}

// sandboxNotes are what the kinds of events are called on the span.
var sandboxNotes = map[kind]string{
	kindVolumeAttached: startup.EventVolumeAttached,
	kindVolumeFailed:   startup.EventVolumeFailed,
	kindSandboxFailed:  startup.EventSandboxFailed,
}

// sandboxNote adds one. What is repeated for a later sandbox, or mounted later, is none of this one's.
func (b *builder) sandboxNote(d *draft, e *event) {
	at, count := e.first, e.count
	if e.kind == kindSandboxFailed {
		at += b.offset
	}
	if d.end.known() {
		if at > d.end.at {
			return
		}
		count = 0
	}
	note := b.note(sandboxNotes[e.kind], at, count)
	if cause := e.causes.first(); cause != "" {
		note.Attributes = append(note.Attributes, attribute.String(startup.AttrCause, cause))
		d.causes |= e.causes
		d.unfinished, d.waits = "FailedMount", "FailedMount"
	}
	d.events = append(d.events, note)
}
