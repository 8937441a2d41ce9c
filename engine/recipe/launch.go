// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"cmp"
	"slices"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// launch is what is known of one start of the engine. A stream may hold several; the last one counts.
type launch struct {
	first      time.Time // first line of the engine's logger
	lentFirst  bool      // which is a time of the launch before
	measured   time.Time // last line that told of more than who introduces itself
	firstStamp string
	lastStamp  string // last one before ready
	readyStamp string
	version    string
	server     string // process prefix of the line that introduced it
	told       bool   // something was said of an engine
	spoke      bool   // the engine's own logger was heard, not only bars and warnings
	drew       bool   // a bar came before its first word
	prompt     prompt

	at      map[mark]time.Time
	engines map[string]bool // ranks that said they initialise an engine
	chained map[string]bool // ranks whose next traceback belongs to the one before

	strong time.Time // engine ready by its own word
	weak   time.Time // something happened that needs a ready engine
	ready  time.Time

	tracks    map[string]*track // phase -> its edges
	order     []string
	stages    []stage
	lent      time.Time // of the last stage that a line without a time told of
	hush      hush
	sets      map[string]string               // attributes that a phase gets when it ends
	figures   map[string]map[string][]float64 // figure -> rank -> values
	failures  []failure
	exit      *exit
	container string        // docker compose's name of the one that the last line of the engine's was of
	moved     bool          // something was measured
	fetched   bool          // a download was over before a load began: TGI's, NIM's
	stated    time.Duration // of all that was, where no line has a time

	expected map[string]float64 // how many there are of a kind of process, by the log's word
	parts    map[string]bool    // ranks whose engine, or part of one, is initialised
	met      []byte             // the rank of the last line
	servers  map[string]bool    // API servers that have a number
	serving  map[string]int     // how often a process said that it serves, "" for those that don't give their name
}

func newLaunch() *launch {
	return &launch{
		at: map[mark]time.Time{}, engines: map[string]bool{}, chained: map[string]bool{}, tracks: map[string]*track{},
		figures: map[string]map[string][]float64{}, expected: map[string]float64{}, parts: map[string]bool{}, servers: map[string]bool{},
		serving: map[string]int{}, sets: map[string]string{},
	}
}

// maxRanks bounds what one phase or figure may hold, whatever a log says.
const maxRanks = 4096

// seen takes a logger's line. telling: it says something of an engine, in a log that may hold another program's lines, too.
func (s *launch) seen(l *line, telling bool) {
	at, h := l.at, &l.head
	if s.first.IsZero() || telling && !s.told && apart(s.first, at) || s.lentFirst && at.After(s.first) {
		for i := range s.stages {
			s.stages[i].at = startup.Later(s.stages[i].at, at)
		}
		s.first, s.hush = at, hush{} // what was before is another program's, or by another clock
	}
	s.lentFirst = s.lentFirst && !l.own
	s.told = s.told || telling
	s.meet(h.rank)
	if s.firstStamp == "" && h.stamp != nil {
		s.firstStamp = string(h.stamp)
	}
}

// exit is that of the launch's process by the word of whoever ran it, if the engine said no more after that.
type exit struct {
	at     time.Time
	status *Exit // nil: it ended, nobody says how
}

// exited takes such a word: the first that has a status. How it ended is no cause where one was told of.
func (r *Reader) exited(l *line, rule *rule, c capture) {
	s := r.start
	status, bad := stated(c)
	if !bad || string(l.level) == "WARNING" || s.outlived(failure{}) {
		return // it goes on without, and what ends a batch is none of the start's
	}
	if s.exit != nil && (s.exit.status != nil || status == nil && rule.Fails == "") {
		return
	}
	s.exit, s.measured = &exit{l.by, status}, startup.Later(s.measured, l.at)
	reason := rule.Fails
	if status != nil && died[status.Signal] != "" {
		reason = died[status.Signal]
		if r.raised == r.pass {
			s.unraise(string(l.rank)) // the exception of who ran it
		}
	}
	if reason != "" {
		s.fail(l.at, failure{reason: reason, rank: string(l.rank), at: l.by, class: generic})
	}
}

