// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"cmp"

	"go.opentelemetry.io/otel/attribute"

	"github.com/coldtrace/coldtrace/startup"
)

// container adds the spans of one container: how each run came by its image, was created, and, of an init container, ran.
func (b *builder) container(i int) {
	c := &b.f.containers[i]
	for n := range b.runs[i] {
		r := &b.runs[i][n]
		if n > 0 {
			b.backoff(c, &b.runs[i][n-1], r)
		}
		b.imagePull(c.name, r, c.waits.of(r), c.waits.causesOf(r))
		b.creating(i, r)
		if c.class == classInit && !r.lost() {
			b.add(draft{
				name: startup.SpanInitContainer, of: c.name, attempt: r.number,
				start: r.started, end: r.finished,
				exact:   r.started.src < byStatus && !r.ended,
				failure: r.failure,
				attrs:   exitCode(r),
				events:  b.probeNotes(i, r),
			})
		}
	}
	if c.class == classSidecar {
		b.sidecar(i)
	}
	if n := len(b.runs[i]); b.end.mayRestart() && n > 0 {
		last := &b.runs[i][n-1]
		next := &run{number: last.number + 1, known: true}
		// A container may have rules of its own (restartPolicyRules): one that waits will be started.
		if last.ended && (c.waits.of(next) != 0 || b.f.policy.restarts(c.class, last.failure != "")) {
			b.backoff(c, last, next)
		}
	}
}

// mayRestart says whether a container that had ended by then could still be started again.
func (e ending) mayRestart() bool {
	return e.outcome == Open || e.outcome == Deleted || e.outcome == TimedOut
}

// backoff is the kubelet's waiting between two runs. It ends with the container's start, which status has: what events say
// of the time between is of the last repetition alone.
func (b *builder) backoff(c *container, ended, next *run) {
	end := next.started
	if !end.known() {
		end = next.finished // it could not be started
	}
	after := b.end.outcome != Open && !b.end.mayRestart() && end.at > b.end.at
	if next.known && ended.ended && !after && (end.known() || !next.replaced) {
		why := c.waits.of(next)
		waits := b.waiting(cmp.Or(why.worst(true), why.worst(false)))
		b.add(draft{
			name: startup.SpanRestartBackoff, of: c.name, attempt: next.number,
			start: ended.finished, end: end,
			unfinished: cmp.Or(waits, "CrashLoopBackOff"), waits: waits, causes: c.waits.causesOf(next),
		})
	}
}

// sidecarFloor is the least time for which a sidecar holds up what comes after it that is told.
const sidecarFloor = 2 * second

// sidecar is the wait for a sidecar's startup probe: until then the kubelet does not turn to the next container.
func (b *builder) sidecar(i int) {
	start, next := b.runs[i][0].started, edge{}
	for j := i + 1; j < len(b.runs); j++ {
		r := &b.runs[j][0]
		if sign := r.image.pulling.or(r.image.there).or(r.started); sign.known() && (!next.known() || sign.at < next.at) {
			next = sign
		}
	}
	if b.runs[i][0].number != 1 || next.known() && next.at < start.at+sidecarFloor {
		return
	}
	d := draft{name: startup.SpanInitContainer, of: b.f.containers[i].name, attempt: 1, start: start, end: next}
	d.exact = start.src < byStatus && next.src < byStatus
	if d.events = b.probeNotes(i, &b.runs[i][0]); !b.f.containers[i].has(traitStarted) {
		d.waits = "startup_probe"
	}
	b.add(d)
}

// probeNotes are the probes that failed in a run, each once: how often is known only for now.
func (b *builder) probeNotes(i int, r *run) []startup.Event {
	var out []startup.Event
	seen := [len(probes)]bool{}
	for n := range b.f.events {
		e := &b.f.events[n]
		at := b.node(edge{e.first, e.source}).at
		if e.kind != kindProbeFailed || int(e.container) != i || seen[e.probe] || at < r.started.at {
			continue
		}
		if end := b.until(r); end != 0 && at > end {
			continue
		}
		seen[e.probe] = true
		out = append(out, b.note(startup.EventProbeFailed, at, 0, attribute.String(startup.AttrProbe, probes[e.probe])))
	}
	return out
}

// until is when a run, as far as it is one of the start, was over; 0 if it is not.
func (b *builder) until(r *run) nanos {
	if r.ended {
		return r.finished.at
	}
	return b.end.at
}

func exitCode(r *run) []attribute.KeyValue {
	if r.failure == "" {
		return nil
	}
	return []attribute.KeyValue{attribute.Int(startup.AttrExitCode, r.exit)}
}

