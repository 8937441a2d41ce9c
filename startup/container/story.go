// SPDX-License-Identifier: Apache-2.0

package container

import (
	"cmp"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/startup"
)

// Values of the attribute that says what could not be seen.
const (
	Processes = "processes" // and so not whose socket answered
	Sockets   = "sockets"   // whose socket answered
)

// Begin is what is known of a start when it begins.
type Begin struct {
	At      time.Time
	Role    startup.Role
	Attempt int            // from 1
	Engine  *recipe.Recipe // by somebody's word; nil: whatever is seen
	// Source is where the times come from: TimeObserved if it is empty. What the engine's log states by itself is less
	// precise than an observer's clock, and as precise as the stamps of a log.
	Source startup.TimeSource
}

// Story is what is known of one start. It takes what happened, in the order it became known, and tells finished phases.
// It has no clock and does nothing by itself; its methods are called one at a time.
type Story struct {
	// Tell is called with finished phases, once unless they changed.
	Tell func([]startup.Span)
	// Measure is called with finished phases, each once; nil: nobody counts.
	Measure func([]startup.Span)

	begin   Begin
	log     *backlog                // nil once an engine is known
	guess   *recipe.Reader          // reads for the named engine until its process is known
	loads   map[int]*download       // running, by PID
	ended   []*download             // told when something follows them, or at the end
	within  map[int]*download       // processes that work for a download
	ray     *rayPhase               // nil: none seen
	engine  *engine                 // nil: none seen
	told    map[string]bool         // keys
	early   map[string]startup.Span // by key: told as if a signal had ended the start
	settled map[string]startup.Span // by key: told before the start was over, and so for good
	names   map[string]int          // how many of a name there were
	exit    *recipe.Exit            // of the command, where it failed
	signal  int                     // the first that asked for an end; 0: none
	done    bool
	state   string
	reason  startup.Reason
	phases  []startup.Span // told, for the live state
	// unobserved is what cannot be seen, of what is worth being told.
	unobserved string
}

// New is the story of a start that begins.
func New(b Begin, tell func([]startup.Span)) *Story {
	s := &Story{
		Tell: tell, begin: b, log: &backlog{},
		loads: map[int]*download{}, within: map[int]*download{}, told: map[string]bool{}, early: map[string]startup.Span{}, settled: map[string]startup.Span{}, names: map[string]int{},
		state: Starting,
	}
	if b.Engine != nil {
		s.guess = b.Engine.NewReader(recipe.Options{})
	}
	return s
}

// Became takes a process that was seen first or has become another program.
func (s *Story) Became(p *Process) {
	if s.done {
		return
	}
	if d := s.within[p.Parent]; d != nil {
		s.within[p.PID] = d
		if d.proc != p {
			d.parts = append(d.parts, p)
			p.Watched = true
		}
		return
	}
	if t := downloadOf(p.Argv); t != nil {
		p.Watched = true
		d := &download{tool: t, proc: p}
		s.downloads(d)
		s.within[p.PID] = d
		return
	}
	if starts, member := rayOf(p.Argv); starts {
		if s.ray == nil || !s.ray.end.IsZero() && s.engine == nil && s.ray.member != member {
			s.rayOver()
			s.ray = &rayPhase{proc: p, member: member, start: p.Start}
			if member && s.log != nil { // it may have joined before it was seen
				s.log.since(p.Start, func(h heard) { s.rayJoined(h.at, h.text) })
			}
		}
		return
	}
	if s.engine.has(p) {
		return
	}
	if r := recipe.Match(p.Argv); r != nil && (s.engine == nil || s.engine.proc == nil || !s.engine.proc.End.IsZero()) {
		s.runs(r, p.Argv, p.Start, p)
	}
}

// Exited takes the end of a process.
func (s *Story) Exited(p *Process) {
	if s.done {
		return
	}
	if d := s.loads[p.PID]; d != nil && d.proc == p {
		s.downloaded(d)
	}
	delete(s.within, p.PID)
	s.engine.lost(p)
	if s.ray != nil && s.ray.proc == p && s.ray.end.IsZero() && !s.ray.member {
		s.ray.end = p.End // what follows tells whether it failed
	}
}

