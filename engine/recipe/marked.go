// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"cmp"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// marked moves the start past a point, or to a new launch.
func (r *Reader) marked(l line, rule *rule, c capture) {
	rank := string(l.rank)
	r.start.counted(c, l.at)
	anew := r.anew(rule.Mark, rank)
	if anew {
		r.again(l.since)
	}
	switch s := r.start; rule.Mark {
	case "":
	case markPrompt:
		if !anew {
			s.prompt = prompt{l.at, string(l.stamp), l.since}
		}
	case markLaunch:
		s.server = rank
		s.at[markLaunch] = l.at
	case markEngine:
		s.engines[rank] = true
		s.at[markEngine] = l.at
	case markEngineReady:
		s.engineReady(l.at, rank)
		s.at[markEngineReady] = l.at
	case markEngineUp, markWorking, markServing:
		s.engineUp(l.at)
		s.at[rule.Mark] = l.at
	case markReady:
		s.up(l.at, rank)
	case markInterrupted:
		s.interrupt(l.at, rank)
	case markClient:
		r.client = r.client || !r.Introduced()
	case markException:
		r.excepted(l, rank)
	case markChained:
		if len(s.chained) < maxRanks {
			s.chained[rank] = true
		}
	default:
		s.at[rule.Mark] = l.at
	}
}

// counted takes how many processes there are, and which node this is.
func (s *launch) counted(c capture, at time.Time) {
	for _, kind := range [...]string{"engines", "servers"} {
		if n, ok := c.number(kind); ok {
			s.expected[kind] = n
		}
	}
	if n, ok := c.number("node"); ok && n > 0 {
		s.at[markHeadless] = at
	}
}

// anew says whether a mark begins another launch.
func (r *Reader) anew(m mark, rank string) bool {
	s := r.start
	switch {
	case r.options.One:
		return false
	case m == markPrompt:
		return !s.ready.IsZero()
	case m == markLaunch:
		return (s.over() || s.begun()) && !siblings(s.server, rank)
	case m == markEngine:
		return s.over() && !s.another(rank) || s.engines[rank] && s.moved || s.followed(rank)
	}
	return false
}

// up takes a server's word that it serves: the start is ready with the last of them.
func (s *launch) up(at time.Time, rank string) {
	s.engineUp(at)
	s.at[markReady] = at
	if s.serves(rank) && s.ready.IsZero() {
		s.ready, s.readyStamp, s.prompt = at, s.lastStamp, prompt{}
	}
}

// MaxEarlier bounds what a loop of crashes may hold.
const MaxEarlier = 32

// again begins another launch after a line. Where the one before was over, what has been said since is of the new one.
func (r *Reader) again(end time.Time) {
	before := r.start
	prompted := !before.prompt.at.IsZero() && (before.over() || !before.engineTime().IsZero() && before.prompt.at.After(before.engineTime()))
	if prompted {
		end = before.prompt.since
	}
	outcome, reason := before.outcome(nil)
	if len(r.earlier) == MaxEarlier {
		r.earlier = r.earlier[1:]
	}
	if !before.first.IsZero() && outcome != OutcomeReady {
		r.earlier = append(r.earlier, Earlier{Start: cmp.Or(r.options.Start, before.first), End: startup.Later(end, before.first), Outcome: outcome, Reason: reason})
	}
	r.relaunch(end)
	if prompted {
		r.start.first, r.start.firstStamp, r.start.spoke = before.prompt.at, before.prompt.stamp, true
	}
}

// relaunch forgets the launch that was: where its process is known to have begun, the next one's began when it ended.
func (r *Reader) relaunch(end time.Time) {
	if !r.options.Start.IsZero() {
		r.options.Start = startup.Later(end, r.options.Start)
	}
	r.start = newLaunch()
}
