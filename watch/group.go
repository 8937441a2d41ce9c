// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"cmp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/group"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// groupItem begins what the queue has for a group, in place of a pod's UID.
const groupItem = "group:"

func groupID(namespace, key string) types.UID { return types.UID(groupItem + namespace + "/" + key) }

// afterLimit is how long after its limit a group that goes on is given up: its pods' starts are given up first.
const afterLimit = 2 * time.Second

// join puts a start into its group, with its end once it has one, and the group into the queue. The caller holds the lock.
func (w *Watcher) join(s *start, t pod.Timeline) {
	if s.subject.Group.Is() && !s.facts.Created().IsZero() { // of one that was shed its pod tells, when it is seen
		w.joinAs(s, s.facts.Created(), t)
	}
}

func (w *Watcher) joinAs(s *start, created time.Time, t pod.Timeline) {
	m := group.Of(s.subject, created)
	m.Untraced, m.Unwatched, m.Timeout, m.Gone = s.quiet, s.unwatched, s.timeout, s.gone
	if t.Outcome != pod.Open && len(t.Spans) > 0 {
		for i := range t.Spans {
			sp := &t.Spans[i]
			m.Add(sp.Name, sp.Start, sp.End, sp.Failure != "")
		}
		m.Outcome, m.Ended, m.Failure = string(t.Outcome), t.Spans[0].End, t.Spans[0].Failure
	}
	switch fits, news := w.putMember(m); {
	case !fits:
		w.metrics.groups.WithLabelValues("dropped").Inc()
	case news:
		if w.groups.Told(&m) {
			w.rememberPart(m.Namespace, m.Group.Key, group.PartOf(&m), created)
		}
		w.dirty = true
		w.queue.Add(groupID(m.Namespace, m.Group.Key))
	}
}

// putMember takes what is known of a member. That its part was told by a leader before is known at once. The caller holds the lock.
func (w *Watcher) putMember(m group.Member) (fits, news bool) {
	fits, news = w.groups.Put(m)
	if p := group.PartOf(&m); news && w.partKnown(m.Namespace, m.Group.Key, p) {
		w.groups.Done(m.Namespace, m.Group.Key, p)
	}
	return fits, news
}

// rememberPart notes that a part is done with, for leaders to come, until pods that were created by then are older than any start
// can be. Pods that join it later prolong that, such as those of a StatefulSet that was scaled to zero and back: else a leader that
// comes then would tell what this one does not. The caller holds the lock.
func (w *Watcher) rememberPart(namespace, key string, p group.Part, by time.Time) {
	id := uid(p.ID(namespace, key))
	w.restored.recent[id] = max(w.restored.recent[id], uint32(by.Unix())) //nolint:gosec // until 2106
}

// joinOver puts a pod into its group whose own start is none to tell any more. What is older than any start can be is of a group
// that was told. The caller holds the lock.
func (w *Watcher) joinOver(n *namespace, p *corev1.Pod, t pod.Timeline, unwatched bool) {
	s, _ := w.candidate(n, p)
	if !s.subject.Group.Is() {
		return
	}
	if w.restored.before(p.CreationTimestamp.Time) {
		m := group.Of(s.subject, p.CreationTimestamp.Time)
		w.groups.Done(n.name, s.subject.Group.Key, group.PartOf(&m))
		return
	}
	s.unwatched = unwatched
	w.joinAs(s, p.CreationTimestamp.Time, t)
}

// leaveGroup takes that a pod is gone whose start was told. The caller holds the lock.
func (w *Watcher) leaveGroup(n *namespace, p *corev1.Pod) {
	s, _ := w.candidate(n, p)
	if g := s.subject.Group; g.Is() && w.groups.Gone(n.name, g.Key, string(p.UID)) {
		w.queue.Add(groupID(n.name, g.Key))
	}
}

// groupsListed looks at the groups of a namespace whose lists are complete: members of the checkpoint that are in none went while
// nobody watched. The caller holds the lock.
func (w *Watcher) groupsListed(n *namespace) {
	if !n.listed() {
		return
	}
	for _, m := range w.groups.Members() {
		_, marked := n.marks[parseUID(types.UID(m.UID))]
		if m.Namespace == n.name && !marked && w.starts[types.UID(m.UID)] == nil {
			w.groups.Gone(m.Namespace, m.Group.Key, m.UID)
		}
	}
	for _, key := range w.groups.Keys(n.name) {
		w.queue.Add(groupID(n.name, key))
	}
}

