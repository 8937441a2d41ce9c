// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/wrapper/process"
	"github.com/coldtrace/coldtrace/wrapper/recipe"
)

// Reasons of failed phases other than those that recipes find in logs.
const (
	reasonTimedOut   = "timed_out"
	reasonTerminated = "terminated"
	reasonDownload   = "download_failed"
	reasonRay        = "ray_incomplete"
)

// unobservedProcesses is the value of the attribute that says so.
const unobservedProcesses = "processes"

// story is what is known of one start. It takes what happened, in the order it became known, and tells finished phases.
// It has no clock and does nothing by itself; its methods are called one at a time.
type story struct {
	role    startup.Role
	began   time.Time // the wrapper's start
	attempt int
	named   *recipe.Recipe       // the engine by the webhook's word
	tell    func([]startup.Span) // called with finished phases, each once
	log     *backlog             // nil once an engine is known
	guess   *recipe.Reader       // reads for the named engine until its process is known
	loads   map[int]*download    // running, by PID
	ended   []*download          // told when something follows them, or at the end
	within  map[int]*download    // processes that work for a download
	ray     *rayPhase            // nil: none seen
	engine  *engine              // nil: none seen
	told    map[string]bool      // keys
	names   map[string]int       // how many of a name there were
	done    bool
	state   string // starting, ready, failed
	reason  string
	blind   bool           // processes cannot be watched
	phases  []startup.Span // told, for the live state
}

type download struct {
	tool  *tool
	proc  *process.Process
	parts []*process.Process
	files int64
	error bool // the tool complained
}

type engine struct {
	recipe *recipe.Recipe
	proc   *process.Process // nil: only its log is seen
	argv   []string
	start  time.Time
	reader *recipe.Reader
	told   bool
}

