// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"crypto/sha256"
	"time"

	"github.com/google/uuid"
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
	generation uint8         // of the list of pods it was last seen in
	phase      string
	linked     bool           // links are known
	links      []startup.Link // of the root
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

// justOver is how long ago a start may have ended that was over before its namespace was first listed. What ended within
// it is told: a namespace that got its label while no watcher was there, or a moment before its first pods, misses
// nothing. What ended before is none of ours: installing coldtrace must not tell of every pod that runs.
const justOver = 10 * time.Minute

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

// finish turns a start into a mark. The caller holds the lock.
func (w *Watcher) finish(id types.UID, s *start) {
	if n := w.namespaces[s.subject.Namespace]; n != nil && !s.gone {
		n.marks[parseUID(id)] = n.generation
	}
	w.forget(id, s)
}

// forget drops a start, for which its group may have waited. The caller holds the lock.
func (w *Watcher) forget(id types.UID, s *start) {
	if s.ended {
		w.waiting--
	}
	delete(w.starts, id)
	w.dirty = true
	if g := s.subject.Group; g.Is() {
		w.queue.Add(groupID(s.subject.Namespace, g.Key))
	}
}

// uid is a pod's UID in 16 bytes.
type uid [16]byte

func parseUID(id types.UID) uid {
	if u, err := uuid.Parse(string(id)); err == nil {
		return uid(u)
	}
	sum := sha256.Sum256([]byte(id)) // static pods have UIDs of other shapes
	return uid(sum[:16])
}