// tellGroup tells the starts of a group that are over. It returns after how long to look again, 0 for when there is news.
func (w *Watcher) tellGroup(item types.UID) time.Duration {
	namespace, key, _ := strings.Cut(strings.TrimPrefix(string(item), groupItem), "/")
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.namespaces[namespace]
	if n == nil || !n.listed() {
		return 0 // the lists' ends put all groups of the namespace into the queue
	}
	if w.outbox.stuck() {
		return outboxInterval // the next leader can tell it as well
	}
	now := w.cfg.Clock.Now()
	var again time.Duration
	for _, s := range w.groups.Starts(namespace, key, now.Add(-afterLimit)) {
		switch {
		case w.groupKnown(&s):
		case s.Outcome == "":
			again = sooner(again, max(time.Second, s.Limit.Add(afterLimit).Sub(now)))
			continue
		case w.undelivered(&s):
			continue // forget puts the group into the queue
		case w.unplaced(&s):
			again = sooner(again, time.Second)
			continue
		default:
			w.tell(&s)
		}
		w.groups.Done(namespace, key, s.Parts...)
		for _, p := range s.Parts {
			w.rememberPart(namespace, key, p, cmp.Or(s.End, s.Begin))
		}
		w.dirty = true
	}
	return again
}

// undelivered tells whether a member has ended whose own start is not delivered. Once a checkpoint has the group as told its members are
// in none, and a leader that comes then would tell that start without its links. The caller holds the lock.
func (w *Watcher) undelivered(s *group.Start) bool {
	return slices.ContainsFunc(s.Members, func(m *group.Member) bool { return m.Outcome != "" && w.starts[types.UID(m.UID)] != nil })
}

// unplaced tells whether a member's node is still to be asked for its GPU: a head without one can be ready before. The caller holds
// the lock.
func (w *Watcher) unplaced(s *group.Start) bool {
	return slices.ContainsFunc(s.Members, func(m *group.Member) bool {
		of := w.starts[types.UID(m.UID)]
		return m.GPU == "" && !m.Untraced && of != nil && !of.node && of.facts != nil && of.facts.Node != ""
	})
}

// groupKnown tells whether a start was told, by this leader or one before. The caller holds the lock.
func (w *Watcher) groupKnown(s *group.Start) bool {
	return slices.ContainsFunc(s.Parts, func(p group.Part) bool { return w.partKnown(s.Namespace, s.Key, p) })
}

func (w *Watcher) partKnown(namespace, key string, p group.Part) bool {
	_, known := w.restored.recent[uid(p.ID(namespace, key))]
	return known
}

// tell measures a start that is over. What was over before its namespace was first watched, what has no endpoint, and what may go
// on with pods of an earlier making, is no start to tell. The caller holds the lock.
func (w *Watcher) tell(s *group.Start) {
	ms := s.Measurements()
	if s.Partial || s.Unwatched() || len(ms) == 0 {
		return
	}
	w.outbox.measure(w, ms)
	w.metrics.groups.WithLabelValues(s.Outcome).Inc()
	if s.Well() {
		return
	}
	var late []string
	for _, m := range s.Members {
		if !m.Well() {
			late = append(late, m.Label())
		}
	}
	w.cfg.Log.Info("A group did not get ready.", "namespace", s.Namespace, "group", s.Key, "outcome", s.Outcome,
		"pods", len(s.Members), "size", s.Size, "missing", s.Missing, "notReady", late)
}

// link adds to the root what leads to the starts of the other pods of its group. They are found once: a repeat has the
// same. The caller holds the lock.
func (w *Watcher) link(s *start, spans []startup.Span) {
	for i := range spans {
		if spans[i].Name != startup.SpanPodStartup || !s.subject.Group.Is() {
			continue
		}
		if !s.linked {
			s.links, s.linked = w.groups.Links(s.subject, w.cfg.Clock.Now()), true
		}
		spans[i].Links = s.links
	}
}
