// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"slices"

	"github.com/coldtrace/coldtrace/startup"
)

// run is one attempt of a container, with the best times for it, by the clock of the control plane.
type run struct {
	number   int
	started  edge
	finished edge
	ended    bool
	exit     int
	failure  startup.Reason
	causes   causes
	image    image
	known    bool // so is the run before it, or it is the first: what happened between them is told
	replaced bool // another run came after it
}

// lost says that the run's end was never seen, since its successor's was. A span of it could only be told with edges that
// whoever saw it would not tell.
func (r *run) lost() bool { return r.replaced && !r.ended }

// runsOf joins what status says of a container's attempts with what events say. There is always a first run, even if
// nothing but the container's place in the spec is known of it.
func (b *builder) runsOf(i int) []run {
	c := &b.f.containers[i]
	exact := b.starts(i)
	runs := make([]run, 0, len(c.attempts)+1)
	for _, a := range c.attempts {
		r := run{number: int(a.number), ended: a.ended, exit: int(a.exit), failure: a.failure(), causes: a.causes}
		r.started, r.finished = b.node(status(a.started)), b.node(status(a.finished))
		if n := slices.IndexFunc(exact, func(e edge) bool { return a.started != 0 && e.at.within(r.started.at) }); n >= 0 {
			r.started, exact = exact[n], exact[n+1:]
		}
		if r.finished.known() && r.finished.at < r.started.at && r.started.at < r.finished.at+2*second {
			r.finished.at = r.started.at // within the second that status lost
		}
		runs = append(runs, r)
	}
	if len(runs) == 0 || runs[0].number > 1 {
		first := run{number: 1}
		if len(exact) > 0 && (len(runs) == 0 || exact[0].at < runs[0].started.at) {
			first.started = exact[0]
		}
		if len(runs) == 0 || first.started.known() {
			runs = slices.Insert(runs, 0, first)
		}
	}
	for n := range runs {
		r := &runs[n]
		r.known = n == 0 && r.number == 1 || n > 0 && runs[n-1].number == r.number-1
		r.replaced = n+1 < len(runs)
		if killed := b.killedBy(i, r); killed != 0 {
			r.failure = startup.Reason(probes[killed] + "_probe_failed")
		}
	}
	b.images(i, runs)
	for n := range runs {
		// No container starts before its image is there, but the second that status cuts off may say so. Of a later run not
		// everybody knows how it came by its image.
		if r := &runs[n]; r.number == 1 && r.started.src == byStatus && r.started.at < r.image.there.at && r.image.there.at < r.started.at+second {
			r.started.at = r.image.there.at
			if r.ended {
				r.finished.at = max(r.finished.at, r.started.at)
			}
		}
	}
	return runs
}

// Exit codes of a program that a signal ended: SIGKILL, SIGTERM.
const (
	exitKilled     = 128 + 9
	exitTerminated = 128 + 15
)

// killedBy is the probe for which the kubelet ended the run, 0 if it did not. The event's first time is exact. Of its
// repetitions only the last has one, which moves on; a run that a signal ended meanwhile was ended by one of them.
//
//	Killing ×1      ×2 (time lost)   ×3
//	   | exit 137      | exit 137       | exit 137
//	first                              last        + grace period
func (b *builder) killedBy(i int, r *run) probe {
	if !r.ended || !r.finished.known() || r.failure == "OOMKilled" {
		return 0
	}
	slack := b.f.grace + 2*second
	for n := range b.f.events {
		e := &b.f.events[n]
		if e.kind != kindProbeKill || int(e.container) != i {
			continue
		}
		first := b.node(edge{e.first, e.source}).at
		upTo := first
		if r.exit == exitKilled || r.exit == exitTerminated {
			upTo = max(upTo, b.node(status(e.last)).at)
		}
		if first < r.finished.at+second && r.finished.at <= upTo+slack && r.started.at <= upTo {
			return e.probe
		}
	}
	return 0
}

// starts are the times of the container's Started events that are better than those of status.
func (b *builder) starts(i int) []edge {
	var out []edge
	for n := range b.f.events {
		if e := &b.f.events[n]; e.kind == kindStarted && int(e.container) == i {
			out = append(out, b.node(edge{e.first, e.source}))
		}
	}
	return out
}

// image is how a run came by its image.
type image struct {
	pulling  edge
	there    edge
	cached   bool
	pull     nanos // by the kubelet's message, without waiting
	waiting  nanos // with waiting
	size     int64
	failures []*event
}

// images gives each run the image events between the start of the run before and its own.
func (b *builder) images(i int, runs []run) {
	for n := range runs {
		r := &runs[n]
		if !r.known {
			continue
		}
		var after, before nanos = 0, maxNanos
		if n > 0 {
			last := &runs[n-1]
			if after = last.started.at; last.started.src == byStatus {
				after += second - 1
			}
			after = max(after, last.finished.at)
		}
		switch {
		case r.started.known():
			before = r.started.at
			if r.started.src == byStatus {
				before += second
			}
		case r.finished.known(): // it could not be started
			before = r.finished.at + second
		case n+1 < len(runs) && runs[n+1].started.known():
			before = runs[n+1].started.at
		}
		r.image = b.image(func(e *event) bool { return int(e.container) == i }, after, before)
	}
}

const maxNanos = nanos(1<<63 - 1)

// image reads the events of one image, after and up to the given times.
func (b *builder) image(of func(*event) bool, after, upTo nanos) image {
	var im image
	for n := range b.f.events {
		e := &b.f.events[n]
		if !of(e) {
			continue
		}
		at := b.node(edge{e.first, e.source})
		again := at
		if e.count > 1 && e.last != 0 {
			again = b.node(status(e.last)) // the last repetition: status' precision
		}
		inside := func(t edge) bool { return after < t.at && t.at <= upTo }
		if !inside(at) {
			if !inside(again) {
				continue
			}
			at = again
		}
		switch e.kind {
		case kindPulling:
			im.pulling = im.pulling.or(at)
		case kindPullFailed:
			im.failures = append(im.failures, e)
		case kindPulled, kindCached:
			if im.there.known() { // what follows is a retry of the creation, or the kubelet's next look at a volume
				continue
			}
			im.there, im.cached = at, e.kind == kindCached
			im.pull, im.waiting, im.size = e.pull, e.waiting, e.size
		}
	}
	return im
}
