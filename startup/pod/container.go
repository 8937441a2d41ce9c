// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"go.opentelemetry.io/otel/attribute"

	"github.com/coldtrace/coldtrace/startup"
)

// container adds the spans of one container: how each run came by its image, was created, and, of an init container, ran.
func (b *builder) container(i int) {
	c := &b.f.containers[i]
	for n := range b.runs[i] {
		r := &b.runs[i][n]
		b.imagePull(c.name, r, c.waiting)
		b.creating(i, r, c.waiting)
		if c.role == roleInit {
			b.add(draft{
				name: startup.SpanInitContainer, of: c.name, attempt: r.number,
				start: r.started, end: r.finished,
				exact:   r.started.src < byStatus,
				failure: r.failure,
				attrs:   exitCode(r),
			})
		}
	}
}

func exitCode(r *run) []attribute.KeyValue {
	if r.failure == "" {
		return nil
	}
	return []attribute.KeyValue{attribute.Int(startup.AttrExitCode, r.exit)}
}

// imagePull runs from the first Pulling to Pulled; failures and back-offs between them are part of it, since the pod waits
// for the image all the while.
func (b *builder) imagePull(of string, r *run, waits waiting) {
	im := &r.image
	d := draft{name: startup.SpanImagePull, of: of, attempt: r.number, start: im.pulling, end: im.there}
	d.unfinished = waits.worst(true)
	if d.unfinished == "" && len(im.failures) > 0 {
		d.unfinished = "ErrImagePull"
	}
	switch {
	case im.there.known() && im.cached && !d.start.known():
		d.start = im.there
	case im.there.known() && im.waiting > 0 && (!d.start.known() || d.start.src == byStatus):
		d.start = edge{im.there.at - im.waiting, max(im.there.src, byMessage)}
	case !im.there.known() && r.started.known():
		d.end = r.started // Pulled was lost; it cannot have come later
	case !im.there.known() && !d.start.known() && d.unfinished != "":
		d.start = b.inside // Pulling was lost as well, but the kubelet says that it waits for the image
	}
	d.exact = d.start.src < byStatus && im.there.known() && d.end.src < byStatus
	d.attrs = im.attributes()
	if d.unfinished != "" && !im.there.known() && !r.started.known() {
		d.attrs = append(d.attrs, attribute.String(startup.AttrWaitingReason, d.unfinished))
	}
	for _, e := range im.failures {
		d.events = append(d.events, b.note(startup.EventPullFailed, e.first+b.offset, e.count))
	}
	b.add(d)
	b.pullQueued(of, r, d.start)
}

// queueFloor is the least wait for other pulls that is one: the kubelet cuts both durations to milliseconds.
const queueFloor = 10 * second / 1000

func (b *builder) pullQueued(of string, r *run, pulling edge) {
	im := &r.image
	if !im.there.known() || im.waiting-im.pull < queueFloor {
		return
	}
	src := max(im.there.src, byMessage)
	b.add(draft{
		name: startup.SpanImagePullQueued, of: of, attempt: r.number,
		parent: startup.Key(startup.SpanImagePull, of, r.number),
		start:  edge{max(im.there.at-im.waiting, pulling.at), src},
		end:    edge{im.there.at - im.pull, src},
		exact:  true,
	})
}

func (im *image) attributes() []attribute.KeyValue {
	if !im.there.known() {
		return nil
	}
	attrs := []attribute.KeyValue{attribute.Bool(startup.AttrCached, im.cached)}
	if im.waiting > 0 {
		attrs = append(attrs, attribute.Float64(startup.AttrQueuedSeconds, (im.waiting-im.pull).seconds()))
	}
	if im.size > 0 {
		attrs = append(attrs, attribute.Int64(startup.AttrImageSizeBytes, im.size))
		if im.pull > 0 {
			attrs = append(attrs, attribute.Float64(startup.AttrThroughputMBps, float64(im.size)/1e6/im.pull.seconds()))
		}
	}
	return attrs
}

// creating runs from the image to Started.
func (b *builder) creating(i int, r *run, waits waiting) {
	start := r.image.there
	if !start.known() && r.number == 1 && r.started.known() && !r.image.pulling.known() {
		start = b.before(i)
	}
	if start.src == byStatus && r.started.known() && start.at > r.started.at {
		start.at = r.started.at
	}
	d := draft{
		name: startup.SpanContainerCreating, of: b.f.containers[i].name, attempt: r.number,
		start: start, end: r.started,
		exact:      start.src < byStatus && r.started.src < byStatus,
		unfinished: waits.worst(false),
	}
	if !r.started.known() && r.ended { // the runtime could not start it
		d.end, d.failure, d.attrs = r.finished, r.failure, exitCode(r)
	}
	b.add(d)
}

// before is when the kubelet could turn to a container, if nothing is known of its image: the kubelet starts them one
// after another, init containers each to its end.
func (b *builder) before(i int) edge {
	for j := i - 1; j >= 0; j-- {
		r := b.runs[j][len(b.runs[j])-1]
		if b.f.containers[j].role == roleInit {
			if r.finished.known() {
				return r.finished
			}
		} else if r = b.runs[j][0]; r.started.known() {
			return r.started
		}
	}
	if b.f.containers[i].role == roleMain && b.f.containers[0].role != roleMain && b.f.initialized != 0 {
		return b.node(status(b.f.initialized))
	}
	return b.inside
}

// imageVolume adds the pull of a volume's image.
func (b *builder) imageVolume(i int) {
	r := run{number: 1, image: b.image(func(e *event) bool { return e.container < 0 && int(e.volume) == i }, 0, maxNanos)}
	b.imagePull(b.f.volumes[i].name, &r, 0)
}

// readiness is the target container's way from Started to the pod's Ready condition, one span for each of its runs.
func (b *builder) readiness() {
	target := max(0, b.f.container(b.f.Target))
	if b.f.container(b.f.Target) < 0 {
		for i := range b.f.containers {
			if b.f.containers[i].role == roleMain {
				target = i
				break
			}
		}
	}
	if target >= len(b.runs) {
		return
	}
	for n := range b.runs[target] {
		r := &b.runs[target][n]
		d := draft{
			name: startup.SpanPodReady, attempt: r.number,
			start: r.started,
			exact: r.started.src < byStatus,
		}
		switch {
		case r.ended && (b.end.outcome != Ready || r.finished.at <= b.end.at):
			d.end, d.failure, d.attrs = r.finished, r.failure, exitCode(r)
			if d.failure == "" && b.end.outcome != Completed {
				d.failure = "exit_code=0"
			}
		case n+1 < len(b.runs[target]) && (b.end.outcome == Open || b.runs[target][n+1].started.at <= b.end.at):
			// It ended, since there is a next run, but nobody saw how.
			d.end, d.failure = b.runs[target][n+1].started, "restarted"
		case b.end.outcome == Ready:
			d.end, d.exact = status(b.end.at), d.exact && b.startsExact()
		}
		b.add(d)
	}
}