// Line takes one line of output.
func (s *Story) Line(at time.Time, text []byte) {
	if s.done {
		return
	}
	s.downloadSaid(at, text)
	s.rayJoined(at, text)
	switch {
	case s.engine != nil:
		s.engine.reader.Line(at, text)
		s.engineTold(at)
	default:
		if s.guess != nil {
			s.guess.Line(at, text)
		}
		s.log.add(at, text)
	}
}

// MayAnswer tells whether a healthy answer would end the start now.
func (s *Story) MayAnswer() bool { return !s.done && (s.engine == nil || s.engine.reader.MayServe()) }

// Answered takes a healthy answer. Unseen is what could not be seen of who answered: Sockets, or nothing.
func (s *Story) Answered(at time.Time, unseen string) {
	if !s.MayAnswer() {
		return
	}
	s.unobserved = cmp.Or(s.unobserved, unseen)
	s.Ready(at)
}

// Unobserved takes that processes cannot be seen, only the command itself.
func (s *Story) Unobserved(argv []string, at time.Time) {
	s.unobserved = Processes
	if r := recipe.Match(argv); r != nil && s.engine == nil {
		s.runs(r, argv, at, nil)
	}
}

// Heard is when the engine was initialised and when its server was up, by their own word; zero: they have not said so.
func (s *Story) Heard() (initialised, ready time.Time) {
	if s.engine != nil {
		initialised, _ = s.engine.reader.EngineReady()
		ready, _ = s.engine.reader.Ready()
	}
	return initialised, ready
}

// Done tells that the start is told.
func (s *Story) Done() bool { return s.done }

// Starting is the state until the start is ready or has failed.
const Starting = "starting"

// State is how far a start is.
type State struct {
	State      string         // Starting, startup.OutcomeReady, startup.OutcomeFailed
	Phase      string         // that is going on
	Reason     startup.Reason // of a failure
	Unobserved string         // what could not be watched
	Phases     []startup.Span
}

// State is how far the start is. Its phases are the story's own.
func (s *Story) State() State {
	return State{s.state, s.phase(), s.reason, s.unobserved, s.phases}
}

// Ready ends the start: it succeeded.
func (s *Story) Ready(at time.Time) {
	if s.done {
		return
	}
	s.rayOver()
	s.flushDownloads()
	e := s.heardEngine()
	if e != nil && !e.told {
		e.reader.Served(at)
		e.told = true
		s.sayEngine(e.reader.Result(nil, at))
		if engine, ok := e.reader.EngineReady(); ok && !engine.After(at) && s.serves(e) {
			s.say(s.span(startup.SpanServerReady, engine, at, ""))
		}
	}
	s.conclude(at, startup.OutcomeReady, "")
}

// conclude tells the start as a whole, behind what was not told of it yet.
func (s *Story) conclude(at time.Time, state string, reason startup.Reason) {
	s.rayOver()
	s.flushDownloads()
	sp := s.span(startup.SpanStartup, s.begin.At, at, reason)
	sp.ParentKey = startup.Key(startup.SpanPodStartup, "", 1)
	sp.Attributes = append(sp.Attributes, attribute.Float64(startup.AttrTotalStartupSeconds, sp.Duration().Seconds()))
	if s.unobserved != "" {
		sp.Attributes = append(sp.Attributes, attribute.String(startup.AttrUnobserved, s.unobserved))
	}
	s.say(sp)
	s.done, s.state, s.reason = true, state, reason
}

// phase is what is going on.
func (s *Story) phase() string {
	switch {
	case s.done:
		return ""
	case s.engine != nil:
		if _, ok := s.engine.reader.EngineReady(); ok {
			return startup.SpanServerReady
		}
		return s.engine.recipe.Init()
	case s.ray != nil && s.ray.end.IsZero():
		return startup.SpanRayClusterInit
	}
	for _, d := range s.loads {
		return d.tool.span
	}
	return startup.SpanStartup
}

// Forgotten is the story without what led to it.
func (s *Story) Forgotten() *Story {
	return &Story{begin: s.begin, done: s.done, state: s.state, reason: s.reason, unobserved: s.unobserved, phases: s.phases}
}
