// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// pod takes a version of a pod.
func (w *Watcher) pod(n *namespace, p *corev1.Pod) {
	if w.cfg.OnPod != nil {
		w.cfg.OnPod(p)
	}
	now := w.cfg.Clock.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	id := parseUID(p.UID)
	if _, done := n.marks[id]; done {
		n.marks[id] = n.generation
		return
	}
	s := w.starts[p.UID]
	if s == nil {
		if s = w.consider(n, p, now); s == nil {
			n.marks[id] = n.generation
			return
		}
		w.starts[p.UID] = s
		w.dirty = true
	}
	if s.parked && s.facts != nil {
		w.join(s, pod.Timeline{})
	}
	s.generation, s.parked = n.generation, false
	if s.facts == nil {
		return // it will be read again anyhow
	}
	s.facts.Pod(p, now)
	if s.insideBy == "" { // it is from the checkpoint
		sel := w.selected(n, p)
		w.listensTo(s, p, &sel)
	}
	w.orphans.handOver(p.UID, s.facts)
	w.gather(p.UID, s)
}

// gatherTime is for how long news of one pod is gathered before it is looked at: the kubelet pulls, creates and starts in a breath,
// with an event and a version of the pod for each. It is much less than anybody waits for a span.
const gatherTime = 25 * time.Millisecond

// gather has a start looked at of which there is news. The caller holds the lock.
func (w *Watcher) gather(id types.UID, s *start) {
	if !s.gathering {
		s.gathering = true
		w.queue.AddAfter(id, gatherTime)
	}
}

// podGone takes the deletion of a pod, with its last version.
func (w *Watcher) podGone(n *namespace, p *corev1.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, done := n.marks[parseUID(p.UID)]; done {
		delete(n.marks, parseUID(p.UID))
		w.leaveGroup(n, p)
		return
	}
	s := w.starts[p.UID]
	if s == nil {
		return
	}
	s.gone = true
	if s.facts != nil {
		s.facts.Pod(p, w.cfg.Clock.Now())
		s.facts.Gone(w.cfg.Clock.Now())
		w.queue.Add(p.UID)
	}
}

func (w *Watcher) beginPods(n *namespace) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n.generation++
}

// podsListed drops the marks of pods that are gone and ends the starts of those that went while nobody watched.
func (w *Watcher) podsListed(n *namespace) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !n.podsListed {
		n.podsListed = true
		close(n.podsKnown)
	}
	for id, generation := range n.marks {
		if generation != n.generation {
			delete(n.marks, id)
		}
	}
	for id, s := range w.starts {
		if s.facts == nil || s.facts.Namespace != n.name {
			continue
		}
		if s.generation != n.generation {
			if s.parked { // nobody saw it end
				w.forget(id, s)
				continue
			}
			if s.facts.Created().IsZero() { // shed before the restart: there is nothing left to tell it from
				w.metrics.spans.WithLabelValues("dropped").Inc()
				w.forget(id, s)
				continue
			}
			s.gone = true
			s.facts.Gone(w.cfg.Clock.Now())
		}
		w.queue.Add(id)
	}
	w.groupsListed(n)
}

func (w *Watcher) eventsListed(n *namespace) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n.eventsListed = true
	for id, s := range w.starts {
		if s.facts != nil && s.facts.Namespace == n.name {
			w.queue.Add(id)
		}
	}
	w.groupsListed(n)
}

// event takes an event of a pod. One that comes before its pod waits a little.
func (w *Watcher) event(e *corev1.Event) {
	id := e.InvolvedObject.UID
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.starts[id]
	switch {
	case s == nil:
		if n := w.namespaces[e.Namespace]; n != nil && id != "" {
			if _, done := n.marks[parseUID(id)]; !done {
				w.orphans.add(e, w.cfg.Clock.Now())
			}
		}
	case s.facts != nil && s.facts.Event(e):
		w.gather(id, s)
	}
}

// Bounds of orphans.
const (
	maxOrphans    = 2000
	orphanTimeout = 30 * time.Second
)

// orphans are events whose pod has not been seen yet: the two streams do not wait for each other.
type orphans struct {
	byPod map[types.UID][]*corev1.Event
	queue []orphan // oldest first
}

type orphan struct {
	pod   types.UID
	since time.Time
}

func (o *orphans) add(e *corev1.Event, now time.Time) {
	if o.byPod == nil {
		o.byPod = map[types.UID][]*corev1.Event{}
	}
	for len(o.queue) > 0 && (len(o.queue) >= maxOrphans || now.Sub(o.queue[0].since) > orphanTimeout) {
		delete(o.byPod, o.queue[0].pod)
		o.queue = o.queue[1:]
	}
	id := e.InvolvedObject.UID
	e.ManagedFields = nil
	o.byPod[id] = append(o.byPod[id], e)
	o.queue = append(o.queue, orphan{id, now})
}

// handOver hands a pod's events over.
func (o *orphans) handOver(id types.UID, facts *pod.Facts) {
	for _, e := range o.byPod[id] {
		facts.Event(e)
	}
	delete(o.byPod, id)
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

// defaultMaxWaiting bounds finished starts that wait for the receiver: about 40 MB of them.
const defaultMaxWaiting = 20000

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