func newStory(role startup.Role, began time.Time, attempt int, named *recipe.Recipe, tell func([]startup.Span)) *story {
	s := &story{
		role: role, began: began, attempt: attempt, named: named, tell: tell, log: &backlog{},
		loads: map[int]*download{}, within: map[int]*download{}, told: map[string]bool{}, names: map[string]int{},
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
	if r := recipe.Match(p.Argv); r != nil && (s.engine == nil || s.engine.proc == nil || !s.engine.proc.End.IsZero()) {
		s.runs(r, p.Argv, p.Start, p)
	}
}

// runs takes a recognised engine. The process may be nil if nobody can see it.
func (s *story) runs(r *recipe.Recipe, argv []string, start time.Time, p *process.Process) {
	s.flushDownloads()
	if s.ray != nil && s.ray.end.IsZero() && !s.ray.member && !s.ray.proc.End.IsZero() {
		s.rayComplete(s.ray.proc.End)
	}
	e := &engine{recipe: r, proc: p, argv: argv, start: start, reader: r.NewReader(recipe.Options{Start: start})}
	s.engine, s.guess = e, nil
	if s.log != nil {
		s.log.since(start, func(h heard) { e.reader.Line(h.at, h.stream, h.text) })
		s.log = nil
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
	if s.ray != nil && s.ray.proc == p && s.ray.end.IsZero() && !s.ray.member {
		s.ray.end = p.End // what follows tells whether it failed
	}
}

// What s5cmd says.
var (
	s5cmdObject = []byte("cp s3://")
	s5cmdError  = []byte(`ERROR "`)
)

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

// line takes what the tool may have said.
func (d *download) line(text []byte) {
	switch {
	case d.tool.span != startup.SpanS5cmdDownload:
	case bytes.HasPrefix(text, s5cmdObject):
		d.files++
	case bytes.HasPrefix(text, s5cmdError):
		d.error = true
	}
}

// engineTold tells the engine's phases as soon as it is initialised.
func (s *story) engineTold(now time.Time) {
	e := s.engine
	if e.told {
		return
	}
	at, ok := e.reader.EngineReady()
	if !ok {
		return
	}
	// The lines around this one belong to the phases: vLLM says what it compiled after it said that it is done.
	if s.role != startup.RoleBatch && e.recipe.Serves() {
		return
	}
	e.told = true
	s.sayEngine(e.reader.Result(nil, now))
	s.ready(at)
}

// flushDownloads tells the downloads that have ended, and Ray. Those that did not matter are forgotten.
func (s *story) flushDownloads() {
	if s.ray != nil && !s.ray.end.IsZero() && !s.ray.told {
		s.sayRay("")
	}
	for _, d := range s.ended {
		s.say(s.download(d, "")...)
	}
	s.ended = nil
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
		if engine, ok := e.reader.EngineReady(); ok && !engine.After(at) && s.role == startup.RoleServer {
			s.say(s.span(startup.SpanServerReady, engine, at, ""))
		}
	}
	s.conclude(at, "ready", "")
}

// end ends the start: it failed, was terminated or took too long. exit is nil unless the command has ended.
func (s *story) end(at time.Time, exit *recipe.Exit, reason string) {
	if s.done {
		return
	}
	e := s.heardEngine()
	if e != nil && exit != nil {
		if t, ok := e.reader.Ready(); ok { // it was ready before anybody could ask it
			s.ready(t)
			return
		}
	}
	if exit != nil && exit.Code == 0 && exit.Signal == 0 && s.role == startup.RoleBatch {
		s.finish(at)
		s.flushDownloads()
		s.conclude(at, "ready", "")
		return
	}
	blamed := false
	if e != nil {
		r := e.reader.Result(exit, at)
		if reason == "" {
			reason = r.Reason
		}
		if reason == "" {
			reason = reasonOf(exit)
		}
		blamed = true
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
	s.flushDownloads()
	s.conclude(at, "failed", reason)
}

// finish ends what was under way when the command ended well: its end was not seen yet.
func (s *story) finish(at time.Time) {
	for pid, d := range s.loads {
		delete(s.loads, pid)
		d.proc.End = at
		s.ended = append(s.ended, d)
	}
	if s.ray != nil && s.ray.end.IsZero() && !s.ray.member {
		s.ray.end = at
	}
}

func (s *story) blameEngine(e *engine, r recipe.Result, at time.Time, reason string) {
	engine, initialised := e.reader.EngineReady()
	init := e.recipe.Name() + "_init"
	for i := range r.Phases {
		p := &r.Phases[i]
		if !initialised && p.Name == init || p.Failure != "" {
			p.Failure = reason
		}
	}
	e.told = true
	s.sayEngine(r)
	if initialised && s.role == startup.RoleServer {
		s.say(s.span(startup.SpanServerReady, engine, at, reason))
	}
}

// blameOthers ends what was under way, or what ended last before the command failed.
func (s *story) blameOthers(at time.Time, reason string, blamed bool) {
	for pid, d := range s.loads {
		delete(s.loads, pid)
		d.proc.End = at
		why := reason
		if strings.HasPrefix(why, "exit_code=") {
			why = reasonDownload // with `set -e` it ended a moment before the command did
		}
		s.say(s.download(d, why)...)
		blamed = true
	}
	if s.ray != nil && s.ray.end.IsZero() {
		why := reason
		if strings.HasPrefix(why, "exit_code=") {
			why = reasonRay
		}
		s.ray.end = at
		s.sayRay(why)
		blamed = true
	}
	if s.ray != nil && !s.ray.told && !blamed && at.Sub(s.ray.end) < time.Second && strings.HasPrefix(reason, "exit_code=") {
		s.sayRay(reasonRay) // with `set -e` it is the last thing that happens
		blamed = true
	}
	if n := len(s.ended); n > 0 && !blamed {
		// With `set -e` a failed download is the last thing that happens.
		last := s.ended[n-1]
		if at.Sub(last.proc.End) < time.Second && strings.HasPrefix(reason, "exit_code=") || last.error {
			s.ended = s.ended[:n-1]
			s.say(s.download(last, reasonDownload)...)
		}
	}
}

// conclude tells the start as a whole.
func (s *story) conclude(at time.Time, state, reason string) {
	sp := s.span(startup.SpanStartup, s.began, at, reason)
	sp.ParentKey = startup.Key(startup.SpanPodStartup, "", 1)
	sp.Attributes = append(sp.Attributes, attribute.Float64(startup.AttrTotalStartupSeconds, sp.Duration().Seconds()))
	if s.blind {
		sp.Attributes = append(sp.Attributes, attribute.String(startup.AttrUnobserved, unobservedProcesses))
	}
	s.say(sp)
	s.done, s.state, s.reason = true, state, reason
}

// heardEngine is the engine, even if only its log is seen.
func (s *story) heardEngine() *engine {
	if s.engine == nil && s.guess != nil && s.guess.Recognised() {
		s.engine = &engine{recipe: s.named, start: s.began, reader: s.guess}
	}
	return s.engine
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

// reasonOf names an exit.
func reasonOf(exit *recipe.Exit) string {
	switch {
	case exit == nil:
		return ""
	case exit.Signal == 9:
		return "killed"
	case exit.Signal != 0:
		return fmt.Sprintf("signal=%d", exit.Signal)
	}
	return fmt.Sprintf("exit_code=%d", exit.Code)
}
