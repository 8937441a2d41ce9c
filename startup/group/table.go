// SPDX-License-Identifier: Apache-2.0

package group

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// Table holds the members of groups whose start goes on. It is not safe for concurrent use.
type Table struct {
	groups  map[ref]*held
	members int
}

// ref names a group in a cluster.
type ref struct{ namespace, key string }

// held is what is known of a group: the members of its newest makings, and the parts that are done with.
type held struct {
	members map[string]*Member // by UID
	done    []Part
	lost    bool // there was no room for a member: nothing true can be told
}

// Bounds. A member has about 630 bytes, a group whose starts are all told about 400.
const (
	MaxMembers   = 20000 // in all
	maxGroups    = 20000
	maxDoneParts = 64 // of one group: a making has two, or as many as it has cliques
)

// Put adds what is known of a member, and tells whether there was room for it, and whether it is news. What is known of a start
// that is over is not taken back.
func (t *Table) Put(m Member) (fits, news bool) {
	h := t.of(ref{m.Namespace, m.Group.Key})
	known := h.members[m.UID]
	switch {
	case known != nil && (known.over() || !m.over()):
		known.GPU = cmp.Or(known.GPU, m.GPU) // its node was asked since
		return true, false
	case known != nil:
		m.Gone = m.Gone || known.Gone
	case t.members >= MaxMembers:
		h.lost = true
		return false, false
	default:
		t.members++
	}
	h.members[m.UID] = &m
	return true, true
}

// Told tells whether the making that a member is of is done with.
func (t *Table) Told(m *Member) bool {
	h := t.groups[ref{m.Namespace, m.Group.Key}]
	return h != nil && slices.ContainsFunc(h.done, PartOf(m).is)
}

func (t *Table) of(at ref) *held {
	if t.groups == nil {
		t.groups = map[ref]*held{}
	}
	h := t.groups[at]
	if h == nil {
		if len(t.groups) >= maxGroups {
			t.prune()
		}
		h = &held{members: map[string]*Member{}}
		t.groups[at] = h
	}
	return h
}

// prune drops a quarter of the groups of which nothing goes on: those for whose only members there was no room, then those made
// first.
func (t *Table) prune() {
	first := map[ref]time.Time{}
	for at, h := range t.groups {
		if len(h.members) > 0 {
			continue
		}
		first[at] = time.Time{}
		if len(h.done) > 0 {
			first[at] = h.done[len(h.done)-1].First
		}
	}
	old := slices.SortedFunc(maps.Keys(first), func(a, b ref) int { return first[a].Compare(first[b]) })
	for _, at := range old[:(len(old)+3)/4] {
		delete(t.groups, at)
	}
}

// Gone takes that a pod no longer exists, and tells whether it is a member's.
func (t *Table) Gone(namespace, key, uid string) bool {
	h := t.groups[ref{namespace, key}]
	if h == nil || h.members[uid] == nil {
		return false
	}
	h.members[uid].Gone = true
	return true
}

// Done takes that the making of a part is told, or was over before anybody watched. Its members, and those that come later, are
// of no start any more.
func (t *Table) Done(namespace, key string, parts ...Part) {
	h := t.of(ref{namespace, key})
	for _, p := range parts {
		if i := slices.IndexFunc(h.done, p.is); i < 0 {
			h.done = append(h.done, p)
		} else {
			if p.First.Before(h.done[i].First) {
				h.done[i].First = p.First
			}
			if len(p.leaders) > 0 {
				h.done[i].leaders = p.leaders
			}
		}
	}
	slices.SortFunc(h.done, func(a, b Part) int {
		return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Generation, b.Generation))
	})
	h.done = h.done[max(0, len(h.done)-maxDoneParts):]
}

// Forget drops the groups of a namespace.
func (t *Table) Forget(namespace string) {
	for at, h := range t.groups {
		if at.namespace == namespace {
			t.members -= len(h.members)
			delete(t.groups, at)
		}
	}
}

// Starts are the makings of a group that are not done with, the oldest first. Members of others are dropped.
func (t *Table) Starts(namespace, key string, now time.Time) []Start {
	h := t.groups[ref{namespace, key}]
	if h == nil {
		return nil
	}
	var out []Start
	for i, g := range generations(slices.Collect(maps.Values(h.members)), h.done) {
		if g.done {
			for _, m := range g.members {
				delete(h.members, m.UID)
				t.members--
			}
			t.Done(namespace, key, g.parts...)
			continue
		}
		s := g.start(i > 0, now)
		s.Partial = s.Partial || h.lost
		out = append(out, s)
	}
	h.lost = h.lost && len(out) > 0
	return out
}

// Over are members whose own starts are over, those created first first, and so many at most.
func (t *Table) Over(most int) []Member {
	out := t.those((*Member).over)
	return out[:min(most, len(out))]
}

// Members are all that are held, those created first first.
func (t *Table) Members() []Member { return t.those(func(*Member) bool { return true }) }

func (t *Table) those(are func(*Member) bool) []Member {
	var out []Member
	for _, h := range t.groups {
		for _, m := range h.members {
			if are(m) {
				out = append(out, *m)
			}
		}
	}
	slices.SortFunc(out, func(a, b Member) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.UID, b.UID)) })
	return out
}

// Keys are the groups of a namespace.
func (t *Table) Keys(namespace string) []string {
	var out []string
	for at := range t.groups {
		if at.namespace == namespace {
			out = append(out, at.key)
		}
	}
	slices.Sort(out)
	return out
}

// Links lead from a member's pod_startup to those of the others: of a leader to all, of another to its leaders.
// Where nobody leads, those that serve lead to all.
func (t *Table) Links(s startup.Subject, now time.Time) []startup.Link {
	h := t.groups[ref{s.Namespace, s.Group.Key}]
	if h == nil {
		return nil
	}
	var of *generation
	for _, g := range generations(slices.Collect(maps.Values(h.members)), h.done) {
		self := PartOf(&Member{UID: s.PodUID, Group: s.Group})
		if slices.ContainsFunc(g.parts, self.is) {
			of = g
		}
	}
	if of == nil {
		return nil
	}
	var to []leader
	for _, p := range of.parts {
		to = append(to, p.leaders...)
	}
	if s.Group.Role == startup.GroupLeader || len(to) == 0 && s.Group.Role == startup.GroupServer {
		start := of.start(false, now)
		for _, m := range start.Members {
			to = append(to, leader{m.UID, m.Name})
		}
	}
	slices.SortFunc(to, func(a, b leader) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.uid, b.uid)) })
	var out []startup.Link
	for _, l := range slices.Compact(to) {
		if l.uid != s.PodUID {
			out = append(out, startup.Link{PodName: l.name, Context: startup.Subject{PodUID: l.uid, Hash: s.Hash}.SpanContext(startup.SpanPodStartup)})
		}
	}
	return out
}
