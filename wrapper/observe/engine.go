// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"time"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/wrapper/process"
	"github.com/coldtrace/coldtrace/wrapper/recipe"
)

// engine is the model server, and what its log has said.
type engine struct {
	recipe *recipe.Recipe
	proc   *process.Process // nil: only its log is seen
	argv   []string
	start  time.Time
	reader *recipe.Reader
	told   bool
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

// heardEngine is the engine, even if only its log is seen.
func (s *story) heardEngine() *engine {
	if s.engine == nil && s.guess != nil && s.guess.Recognised() {
		s.engine = &engine{recipe: s.named, start: s.began, reader: s.guess}
	}
	return s.engine
}
