// SPDX-License-Identifier: Apache-2.0

package group

import (
	"slices"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// Straggler is the member that the others waited for.
type Straggler struct {
	Member *Member
	Behind time.Duration // how much later it was than the median of the others
	Phase  string        // in which it lost most of that: one of phases, or PhaseCreation; empty: in none that is known
	Took   time.Duration // in that phase
	Others time.Duration // the median of the others' time in it
}

// Straggler finds the member that was last to run its container: where the others wait for it, they are ready no sooner than it
// is, and their leader last of all. For instance
//
//	leader    |run|······ waits for worker 2 ······|ready
//	worker 1  |run|······ waits for worker 2 ·····|ready
//	worker 2  |····· image_pull ·····|run|········|ready
//
// Where the kubelet probes all of them, those behind the leader that were ready later yet are told instead; and the leader, if
// nobody kept it waiting.
func (s *Start) Straggler() (Straggler, bool) {
	late, ok := last(s, s.Members, func(m *Member) time.Time { return m.Running }, false)
	if !ok || slices.ContainsFunc(s.Members, func(m *Member) bool { return m.Outcome != startup.OutcomeReady }) {
		return late, ok
	}
	ready := func(m *Member) time.Time { return m.Ended }
	behind := slices.DeleteFunc(slices.Clone(s.Members), func(m *Member) bool { return m.Group.Role == startup.GroupLeader })
	if r, ok := last(s, behind, ready, true); ok && r.Behind > late.Behind {
		late = r
	}
	if late.Behind < lateEnough {
		if r, ok := last(s, s.Members, ready, true); ok && r.Behind > late.Behind {
			late = r
		}
	}
	return late, true
}

// last is which of some members got somewhere last, and the phase that made it so; pod_ready is one where that was to be ready.
func last(s *Start, of []*Member, at func(*Member) time.Time, ready bool) (out Straggler, ok bool) {
	there := func(m *Member) bool { return !at(m).IsZero() }
	for _, m := range of {
		if there(m) && (out.Member == nil || at(m).After(at(out.Member))) {
			out.Member = m
		}
	}
	others := slices.DeleteFunc(slices.Clone(s.Members), func(m *Member) bool { return m == out.Member || !there(m) })
	if out.Member == nil || len(others) == 0 {
		return Straggler{}, false
	}
	begin := others[0].Created
	out.Behind = at(out.Member).Sub(begin) - median(others, func(m *Member) time.Duration { return at(m).Sub(begin) })
	consider := func(phase string, of func(*Member) time.Duration) {
		took, usual := of(out.Member), median(others, of)
		if took > usual && took-usual > out.Took-out.Others {
			out.Phase, out.Took, out.Others = phase, took, usual
		}
	}
	for i, phase := range phases {
		if phase != startup.SpanPodReady || ready {
			consider(phase, func(m *Member) time.Duration { return time.Duration(m.Took[i]) })
		}
	}
	consider(PhaseCreation, func(m *Member) time.Duration { return m.Created.Sub(s.Begin) })
	return out, true
}

// lateEnough is by how much the last of a group is behind the others before anybody waits for it: more than what edges that are
// known to the second can make up.
const lateEnough = 2 * time.Second

// HeldUp is the straggler, if it was late enough to hold the others up.
func (s *Start) HeldUp() (Straggler, bool) {
	late, ok := s.Straggler()
	return late, ok && late.Behind >= lateEnough
}

func median(members []*Member, of func(*Member) time.Duration) time.Duration {
	all := make([]time.Duration, len(members))
	for i, m := range members {
		all[i] = of(m)
	}
	return startup.Median(all)
}

// Slowest is the phase that took the member longest.
func (m *Member) Slowest() (phase string, took time.Duration) {
	for i, name := range phases {
		if d := time.Duration(m.Took[i]); d > took {
			phase, took = name, d
		}
	}
	return phase, took
}
