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
	Phase  string        // in which it lost most of that: one of Phases, or PhaseCreation; empty: in none that is known
	Took   time.Duration // in that phase
	Others time.Duration // the median of the others' time in it
}

// Straggler finds the member that was last. Where Kubernetes knows of all when they were ready, that is compared; else when their
// containers ran, since of a worker that nothing probes nobody knows more, and its leader was ready last by its nature.
func (s *Start) Straggler() (Straggler, bool) {
	probed := !slices.ContainsFunc(s.Members, func(m *Member) bool { return m.Outcome != startup.OutcomeReady })
	at := func(m *Member) time.Time {
		if probed {
			return m.Ended
		}
		return m.Running
	}
	var last *Member
	there := slices.DeleteFunc(slices.Clone(s.Members), func(m *Member) bool { return at(m).IsZero() })
	for _, m := range there {
		if last == nil || at(m).After(at(last)) {
			last = m
		}
	}
	if len(there) < 2 {
		return Straggler{}, false
	}
	others := slices.DeleteFunc(there, func(m *Member) bool { return m == last })
	begin := others[0].Created
	out := Straggler{Member: last, Behind: at(last).Sub(begin) - median(others, func(m *Member) time.Duration { return at(m).Sub(begin) })}
	consider := func(phase string, of func(*Member) time.Duration) {
		took, usual := of(last), median(others, of)
		if took > usual && took-usual > out.Took-out.Others {
			out.Phase, out.Took, out.Others = phase, took, usual
		}
	}
	for i, phase := range Phases {
		if phase != startup.SpanPodReady || probed {
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

// median of an even number is the lower of the two in the middle: a time that some member had.
func median(members []*Member, of func(*Member) time.Duration) time.Duration {
	all := make([]time.Duration, len(members))
	for i, m := range members {
		all[i] = of(m)
	}
	slices.Sort(all)
	return all[(len(all)-1)/2]
}

// Slowest is the phase that took the member longest.
func (m *Member) Slowest() (phase string, took time.Duration) {
	for i, name := range Phases {
		if d := time.Duration(m.Took[i]); d > took {
			phase, took = name, d
		}
	}
	return phase, took
}
