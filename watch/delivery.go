// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/otlp"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// defaultMaxWaiting bounds finished starts that wait for the receiver: about 40 MB of them.
const defaultMaxWaiting = 20000

// work exports what has completed, one start at a time.
func (w *Watcher) work(ctx context.Context) {
	for {
		id, shutdown := w.queue.Get()
		if shutdown {
			return
		}
		if again := w.deliver(ctx, id); again > 0 {
			w.queue.AddAfter(id, again)
		}
		w.queue.Done(id)
	}
}

// parcel is what one export carries.
type parcel struct {
	choice
	subject  startup.Subject
	timeline pod.Timeline // that they are of
	inside   bool         // they tell what happened inside
	compared bool         // and the wrapper tells it, too
	accepted bool         // by the receiver
}

// deliver exports what is complete of one start. It returns after how long there is more to look at, 0 for when there is news.
func (w *Watcher) deliver(ctx context.Context, id types.UID) time.Duration {
	if strings.HasPrefix(string(id), groupItem) {
		return w.tellGroup(id)
	}
	shed := w.begun(id)
	if shed { // what was shed for want of memory stays out of it while the receiver is away
		if wait, ok := w.gate.enter(); !ok {
			return wait
		}
	}
	err := w.prepare(ctx, id)
	var (
		p     *parcel
		again = time.Second
	)
	if err == nil {
		p, again = w.pick(id)
	} else {
		w.cfg.Log.Error(err, "A start could not be looked up; trying again.", "uid", id)
	}
	if p == nil {
		if shed {
			w.gate.retreat()
		}
		return again
	}
	defer w.unpick(id)
	if !shed {
		if wait, ok := w.gate.enter(); !ok {
			return wait
		}
	}
	if !w.export(ctx, id, p) {
		return firstPause // the gate knows better by then
	}
	w.delivered(id, p)
	return again
}

// export makes one attempt, and reports whether the spans are done with.
func (w *Watcher) export(ctx context.Context, id types.UID, p *parcel) bool {
	to := w.cfg.Exporter
	if p.inside {
		to = w.cfg.Inside
	}
	err := to.ExportSpans(context.WithoutCancel(ctx), p.subject, p.spans)
	if w.gate.leave(err == nil || otlp.Permanent(err)) {
		w.lookAtAll()
	}
	switch {
	case err == nil:
		w.metrics.exported(p, w.cfg.Clock.Now(), w.began)
		p.accepted = true
	case otlp.Permanent(err):
		// No repetition can help, and the start must not be held for ever.
		w.cfg.Log.Error(err, "The receiver refused spans for good; dropping them.", "uid", id, "spans", len(p.spans))
		w.metrics.spans.WithLabelValues("refused").Add(float64(len(p.spans)))
	default:
		w.metrics.retries.Inc()
		return false
	}
	return true
}

// begun notes that a start is looked at, and tells whether it has to be read from the API again.
func (w *Watcher) begun(id types.UID) (shed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.starts[id]
	if s == nil {
		return false
	}
	s.gathering = false
	return s.facts == nil
}

// lookAtAll is for when the receiver is back: nobody should wait out a pause.
func (w *Watcher) lookAtAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.starts {
		w.queue.Add(id)
	}
}

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
	return &parcel{subject: s.subject, choice: choice{spans: spans}, timeline: t, inside: true, compared: s.inside.compare}
}

// unpick lets go of what pick gave.
func (w *Watcher) unpick(id types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.starts[id]; s != nil {
		s.picked = false
	}
}

// delivered marks what the receiver has accepted, and measures it: a checkpoint has both or neither.
func (w *Watcher) delivered(id types.UID, p *parcel) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.accepted && !p.compared {
		box := &w.outbox
		if p.inside {
			box = &w.inbox
		}
		for i := range p.spans {
			box.measure(w, startup.Measurements(p.subject, p.spans[i]))
		}
	}
	s := w.starts[id]
	if s == nil {
		return
	}
	w.dirty = true
	w.notify(s, p)
	if p.whole {
		w.metrics.seenInside(s, &p.timeline)
		w.remember(id, s)
		w.finish(id, s)
		return
	}
	for i := range p.spans {
		s.delivered = append(s.delivered, hashKey(p.spans[i].Key))
	}
}

// prepare reads what is missing: the labels of the node, and the facts of a start that had to be shed.
func (w *Watcher) prepare(ctx context.Context, id types.UID) error {
	w.mu.Lock()
	s := w.starts[id]
	if s == nil {
		w.mu.Unlock()
		return nil
	}
	subject, lost := s.subject, s.facts == nil
	ask := !s.node && !s.quiet && s.facts != nil && s.facts.Node != ""
	if ask {
		subject.NodeName = s.facts.Node
	}
	w.mu.Unlock()
	if lost {
		return w.rederive(ctx, id, subject)
	}
	if !ask {
		return nil
	}
	if err := w.nodes.fill(ctx, &subject); err != nil {
		// The node's labels are worth a word, not a start.
		w.metrics.apiErrors.WithLabelValues("nodes", "get").Inc()
		w.cfg.Log.Error(err, "A node's labels could not be read.", "node", subject.NodeName)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s.subject, s.node = subject, true
	if !s.ended {
		w.join(s, pod.Timeline{}) // its group takes the GPU's type from it
	}
	return nil
}

// shed drops the facts of a finished start when too many wait: one that the API server still knows, if there is any. The
// caller holds the lock.
func (w *Watcher) shed() {
	if w.waiting <= w.cfg.MaxWaiting {
		return
	}
	var gone types.UID
	for id, s := range w.starts {
		switch {
		case !s.ended || s.facts == nil || s.picked:
		case s.gone:
			gone = id
		default:
			s.facts, s.ended = nil, false
			w.waiting--
			w.queue.Add(id)
			return
		}
	}
	if gone != "" { // nothing to read again
		w.metrics.spans.WithLabelValues("dropped").Inc()
		w.forget(gone, w.starts[gone])
	}
}

// rederive reads a pod and its events again.
func (w *Watcher) rederive(ctx context.Context, id types.UID, subject startup.Subject) error {
	facts := &pod.Facts{Target: subject.Container}
	found, err := w.client.CoreV1().Pods(subject.Namespace).Get(ctx, subject.PodName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && found.UID != id {
		w.mu.Lock()
		defer w.mu.Unlock()
		if s := w.starts[id]; s != nil {
			w.metrics.spans.WithLabelValues("dropped").Inc()
			w.forget(id, s)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("get a pod again: %w", err)
	}
	facts.Pod(found, w.cfg.Clock.Now())
	events, err := w.client.CoreV1().Events(subject.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: pod.EventFields + ",involvedObject.uid=" + string(id), Limit: 500,
	})
	if err != nil {
		return fmt.Errorf("list a pod's events again: %w", err)
	}
	for i := range events.Items {
		facts.Event(&events.Items[i])
	}
	w.metrics.rederived.Inc()
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.starts[id]; s != nil && s.facts == nil {
		s.facts = facts
		if s.inside != nil {
			s.inside.adopt(facts)
		}
	}
	return nil
}
