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
	anew := r.anew(&l, rule.Mark)
	if anew {
		r.again(l)
	}
	switch s := r.start; rule.Mark {
	case "":
	case markPrompt:
		if !anew {
			s.prompt = prompt{at: l.at, stamp: string(l.stamp), since: l.since, last: !hasPID(l.rank)}
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
	case markAside, markThread:
		r.aside[rank] = rule.Mark
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
func (r *Reader) anew(l *line, m mark) bool {
	s, rank := r.start, string(l.rank)
	if r.options.One || m == "" {
		return false
	}
	_, paused := s.paused()
	paused = paused && l.own
	switch m {
	case markPrompt:
		// Before a server has introduced itself there is one process: what it died of ended it.
		unnamed := !s.passed(markLaunch) && !s.passed(markEngine) && !hasPID(l.rank)
		return !s.ready.IsZero() || unnamed && l.own && s.over() && l.at.After(s.measured)
	case markLaunch:
		return paused || (s.over() || s.begun() || s.exit != nil && s.passed(markLaunch)) && !siblings(s.server, rank)
	case markEngine:
		return paused && len(s.engines) > 0 || s.over() && len(s.engines) > 0 && !s.another(rank) || s.engines[rank] && s.moved || s.followed(rank)
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

// again begins another launch with a line. Where the one before was over, what has been said since is of the new one.
func (r *Reader) again(l line) {
	before, end := r.start, l.since
	pause, paused := before.paused()
	prompted := !before.prompt.at.IsZero() && (before.over() || !before.engineTime().IsZero() && before.prompt.at.After(before.engineTime()) ||
		paused && !before.prompt.at.Before(pause.End) || before.prompt.last)
	if prompted {
		end = before.prompt.since
	}
	if paused {
		end = startup.Earlier(end, pause.Start)
	}
	if before.exit != nil {
		end = before.exit.at
	}
	outcome, reason := before.outcome(nil)
	if len(r.earlier) == MaxEarlier {
		r.earlier = r.earlier[1:]
	}
	heard := len(before.stages)+len(before.order)+len(before.failures) > 0 // else it was another program's
	if !before.first.IsZero() && heard && outcome != OutcomeReady {
		r.earlier = append(r.earlier, Launch{Start: cmp.Or(r.options.Start, before.first), End: startup.Later(end, before.first), Outcome: outcome, Reason: reason})
	}
	r.relaunch(end)
	r.start.version = before.version
	switch {
	case prompted:
		r.start.first, r.start.firstStamp, r.start.spoke = before.prompt.at, before.prompt.stamp, true
		r.start.enter(startup.SpanEngineConfig, before.prompt.at)
	case paused:
		r.start.first = pause.End
	}
}

// relaunch forgets the launch that was: where its process is known to have begun, the next one's began when it ended.
func (r *Reader) relaunch(end time.Time) {
	if !r.options.Start.IsZero() {
		r.options.Start = startup.Later(end, r.options.Start)
	}
	r.start = newLaunch()
}
