// SPDX-License-Identifier: Apache-2.0

package group

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// Start is the start of one making of a group.
type Start struct {
	Namespace string
	Key       string
	Members   []*Member // each in its place: pods that were replaced are not among them. Leaders first
	Size      int       // in pods: as it is declared, else those that there are
	Begin     time.Time // when its first pod was created
	End       time.Time // zero: it goes on
	Outcome   string    // one of startup's; empty: it goes on
	// Missing are members that never came, by what they would be called: the first of them, if they are many.
	Missing []string
	lacking int // how many are not there: they never came, or failed and nothing says which pod is in their place
	Parts   []Part
	Limit   time.Time // when it is given up
	// Partial: nobody can tell. Of an earlier making of the group pods may well be left that this one goes on with, or there was no
	// room for all of its members.
	Partial bool
}

// start tells one making. now decides only whether it took longer than anybody waits. Pods that are created once it is ready, in place
// of others or since more are needed, are of no start of the group: whoever tells it at the time does not know of them.
func (g *generation) start(earlier bool, now time.Time) Start {
	created := slices.SortedFunc(slices.Values(g.members), func(a, b *Member) int { return a.Created.Compare(b.Created) })
	var first time.Time // when the group was ready at the earliest: when one of its pods was, as far as nothing better is known
	for _, m := range created {
		if m.decides() && m.Well() && (first.IsZero() || m.Ended.Before(first)) {
			first = m.Ended
		}
	}
	before := places{latest: map[string]*Member{}}
	for i, m := range created {
		if !first.IsZero() && m.Created.After(first) && before.mayBeReady() {
			switch s := g.of(created[:i], earlier, now); {
			case !s.Well():
			case s.End.Before(m.Created):
				return s
			default:
				first = s.End
			}
		}
		before.take(m)
	}
	return g.of(created, earlier, now)
}

// places are those of a group that pods have taken. They tell at a glance that it is not ready: pods that fail are replaced by the
// thousand, and to tell the making anew before each of them would take the longer the more there were.
type places struct {
	latest map[string]*Member // by slot
	size   int                // as it is declared; 0: it is not
	filled int                // by pods that are not lost
	open   int                // of those, by pods that decide and are not well
	lost   int                // that decide
}

func (p *places) take(m *Member) {
	p.size = max(p.size, m.Group.Size)
	known := p.latest[m.slot()]
	if !m.replaces(known) {
		return
	}
	if known != nil {
		p.count(known, -1)
	}
	p.latest[m.slot()] = m
	p.count(m, 1)
}

func (p *places) count(m *Member, n int) {
	bad := 0
	if m.decides() && !m.Well() {
		bad = n
	}
	if m.lost() {
		p.lost += bad
		return
	}
	p.filled, p.open = p.filled+n, p.open+bad
}

// mayBeReady is false of a group that of does not tell to be: one whose size is not declared misses those it has lost.
func (p *places) mayBeReady() bool {
	return p.filled >= p.size && p.open == 0 && (p.size > 0 || p.lost == 0)
}

// of tells the making as if it had these pods alone.
func (g *generation) of(members []*Member, earlier bool, now time.Time) Start {
	s := Start{Parts: g.parts}
	latest := map[string]*Member{}
	failed := false
	for _, m := range members {
		s.Namespace, s.Key = m.Namespace, m.Group.Key
		if s.Begin.IsZero() || m.Created.Before(s.Begin) {
			s.Begin = m.Created
		}
		s.Limit = startup.Later(s.Limit, m.Created.Add(m.Timeout))
		failed = failed || m.Outcome == startup.OutcomeFailed
		if m.replaces(latest[m.slot()]) {
			latest[m.slot()] = m
		}
		s.Size = max(s.Size, m.Group.Size)
	}
	for _, m := range latest {
		s.Members = append(s.Members, m)
	}
	slices.SortFunc(s.Members, byPlace)
	s.fill()
	s.Partial = earlier && s.lacking > 0 && !slices.ContainsFunc(s.Members, func(m *Member) bool { return !m.Well() })
	s.conclude(failed, now)
	return s
}