// stated is the status that a line states, if any; bad: it is not that of who ended well, which has died of nothing and may be another.
func stated(c capture) (status *Exit, bad bool) {
	if code, ok := c.number("code"); ok {
		switch {
		case code > 0 && code < 256:
			return &Exit{Code: int(code)}, true
		case code < 0 && code > -65: // as Python has signals
			return &Exit{Signal: -int(code)}, true
		}
		return nil, false
	}
	if signal, ok := c.number("signal"); ok {
		return &Exit{Signal: int(signal)}, true
	}
	return nil, true
}

// ended: nothing more is to come of this launch.
func (s *launch) ended() bool {
	return !s.ready.IsZero() || slices.ContainsFunc(s.failures, func(f failure) bool { return f.hard || f.class == interrupted })
}

// over: another launch is a new start. An exception may have been survived, so it alone ends nothing.
func (s *launch) over() bool {
	return s.ended() || slices.ContainsFunc(s.failures, func(f failure) bool { return f.class >= caught })
}

// prompt is a process's first line after the launch was over, which may turn out to be that of another one.
type prompt struct {
	at    time.Time
	stamp string
	since time.Time // of the line before
	last  bool      // introductions alone came after it
}

// paused is the silence in which one program may have ended and another begun: a long one, and introductions alone came
// after it. Two logs of an engine in one file have it, and whoever waits before a crashed engine is started again.
func (s *launch) paused() (pause Silence, found bool) {
	for _, quiet := range s.hush.times {
		if quiet.Length() > stepAhead && !quiet.Start.Before(s.measured) && quiet.Start.After(pause.Start) {
			pause, found = quiet, true
		}
	}
	return pause, found
}

// begun: more than introductions were made.
func (s *launch) begun() bool { return s.moved || len(s.engines) > 0 || !s.engineTime().IsZero() }

func (s *launch) passed(needs mark) bool {
	switch needs {
	case "":
		return true
	case markEngineUp:
		return !s.engineTime().IsZero()
	}
	return !s.at[needs].IsZero()
}

func (s *launch) engineReady(at time.Time, rank string) {
	s.strong = at // the last of several engines
	if len(s.parts) < maxRanks {
		s.parts[rank] = true
	}
	s.moved = true
	// But a server that has given up waits for no engine.
	s.failures = slices.DeleteFunc(s.failures, func(f failure) bool {
		return !siblings(f.rank, rank) && (!f.hard || f.class != typed || !apiServer(f.rank))
	})
}

func (s *launch) engineUp(at time.Time) {
	if s.weak.IsZero() {
		s.weak = at
	}
}

func (s *launch) engineTime() time.Time {
	if t := cmp.Or(s.strong, s.weak); !t.IsZero() || !s.passed(markHeadless) {
		return t
	}
	return s.at[markPartReady]
}

// progressed: the start goes on, so what it complained of killed nobody. What another of several ranks died of may
// still end it.
func (s *launch) progressed(rank string) {
	s.moved = true
	s.forget(rank)
}

// goesOn: a process begins something, so it has not died of an exception.
func (s *launch) goesOn(rank string) {
	s.failures = slices.DeleteFunc(s.failures, func(f failure) bool { return !f.hard && f.class < typed && f.rank == rank })
}

// outliveThreads: the engine does something, so it has not died with a thread.
func (s *launch) outliveThreads() {
	s.failures = slices.DeleteFunc(s.failures, func(f failure) bool { return f.thread })
}

// forget drops complaints that only may have been the cause.
func (s *launch) forget(rank string) {
	s.failures = slices.DeleteFunc(s.failures, func(f failure) bool { return !f.hard && !siblings(f.rank, rank) })
}

