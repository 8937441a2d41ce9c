// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"hash/fnv"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// pick chooses what to export of a start now, nil if that is nothing, and says after how long to look again.
func (w *Watcher) pick(id types.UID) (*parcel, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.starts[id]
	if s == nil || s.facts == nil {
		return nil, 0
	}
	now := w.cfg.Clock.Now()
	left := s.timeout - now.Sub(s.facts.Created()) // until it is given up, whatever happens
	switch n := w.namespaces[s.facts.Namespace]; {
	case s.parked && left < 0:
		w.forget(id, s)
		return nil, 0
	case s.parked:
		return nil, left + time.Millisecond
	case n == nil || !n.listed():
		return nil, 0 // the lists' ends put all starts of the namespace into the queue
	}
	t := s.facts.Build(now, s.timeout)
	p, again := w.parcel(id, s, t, now)
	if t.Outcome == pod.Open && len(t.Spans) > 0 {
		again = sooner(again, max(s.facts.Left(now, s.timeout), time.Millisecond))
	}
	s.picked = p != nil // not to be shed meanwhile
	return p, again
}

// parcel is what there is to export of a start whose timeline is known. The caller holds the lock.
func (w *Watcher) parcel(id types.UID, s *start, t pod.Timeline, now time.Time) (*parcel, time.Duration) {
	over := t.Outcome != pod.Open
	if s.quiet {
		if over {
			w.join(s, t)
			w.finish(id, s)
		}
		return nil, 0
	}
	s.phase = t.Phase
	switch {
	case s.node:
	case s.facts.Node != "":
		return nil, time.Millisecond // it became known just now: the next look begins by asking it
	case !over:
		// The event that the pod was scheduled may come before the pod that says where. A repeat of the span after a
		// crash would know the node, and not be the same.
		return nil, 0
	}
	witnessed := s.facts.Witnessed()
	more, unheard := w.plan(id, s, &t, now)
	if p := s.told(t); p != nil {
		return p, time.Millisecond // the rest goes by itself
	}
	if s.facts.Witnessed() != witnessed {
		return nil, time.Millisecond // the log has just said why a run failed
	}
	if over && unheard && s.facts.Awaited() {
		return nil, more // the log may yet say that it served before
	}
	c := s.choose(t, s.facts.Witnessed(), unheard, now)
	w.dirty = w.dirty || c.note
	if c.whole {
		w.conclude(s, t, c.spans)
	}
	switch {
	case len(c.spans) > 0:
		return &parcel{subject: s.subject, choice: c, timeline: t}, sooner(c.again, more)
	case c.whole:
		w.finish(id, s)
	}
	return nil, sooner(c.again, more)
}

// told is what the log tells and was not sent, nil if there is nothing.
func (s *start) told(t pod.Timeline) *parcel {
	if s.inside == nil {
		return nil
	}
	if t.Phase == startup.SpanPodReady && s.inside.phase != "" {
		s.phase = s.inside.phase
	}
	spans := s.inside.undelivered(&s.ledger)
	if len(spans) == 0 {
		return nil
	}
	return &parcel{subject: s.subject, choice: choice{spans: spans}, timeline: t, inside: true, compared: s.inside.by == inject.InsideBoth}
}

// conclude takes that all there will be of a start can be sent: its group waits no longer, and memory has room for so many that wait
// for the receiver. The caller holds the lock.
func (w *Watcher) conclude(s *start, t pod.Timeline, spans []startup.Span) {
	w.join(s, t)
	w.link(s, spans)
	if !s.ended {
		s.ended = true
		w.waiting++
		s.picked = len(spans) > 0
		w.shed()
	}
}

// keyHash stands for a span's key, of which one pod has few.
type keyHash uint32

func hashKey(key string) keyHash {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return keyHash(h.Sum32())
}

// ledger is what has become of a start's spans.
type ledger struct {
	delivered []keyHash // the receiver accepted them
	settling  []settling
	saved     pod.Witness // what the last checkpoint holds of this process's own clock
}

// settling is a span that waits for events, and since when.
type settling struct {
	key   keyHash
	since time.Time
}

func (l *ledger) isDelivered(k keyHash) bool { return slices.Contains(l.delivered, k) }

// settled tells whether a span has waited long enough for better edges, and if not, how long it still has to.
func (l *ledger) settled(k keyHash, now time.Time) (time.Duration, bool) {
	i := slices.IndexFunc(l.settling, func(x settling) bool { return x.key == k })
	if i < 0 {
		l.settling = append(l.settling, settling{k, now})
		return settle, false
	}
	left := settle - now.Sub(l.settling[i].since)
	return left, left <= 0
}

// choice is what to send of a start now.
type choice struct {
	spans []startup.Span
	whole bool          // it includes all that was left of the start, which is over
	again time.Duration // when there is more to send if nothing happens before; 0: never
	note  bool          // something has to be in the checkpoint before it can be sent
}

// choose decides what of a start can be sent: what has ended, will not get any better and was not sent before; and, of what
// goes on, that it does. While something is unheard of what happened inside, the root waits.
func (l *ledger) choose(t pod.Timeline, witnessed pod.Witness, unheard bool, now time.Time) choice {
	over := t.Outcome != pod.Open
	c := choice{whole: over && !unheard}
	for i := len(t.Spans) - 1; i >= 0; i-- { // the root is the first, and goes last
		span := &t.Spans[i]
		key := hashKey(span.Key)
		if span.Open || i == 0 && !c.whole || l.isDelivered(key) {
			continue
		}
		if span.Witnessed && witnessed != l.saved {
			// A time of this process's own must be in the checkpoint before anybody is told: after a crash nothing else
			// could tell it the same way again. The checkpoint puts the start into the queue.
			c.whole, c.note = false, true
			continue
		}
		if !span.Exact {
			if left, ok := l.settled(key, now); !ok {
				c.whole, c.again = false, max(c.again, left)
				continue
			}
		}
		c.spans = append(c.spans, span.Span)
	}
	if over {
		return c
	}
	open, next := t.InProgress(now)
	for _, s := range open {
		if !l.isDelivered(hashKey(s.Key)) {
			c.spans = append(c.spans, s)
		}
	}
	if c.again == 0 || next > 0 && next < c.again {
		c.again = next
	}
	return c
}
