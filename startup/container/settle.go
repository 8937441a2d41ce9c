// SPDX-License-Identifier: Apache-2.0

package container

import (
	"maps"
	"slices"
	"time"

	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/startup"
)

// A container that runs out of memory is killed with everything in it, the observer included: what is not told by then
// is lost. So what can no longer change, as far as anybody knows, is told before the start is over, and stays as it was told.
// What a signal seems to have ended is another matter, see Interrupted. Nothing is counted before the start is over, or twice.
const (
	settleDownload = 2 * time.Second  // with `set -e`, a failure of the download ends the command long before that
	settlePhase    = 10 * time.Second // other ranks say the same within that
)

// Interrupted takes a signal that asks for an end. Whether it comes to that is another question: a shell that waits, and
// vLLM while it loads, let SIGTERM go by and may be ready a minute later, or be killed with everybody at the end of the
// grace period. So the end is told as if this were it, early.
func (s *Story) Interrupted(at time.Time, signal int) {
	if s.done || s.signal != 0 {
		return
	}
	s.signal = signal
	var spans []startup.Span
	as := s.copied()
	as.Tell, as.Measure = func(told []startup.Span) { spans = append(spans, told...) }, nil
	as.End(at, nil, "")
	if as.state == startup.OutcomeReady { // and nobody could ask it yet
		s.End(at, nil, "")
		return
	}
	for _, sp := range spans {
		s.early[sp.Key] = sp
	}
	s.Tell(spans)
}

// copied is a story that can end without this one.
func (s *Story) copied() *Story {
	c := *s
	c.told, c.early, c.names = maps.Clone(s.told), maps.Clone(s.early), maps.Clone(s.names)
	c.phases = slices.Clone(s.phases)
	c.loads, c.ended = map[int]*download{}, slices.Clone(s.ended)
	for pid, d := range s.loads {
		load, proc := *d, *d.proc
		load.proc = &proc
		c.loads[pid] = &load
	}
	if s.ray != nil {
		ray := *s.ray
		c.ray = &ray
	}
	if s.engine != nil {
		engine := *s.engine
		c.engine = &engine
	}
	return &c
}

// Settle tells what has not changed for a while.
func (s *Story) Settle(now time.Time) {
	if s.done {
		return
	}
	s.settle(now)
	e := s.engine
	if e == nil && s.guess != nil && s.guess.Recognised() {
		e = &engine{recipe: s.begin.Engine, reader: s.guess} // its process may still be seen
	}
	if s.done || e == nil || e.told || s.signal != 0 {
		return
	}
	init := startup.Key(e.recipe.Init(), "", s.begin.Attempt)
	var fresh []startup.Span
	r := e.reader.Result(nil, now)
	for i := range r.Phases {
		sp := s.engineSpan(e, &r, r.Phases[i])
		if _, told := s.settled[sp.Key]; told || sp.Key == init {
			continue
		}
		_, parentTold := s.settled[sp.ParentKey]
		// What it is a part of may only be told when that has ended: a download, and the loading that it is the begin of.
		orphan := sp.ParentKey != init && !parentTold || sp.ParentKey == init && recipe.PartOf(sp.Name) != ""
		if orphan || sp.Failure != "" || now.Sub(sp.End) < settlePhase || e.reader.Awaits(&r.Phases[i]) {
			break // nor is it certain what comes after it
		}
		s.settled[sp.Key] = sp
		s.list(sp)
		fresh = append(fresh, sp)
	}
	if len(fresh) > 0 {
		s.Tell(fresh)
	}
}

// settle tells the downloads that are over, and the start where its engine says that it is.
func (s *Story) settle(now time.Time) {
	for len(s.ended) > 0 && now.Sub(s.ended[0].proc.End) > settleDownload {
		d := s.ended[0]
		s.ended = s.ended[1:]
		s.sayDownload(d, "")
	}
	s.engineTold(now)
}
