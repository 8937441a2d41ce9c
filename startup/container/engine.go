// SPDX-License-Identifier: Apache-2.0

package container

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/startup"
)

// engine is the model server, and what its log has said.
type engine struct {
	recipe *recipe.Recipe
	proc   *Process // nil: only its log is seen
	argv   []string
	start  time.Time
	reader *recipe.Reader
	told   bool
	// launches are those before it, by other processes: each has a reader of its own.
	launches []recipe.Launch
	family   map[int]bool   // the processes of its tree
	before   map[string]int // how many phases were told before it that are called as its own are: a tool's download, an earlier launch's
}

// runs takes a recognised engine. The process may be nil if nobody can see it.
func (s *Story) runs(r *recipe.Recipe, argv []string, start time.Time, p *Process) {
	s.rayOver()
	if s.ray != nil && s.ray.end.IsZero() && !s.ray.member && !s.ray.proc.End.IsZero() {
		s.rayComplete(s.ray.proc.End)
	}
	if s.engine != nil { // what was told of the launch before stays as it is
		for key, sp := range s.settled {
			s.names[sp.Name]++
			s.told[key] = true
		}
		s.settled = map[string]startup.Span{}
	}
	e := &engine{recipe: r, proc: p, argv: argv, start: start, before: maps.Clone(s.names), reader: r.NewReader(recipe.Options{Start: start, One: p != nil})}
	if p != nil {
		e.family = map[int]bool{p.PID: true}
	}
	if s.engine != nil {
		e.launches = s.engine.launched()
	}
	s.engine, s.guess = e, nil
	if s.log != nil {
		s.log.since(start, func(h heard) { e.reader.Line(h.at, h.text) })
		s.log = nil
	}
}

// launched are the launches up to this one, which is over: of a loop of crashes the latest.
func (e *engine) launched() []recipe.Launch {
	if e.proc == nil || e.proc.End.IsZero() {
		return e.launches
	}
	var exit *recipe.Exit
	if e.proc.Signal != 0 {
		exit = &recipe.Exit{Signal: e.proc.Signal}
	}
	r := e.reader.Result(exit, e.proc.End)
	if r.Outcome == recipe.OutcomeTruncated { // its end was seen
		r.Outcome, r.Reason = recipe.OutcomeFailed, startup.ReasonEndedSilently
	}
	all := append(slices.Clone(e.launches), recipe.Launch{Start: e.start, End: e.proc.End, Outcome: r.Outcome, Reason: r.Reason})
	return all[max(0, len(all)-recipe.MaxEarlier):]
}

// serves is false for a part of an engine that answers nobody: it is ready when it is initialised.
func (s *Story) serves(e *engine) bool {
	return s.begin.Role == startup.RoleServer && e.recipe.Serves() && !e.reader.Headless()
}

// engineTold ends the start where the engine's own word does. Where it serves, its phases wait for the first answer: the
// lines around that one belong to them, and vLLM says what it compiled after it said that it is done.
func (s *Story) engineTold(now time.Time) {
	e := s.engine
	if e == nil || e.told {
		return
	}
	at, ok := e.reader.Initialised(now)
	if s.serves(e) {
		at, ok = e.reader.Ready()
		ok = ok && e.recipe.ReadyByLog()
	}
	if ok {
		s.Ready(at)
	}
}

// workers are how Python's processes look that an engine starts once it is past its imports.
var workers = []string{"multiprocessing.spawn", "VLLM::", "sglang::"}

// has tells whether a process is of the engine's tree.
func (e *engine) has(p *Process) bool {
	if e == nil || e.proc == nil || !e.proc.End.IsZero() || !e.family[p.PID] && !e.family[p.Parent] {
		return false
	}
	e.family[p.PID] = true
	for _, arg := range p.Argv {
		if p != e.proc && slices.ContainsFunc(workers, func(w string) bool { return strings.Contains(arg, w) }) {
			e.reader.Working(p.Start)
		}
	}
	return true
}

// lost takes the end of a process, which may be one of the engine's.
func (e *engine) lost(p *Process) {
	if e == nil || !e.family[p.PID] {
		return
	}
	delete(e.family, p.PID)
	if p != e.proc {
		e.reader.Died(p.End, p.Signal)
	}
}

// heardEngine is the engine, even if only its log is seen.
func (s *Story) heardEngine() *engine {
	if s.engine == nil && s.guess != nil && s.guess.Recognised() {
		s.engine = &engine{recipe: s.begin.Engine, start: s.begin.At, reader: s.guess}
	}
	return s.engine
}
