// SPDX-License-Identifier: Apache-2.0

package container

import (
	"time"

	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/startup"
)

// End ends the start: it failed, was terminated or took too long. exit is nil unless the command has ended.
func (s *Story) End(at time.Time, exit *recipe.Exit, reason startup.Reason) {
	if s.done {
		return
	}
	s.exit = exit
	if s.signal != 0 && reason != startup.ReasonTimedOut { // that is why, whatever else is said now
		exit, reason = &recipe.Exit{Signal: s.signal}, startup.ReasonTerminated
	}
	e := s.heardEngine()
	// It was ready before anybody could ask it. uvicorn says so before it binds its port, and exits with 1 if that is taken.
	if e != nil && exit != nil && (exit.Code == 0 || reason == startup.ReasonTerminated) {
		if t, ok := e.reader.Ready(); ok {
			s.Ready(t)
			return
		}
	}
	if e != nil && reason == startup.ReasonTimedOut && !s.serves(e) {
		if t, ok := e.reader.Initialised(at.Add(settlePhase)); ok { // no other rank will say more
			s.Ready(t)
			return
		}
	}
	if exit != nil && exit.Code == 0 && exit.Signal == 0 && s.begin.Role == startup.RoleBatch {
		s.finish(at)
		s.conclude(at, startup.OutcomeReady, "")
		return
	}
	blamed := false
	if e != nil {
		ending := exit
		if ending == nil {
			ending = &recipe.Exit{Signal: 9} // it is given up, in the middle of whatever it does: the reason is known
		}
		r := e.reader.Result(ending, at)
		if reason == "" {
			reason = r.Reason
		}
		if reason == "" {
			reason = reasonOf(exit)
		}
		blamed = true
		s.flushDownloads()
		s.blameEngine(e, r, at, reason)
	}
	if reason == "" && s.guess != nil {
		// It was gone before anybody saw whose process it was, but it may have said why.
		reason = s.guess.Result(exit, at).Reason
	}
	if reason == "" {
		reason = reasonOf(exit)
	}
	s.blameOthers(at, reason, blamed)
	s.conclude(at, startup.OutcomeFailed, reason)
}

// finish ends what was under way when the command ended well: its end was not seen yet.
func (s *Story) finish(at time.Time) {
	for _, d := range s.loading() {
		d.proc.End = at
		s.downloaded(d)
	}
	if s.ray != nil && s.ray.end.IsZero() && !s.ray.member {
		s.ray.end = at
	}
}

func (s *Story) blameEngine(e *engine, r recipe.Result, at time.Time, reason startup.Reason) {
	engine, initialised := e.reader.EngineReady()
	init := e.recipe.Init()
	for i := range r.Phases {
		p := &r.Phases[i]
		if !initialised && p.Name == init || p.Failure != "" {
			p.Failure = reason
			initialised = initialised && p.Name != init
		}
	}
	e.told = true
	s.sayEngine(r)
	if initialised && s.serves(e) {
		s.say(s.span(startup.SpanServerReady, engine, at, reason))
	}
}

// blameOthers ends what was under way, or what ended last before the command failed.
func (s *Story) blameOthers(at time.Time, reason startup.Reason, blamed bool) {
	for _, d := range s.loading() {
		d.proc.End = at
		why := reason
		if exitCode(why) {
			why = startup.ReasonDownloadFailed // with `set -e` it ended a moment before the command did
		}
		if s.downloaded(d) {
			s.sayDownload(d, why)
		}
		blamed = true
	}
	if s.ray != nil && s.ray.end.IsZero() {
		why := reason
		if exitCode(why) {
			why = startup.ReasonRayIncomplete
		}
		s.ray.end = at
		s.sayRay(why)
		blamed = true
	}
	if s.ray != nil && !s.ray.told && !blamed && at.Sub(s.ray.end) < time.Second && exitCode(reason) {
		s.sayRay(startup.ReasonRayIncomplete) // with `set -e` it is the last thing that happens
		blamed = true
	}
	if n := len(s.ended); n > 0 && !blamed {
		// With `set -e` a failed download is the last thing that happens.
		last := s.ended[n-1]
		if at.Sub(last.proc.End) < time.Second && exitCode(reason) || last.error {
			s.ended = s.ended[:n-1]
			s.sayDownload(last, startup.ReasonDownloadFailed)
		}
	}
}

// reasonOf names an exit.
func reasonOf(exit *recipe.Exit) startup.Reason {
	if exit == nil {
		return ""
	}
	return startup.Exited(exit.Code, exit.Signal)
}

// exitCode tells a reason that says no more than the status does.
func exitCode(reason startup.Reason) bool { return reason.Kind() == startup.ReasonExitCode }