func (s *launch) figure(name, rank string, v float64) {
	ranks := s.figures[name]
	if ranks == nil {
		ranks = map[string][]float64{}
		s.figures[name] = ranks
	}
	if len(ranks) < maxRanks && len(ranks[rank]) < 64 {
		ranks[rank] = append(ranks[rank], v)
	}
	s.moved = true
}

// failureClass orders reasons: the most telling of a start's complaints is its reason.
type failureClass int

const (
	generic     failureClass = iota // "initialisation failed", of whatever
	interrupted                     // by somebody
	caught                          // a Python exception's type, which another one followed
	exception                       // a Python exception's type
	typed                           // a text that names the cause
)

type failure struct {
	reason startup.Reason
	rank   string
	at     time.Time
	class  failureClass
	hard   bool // only a ready engine disproves it
	thread bool // whatever the engine does next disproves it
}

// fail notes what may have been the cause, and reports whether it did.
func (s *launch) fail(at time.Time, f failure) bool {
	s.prompt = prompt{} // whatever was said before is not of another launch
	if f.reason == "port_in_use" && f.hard {
		s.ready, s.readyStamp = time.Time{}, "" // its server said that it is up before it tried to listen
	}
	if !s.ready.IsZero() || len(s.failures) >= 64 || s.outlived(f) {
		return false // what a request dies of is none of the start's
	}
	// It may have been said later than at, behind a bar; only what has a time of its own was measured by then.
	f.at, s.measured = cmp.Or(f.at, at), startup.Later(s.measured, at)
	delete(s.at, markWaiting)
	switch f.reason {
	case startup.ReasonEngineFailed, startup.ReasonModelLoadFailed:
		f.class = generic
	case "python_fatal", "native_exception", "aborted": // how it ended, not of what
		f.class = exception
	}
	if n := len(s.failures); n > 0 && f.hard {
		if last := &s.failures[n-1]; last.at.Equal(f.at) && last.rank == f.rank && last.class == f.class && !last.hard {
			*last = f // "CUDA error: out of memory" is more than a CUDA error
			return true
		}
	}
	s.failures = append(s.failures, f)
	return true
}

// outlived says whether the start was over before a failure: its engine works, or it is a part of a program that has no
// server of the engine's, as a trainer's, and is initialised.
func (s *launch) outlived(f failure) bool {
	if s.passed(markWorking) {
		return !s.engineTime().IsZero()
	}
	server := s.passed(markLaunch) || s.passed(markServing) || apiServer(f.rank) || f.reason == "port_in_use"
	return !server && !s.strong.IsZero() && !s.partsMissing()
}

// unraise forgets the latest exception of a rank.
func (s *launch) unraise(rank string) {
	for i, f := range slices.Backward(s.failures) {
		if f.class == exception && f.rank == rank {
			s.failures = slices.Delete(s.failures, i, i+1)
			return
		}
	}
}

// caught: the latest exception of a rank was caught, or is the cause of the one that comes now.
func (s *launch) caught(rank string) {
	for i, f := range slices.Backward(s.failures) {
		if f.class == exception && f.rank == rank {
			s.failures[i].class = caught
			return
		}
	}
}

// interrupt: what the interrupted process was doing fails too, in the same chain of tracebacks. That is not the cause.
func (s *launch) interrupt(at time.Time, rank string) {
	const killWait = time.Minute // Slurm's, before it ends the other tasks of a step: 30 s by default
	if s.outlived(failure{rank: rank}) || s.exit != nil && s.exit.status != nil && at.Sub(s.exit.at) < killWait {
		return // as Ray does at a batch's end, or Slurm once a task has ended
	}
	if s.chained[rank] {
		s.unraise(rank)
	}
	s.fail(at, failure{reason: startup.ReasonInterrupted, rank: rank, class: interrupted})
}

// cause is the failure that explains the end. What comes after an interruption is its consequence.
func (s *launch) cause() (failure, bool) {
	var best failure
	found := false
	for _, f := range s.failures {
		if !found || f.class > best.class {
			if found && best.class == interrupted {
				continue
			}
			best, found = f, true
		}
	}
	return best, found
}
