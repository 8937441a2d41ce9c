// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/wrapper/process"
)

// Values of the attribute that says what could not be seen.
const (
	unobservedProcesses = "processes" // and so not whose socket answered
	unobservedSockets   = "sockets"   // whose socket answered
)

// story is what is known of one start. It takes what happened, in the order it became known, and tells finished phases.
// It has no clock and does nothing by itself; its methods are called one at a time.
type story struct {
	role    startup.Role
	began   time.Time // the wrapper's start
	attempt int
	named   *recipe.Recipe          // the engine by the webhook's word
	tell    func([]startup.Span)    // called with finished phases, once unless they changed
	measure func([]startup.Span)    // called with finished phases, each once; nil: nobody counts
	log     *backlog                // nil once an engine is known
	guess   *recipe.Reader          // reads for the named engine until its process is known
	loads   map[int]*download       // running, by PID
	ended   []*download             // told when something follows them, or at the end
	within  map[int]*download       // processes that work for a download
	ray     *rayPhase               // nil: none seen
	engine  *engine                 // nil: none seen
	told    map[string]bool         // keys
	early   map[string]startup.Span // by key: told before it was certain, see settle
	names   map[string]int          // how many of a name there were
	exit    *recipe.Exit            // of the command, where it failed
	signal  int                     // the first that asked for an end; 0: none
	done    bool
	state   string // starting, ready, failed
	reason  string
	phases  []startup.Span // told, for the live state
	// unobserved is what cannot be seen, of what is worth being told.
	unobserved string
}

func newStory(role startup.Role, began time.Time, attempt int, named *recipe.Recipe, tell func([]startup.Span)) *story {
	s := &story{
		role: role, began: began, attempt: attempt, named: named, tell: tell, log: &backlog{},
		loads: map[int]*download{}, within: map[int]*download{}, told: map[string]bool{}, early: map[string]startup.Span{}, names: map[string]int{},
		state: "starting",
	}
	if named != nil {
		s.guess = named.NewReader(recipe.Options{})
	}
	return s
}

// became takes a process that was seen first or has become another program.
func (s *story) became(p *process.Process) {
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
		d := &download{tool: t, proc: p}
		p.Watched = true
		s.loads[p.PID], s.within[p.PID] = d, d
		return
	}
	if starts, member := rayOf(p.Argv); starts {
		if s.ray == nil || !s.ray.end.IsZero() && s.engine == nil && s.ray.member != member {
			s.flushDownloads()
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

// exited takes the end of a process.
func (s *story) exited(p *process.Process) {
	if s.done {
		return
	}
	if d := s.loads[p.PID]; d != nil && d.proc == p {
		delete(s.loads, p.PID)
		s.ended = append(s.ended, d)
	}
	delete(s.within, p.PID)
	s.engine.lost(p)
	if s.ray != nil && s.ray.proc == p && s.ray.end.IsZero() && !s.ray.member {
		s.ray.end = p.End // what follows tells whether it failed
	}
}

// line takes one line of output.
func (s *story) line(at time.Time, stream int, text []byte) {
	if s.done {
		return
	}
	for _, d := range s.loads {
		d.line(text)
	}
	for _, d := range s.ended { // its last words may be read after its end is seen
		d.line(text)
	}
	s.rayJoined(at, text)
	switch {
	case s.engine != nil:
		s.engine.reader.Line(at, stream, text)
		s.engineTold(at)
	default:
		if s.guess != nil {
			s.guess.Line(at, stream, text)
		}
		s.log.add(at, stream, text)
	}
}

// counts tells whether a healthy answer of that socket's owner would end the start now.
func (s *story) counts(owner process.Owner) bool {
	return !s.done && owner != process.Others && (s.engine == nil || s.engine.reader.MayServe())
}

// answered takes a healthy answer.
func (s *story) answered(at time.Time, owner process.Owner) {
	if !s.counts(owner) {
		return
	}
	if owner == process.Unknown && s.unobserved == "" {
		s.unobserved = unobservedSockets
	}
	s.ready(at)
}

// ready ends the start: it succeeded.
func (s *story) ready(at time.Time) {
	if s.done {
		return
	}
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
	s.conclude(at, "ready", "")
}

// conclude tells the start as a whole.
func (s *story) conclude(at time.Time, state, reason string) {
	sp := s.span(startup.SpanStartup, s.began, at, reason)
	sp.ParentKey = startup.Key(startup.SpanPodStartup, "", 1)
	sp.Attributes = append(sp.Attributes, attribute.Float64(startup.AttrTotalStartupSeconds, sp.Duration().Seconds()))
	if s.unobserved != "" {
		sp.Attributes = append(sp.Attributes, attribute.String(startup.AttrUnobserved, s.unobserved))
	}
	s.say(sp)
	s.done, s.state, s.reason = true, state, reason
}

// phase is what is going on, for the live state.
func (s *story) phase() string {
	switch {
	case s.done:
		return ""
	case s.engine != nil:
		if _, ok := s.engine.reader.EngineReady(); ok {
			return startup.SpanServerReady
		}
		return s.engine.recipe.Name() + "_init"
	case s.ray != nil && s.ray.end.IsZero():
		return startup.SpanRayClusterInit
	}
	for _, d := range s.loads {
		return d.tool.span
	}
	return startup.SpanStartup
}

// forgotten is the story without what led to it.
func (s *story) forgotten() *story {
	return &story{role: s.role, began: s.began, done: s.done, state: s.state, reason: s.reason, unobserved: s.unobserved, phases: s.phases}
}