// imagePull runs from the first Pulling to Pulled; failures and back-offs between them are part of it, since the pod waits
// for the image all the while.
func (b *builder) imagePull(of string, r *run, waits waiting, why causes) {
	im := &r.image
	d := draft{name: startup.SpanImagePull, of: of, attempt: r.number, start: im.pulling, end: im.there}
	d.unfinished = b.waiting(waits.worst(true))
	if d.unfinished == "" && len(im.failures) > 0 {
		d.unfinished = b.waiting(errImagePull)
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
	if !im.there.known() && !r.started.known() {
		d.waits, d.causes = d.unfinished, why
	}
	for _, e := range im.failures {
		// How often is for a pull that goes on to fail: a later run may add to the count.
		count := int32(0)
		if d.waits != "" {
			count, d.causes = e.count, d.causes|e.causes
		}
		note := b.note(startup.EventPullFailed, e.first+b.offset, count)
		if cause := e.causes.first(); cause != "" {
			note.Attributes = append(note.Attributes, attribute.String(startup.AttrCause, cause))
		}
		d.events = append(d.events, note)
	}
	b.add(d)
	b.pullQueued(of, r, d.start)
}

// waiting is the reason to tell once the start is over. The kubelet says one of two by turns, and which was seen is chance.
func (b *builder) waiting(reason startup.Reason) startup.Reason {
	if reason == errImagePull && b.end.outcome != Open {
		return imagePullBackOff
	}
	return reason
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
func (b *builder) creating(i int, r *run) {
	c := &b.f.containers[i]
	start := r.image.there
	if !start.known() && r.number == 1 && r.started.known() && !r.image.pulling.known() {
		start = b.before(i)
	}
	if start.src == byStatus && r.started.known() && start.at > r.started.at {
		start.at = r.started.at
	}
	d := draft{
		name: startup.SpanContainerCreating, of: c.name, attempt: r.number,
		start: start, end: r.started,
		exact: start.src < byStatus && r.started.src < byStatus,
	}
	switch {
	case r.started.known():
	case r.ended: // the runtime could not start it
		d.end, d.failure, d.attrs, d.causes = r.finished, r.failure, exitCode(r), r.causes
	case r.lost():
		return
	default:
		d.unfinished, d.causes = c.waits.of(r).worst(false), c.waits.causesOf(r)
		d.waits = d.unfinished
	}
	b.add(d)
}

// before is when the kubelet could turn to a container, if nothing is known of its image: the kubelet starts them one
// after another, init containers each to its end.
func (b *builder) before(i int) edge {
	for j := i - 1; j >= 0; j-- {
		r := b.runs[j][len(b.runs[j])-1]
		if b.f.containers[j].class == classInit {
			if r.finished.known() {
				return r.finished
			}
		} else if r = b.runs[j][0]; r.started.known() {
			return r.started
		}
	}
	if b.f.containers[i].class == classMain && b.f.containers[0].class != classMain && b.f.initialized != 0 {
		return b.node(status(b.f.initialized))
	}
	return b.inside
}

// imageVolume adds the pull of a volume's image.
func (b *builder) imageVolume(i int) {
	r := run{number: 1, image: b.image(func(e *event) bool { return e.container < 0 && int(e.volume) == i }, 0, maxNanos)}
	b.imagePull(b.f.volumes[i].name, &r, 0, 0)
}

// readiness is the target container's way from Started to the pod's Ready condition, one span for each of its runs.
func (b *builder) readiness() {
	target := b.f.target()
	if target >= len(b.runs) {
		return
	}
	for n := range b.runs[target] {
		r := &b.runs[target][n]
		if r.lost() {
			continue
		}
		d := draft{
			name: startup.SpanPodReady, attempt: r.number,
			start:   r.started,
			exact:   r.started.src < byStatus && !r.ended, // an event may tell who ended it
			holders: b.holders(),
		}
		switch {
		case r.ended && (b.end.outcome != Ready || b.within(target, n)):
			d.end, d.failure, d.attrs = r.finished, r.failure, exitCode(r)
			// Where the pod does not start it again it is through: of a Job the pod is Succeeded a moment later only.
			if d.failure == "" && b.end.outcome != Completed && b.f.policy.restarts(classMain, false) {
				d.failure = startup.Exited(0, 0)
			}
		case b.end.outcome == Ready:
			d.end, d.exact = edge{b.end.at, b.end.by}, d.exact && b.startsExact()
		}
		d.events = b.probeNotes(target, r)
		b.add(d)
	}
}

// holders are what the pod's Ready condition waits for: containers that were never ready, then gates.
func (b *builder) holders() (names []string) {
	for i := range b.f.containers {
		if c := &b.f.containers[i]; c.class == classMain && !c.has(traitReady) {
			names = append(names, c.name)
		}
	}
	for i, gate := range b.f.readyGates {
		if i < 32 && b.f.readyGated&(1<<i) == 0 {
			names = append(names, gate)
		}
	}
	return names
}
