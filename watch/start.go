// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// start is one that is in flight, or that has ended and waits for the receiver.
type start struct {
	ledger
	facts      *pod.Facts // nil: to be read from the API again
	subject    startup.Subject
	timeout    time.Duration
	gone       bool          // the pod no longer exists
	unwatched  bool          // it was over long before anybody watched
	quiet      bool          // nothing is told of it but in its group: the pod is no endpoint by itself
	parked     bool          // its namespace has lost the label; it may come back
	node       bool          // the node's labels have been asked for
	ended      bool          // counted as waiting
	picked     bool          // a worker is about to export a part of it
	gathering  bool          // it is looked at soon
	inside     *inside       // nil: its log is not read
	insideBy   inject.Reason // why; empty: that is not decided yet
	noticed    int           // attempts that failed of which an Event tells
	generation uint8         // of the list of pods it was last seen in
	phase      string
	linked     bool           // links are settled
	links      []startup.Link // of the root
}

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
	w.orphans.adopt(p.UID, s.facts)
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

// consider decides whether a pod that was never seen before is one to trace. Nil: it is not, or its start was delivered
// already.
func (w *Watcher) consider(n *namespace, p *corev1.Pod, now time.Time) *start {
	facts := &pod.Facts{}
	facts.Pod(p, now)
	t := facts.Build(now, w.cfg.Timeout)
	over := t.Outcome != pod.Open
	if w.restored.delivered(p.UID) || over && w.restored.before(p.CreationTimestamp.Time) {
		w.joinOver(n, p, t, false)
		return nil
	}
	if over && !n.podsListed && !w.restored.knows(n.name) && now.Sub(t.Spans[0].End) > justOver {
		// It was over long before anybody watched this namespace, which the next watcher must know as well.
		w.restored.recent[parseUID(p.UID)] = uint32(p.CreationTimestamp.Unix()) //nolint:gosec // until 2106
		w.dirty = true
		w.joinOver(n, p, t, true)
		return nil
	}
	s, selection := w.candidate(n, p)
	if s.quiet && !s.subject.Group.Is() {
		return nil
	}
	s.facts, facts.Target = facts, s.subject.Container
	w.listensTo(s, p, &selection)
	w.join(s, pod.Timeline{})
	return s
}

// candidate is what a pod's start would be. One that the policy does not select is quiet.
func (w *Watcher) candidate(n *namespace, p *corev1.Pod) (*start, inject.Selection) {
	selection := w.selected(n, p)
	// The wrapper's time-out counts from the container's start: a wait of an hour for a node is none of its business. A
	// server that may take longer than any start is waited for all the same.
	s := &start{timeout: max(w.cfg.Timeout, selection.Settings.Wrapper.Timeout), quiet: !selection.Selected}
	s.subject = selection.Identity.Subject(string(p.UID), p.Name, p.Spec.NodeName, selection.Settings.ClusterName, selection.Settings.TraceID)
	s.subject.SamplingPriority = selection.Settings.SamplingPriority()
	return s, selection
}

// selected is what the policy says of a pod.
func (w *Watcher) selected(n *namespace, p *corev1.Pod) inject.Selection {
	return inject.Selected(inject.Request{
		Pod: endpoint.FromPod(p), Namespace: n.name, NamespaceAnnotations: n.annotations, Policy: w.cfg.Policy(), Version: w.cfg.Version,
	})
}

// justOver is how long ago a start may have ended that was over before its namespace was first listed. What ended within
// it is told: a namespace that got its label while no watcher was there, or a moment before its first pods, misses
// nothing. What ended before is none of ours: installing coldtrace must not tell of every pod that runs.
const justOver = 10 * time.Minute

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

// finish turns a start into a mark. The caller holds the lock.
func (w *Watcher) finish(id types.UID, s *start) {
	if n := w.namespaces[s.subject.Namespace]; n != nil && !s.gone {
		n.marks[parseUID(id)] = n.generation
	}
	w.forget(id, s)
}

// forget drops a start. The caller holds the lock.
func (w *Watcher) forget(id types.UID, s *start) {
	if s.ended {
		w.waiting--
	}
	if s.inside != nil {
		w.held -= s.inside.holding()
	}
	delete(w.starts, id)
	w.dirty = true
}