// fill says who is missing, by the places that are taken. Pods that nothing numbers and that failed were replaced by others, once
// those are there.
func (s *Start) fill() {
	declared := s.Size
	if declared == 0 {
		if !slices.ContainsFunc(s.Members, func(m *Member) bool { return m.Group.Role == startup.GroupLeader }) {
			s.Missing, s.lacking = []string{string(startup.GroupLeader)}, 1
		}
		s.Size = len(s.Members)
		return
	}
	there := slices.DeleteFunc(slices.Clone(s.Members), (*Member).lost)
	if s.lacking = declared - len(there); s.lacking <= 0 {
		s.Members = there
		return
	}
	never := declared - len(s.Members)
	taken, ok := s.numbered()
	switch {
	case never <= 0:
		return
	case !ok:
		s.Missing = []string{fmt.Sprintf("%d of %d pods", never, declared)}
		return
	}
	of := "pod "
	if strings.HasPrefix(s.Key, "lws/") {
		of = "worker "
	}
	for i := 0; i < declared && len(s.Missing) < min(never, mostNamed); i++ {
		switch {
		case taken[i]:
		case i == 0:
			s.Missing = append(s.Missing, string(startup.GroupLeader))
		default:
			s.Missing = append(s.Missing, of+strconv.Itoa(i))
		}
	}
	if more := never - len(s.Missing); more > 0 {
		s.Missing = append(s.Missing, strconv.Itoa(more)+" more")
	}
}

// mostNamed is how many that never came are named: a pod may say that its group has a billion.
const mostNamed = 20

// numbered tells which numbers are taken, where all members count up from one leader.
func (s *Start) numbered() (taken map[int]bool, ok bool) {
	taken = map[int]bool{}
	for _, m := range s.Members {
		i := m.Group.Index
		if i == nil || taken[*i] || *i == 0 && m.Group.Role != startup.GroupLeader {
			return nil, false
		}
		taken[*i] = true
	}
	return taken, true
}

// conclude tells how the start ended, if it did: it was ready when the last that decides was; it failed with a leader that owns
// the others, or when none of its pods is left that could become ready, or when it took too long.
func (s *Start) conclude(failed bool, now time.Time) {
	var well, bad, last time.Time
	best, going, lost, left := "", false, false, false
	for _, m := range s.Members {
		last = startup.Later(last, m.Ended)
		left = left || !m.Gone && (m.Well() || !m.over())
		switch {
		case !m.decides():
		case !m.over():
			going = true
		case m.Well():
			well, best = startup.Later(well, m.Ended), better(best, m.Outcome)
		default:
			bad, lost = startup.Later(bad, m.Ended), lost || m.Group.Leads(m.UID)
		}
	}
	switch {
	case s.lacking <= 0 && best != "" && !going && bad.IsZero():
		s.End, s.Outcome = well, best
		return
	case lost, !left && !bad.IsZero():
		s.End, s.Outcome = bad, startup.OutcomeDeleted
	case !left && !last.IsZero():
		s.End, s.Outcome = last, startup.OutcomeDeleted
	case !now.Before(s.Limit):
		s.End, s.Outcome = s.Limit, startup.OutcomeTimedOut
	default:
		return
	}
	if failed {
		s.Outcome = startup.OutcomeFailed
	} else if slices.ContainsFunc(s.Members, func(m *Member) bool { return m.Outcome == startup.OutcomeTimedOut }) {
		s.Outcome = startup.OutcomeTimedOut
	}
}

// Well tells whether the group became ready.
func (s *Start) Well() bool { return better(s.Outcome, "") != "" }

// Unwatched tells whether all that could tell when the group was ready was over long before anybody watched.
func (s *Start) Unwatched() bool {
	deciding := slices.DeleteFunc(slices.Clone(s.Members), func(m *Member) bool { return !m.decides() })
	return len(deciding) > 0 && !slices.ContainsFunc(deciding, func(m *Member) bool { return !m.Unwatched })
}

// better is the outcome that tells more of whether the group serves.
func better(a, b string) string {
	order := []string{startup.OutcomeCompleted, startup.OutcomeStarted, startup.OutcomeReady}
	if i := max(slices.Index(order, a), slices.Index(order, b)); i >= 0 {
		return order[i]
	}
	return ""
}
