// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"cmp"
	"slices"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// stage is what the engine as a whole is doing from a time on, by the last line that told. Tracks hold what lines state
// of single phases, exactly and rank by rank; stages name the time between them, of which lines only tell the order:
// after "Model loading took" a vLLM profiles its memory, whatever it prints next.
type stage struct {
	name string
	at   time.Time
}

// maxStages bounds what a log that goes back and forth may hold.
const maxStages = 4096

// early are the stages before a model is loaded, in the order in which a start comes to them. A process that starts
// late says things that others have said long before.
var early = map[string]int{
	"": 0, startup.SpanPythonImport: 1, startup.SpanEngineConfig: 2, startup.SpanWorkerLaunch: 3, startup.SpanDistributedInit: 4,
}

// stage is the one that the engine is in.
func (s *launch) stage() stage {
	if n := len(s.stages); n > 0 {
		return s.stages[n-1]
	}
	return stage{}
}

// enter takes the engine to a stage. Lines that come late, or from a process that is behind, don't take it back.
func (s *launch) enter(name string, at time.Time) {
	now := s.stage()
	order, isEarly := early[name]
	was, wasEarly := early[now.name]
	switch {
	case now.name == name || at.Before(now.at) || len(s.stages) >= maxStages:
	case isEarly && name != "" && (!wasEarly || order < was || s.loads()):
	default:
		s.stages = append(s.stages, stage{name, at})
	}
}

// head is the stage before the first that a line told of: a python_import ends at the first line, so the engine looks at its
// configuration, unless the log's head is missing.
func (s *launch) head() string {
	if len(s.stages) == 0 || early[s.stages[0].name] == 0 || early[s.stages[0].name] > early[startup.SpanEngineConfig] {
		return ""
	}
	return startup.SpanEngineConfig
}

// loads says whether the model's load has begun.
func (s *launch) loads() bool {
	return s.tracks[startup.SpanModelLoad] != nil || s.tracks[startup.SpanWeightsLoad] != nil
}

// silent says what the engine did since the line before: processes that it starts say nothing while they import.
func (s *launch) silent(name string, at, since time.Time) {
	if now := s.stage(); parents[name] == startup.SpanServerReady { // and goes on with what it did
		if !s.engineTime().IsZero() && s.ready.IsZero() && at.After(since) && len(s.stages) < maxStages {
			s.stages = append(s.stages, stage{name, startup.Later(since, now.at)}, stage{now.name, at})
		}
		return
	}
	if _, isEarly := early[s.stage().name]; !isEarly || s.loads() || since.IsZero() || at.Before(since) || len(s.stages) >= maxStages {
		return
	}
	if k := len(s.stages) - 1; k >= 0 && s.stages[k] == (stage{name, at}) {
		s.stages = s.stages[:k] // the same line, or one of its second, opened it, and it began before
	}
	if since = startup.Later(since, s.stage().at); s.stage().name != name {
		s.stages = append(s.stages, stage{name, since})
	}
}

// left ends a stage that a line ends, unless another has begun since.
func (s *launch) left(phase string, at time.Time) {
	if now := s.stage().name; now == phase || parents[now] == phase {
		s.enter(parents[phase], at)
	}
}

// began is since when the engine is in a stage, or in one of its parts, if it is in it.
func (s *launch) began(phase string) (since time.Time) {
	for _, g := range slices.Backward(s.stages) {
		if g.name != phase && parents[g.name] != phase {
			break
		}
		since = g.at
	}
	return since
}

// coarse: stamps are of whole seconds, so two that are less than this apart may be of one time.
const (
	coarse = 1500 * time.Millisecond
	fine   = 120 * time.Millisecond // where they have fractions
	exact  = 5 * time.Millisecond   // where lines come as they are written
	// Before a phase that is known by its end and a length of two decimals, which is up to 10 ms short, and by a line that is
	// read up to 10 ms late.
	reckoned = 25 * time.Millisecond
)

// named fills what lies between the phases of begin to end with stages, of which the first is given, so that a phase ends
// where the next begins. Where neither is known, the time has no name.
func named(stages []stage, phases []startup.Span, first string, begin, end time.Time, noise time.Duration) []startup.Span {
	for i := range phases {
		if up, ok := holder(phases, phases[i]); ok { // else what sticks out, by a stamp's rounding, covers what lies before its parent
			fit(&phases[i], up)
		}
	}
	slices.SortStableFunc(phases, func(a, b startup.Span) int { return cmp.Or(a.Start.Compare(b.Start), b.End.Compare(a.End)) })
	f := filler{stages: stages, first: first, noise: noise, out: phases}
	at, last := begin, -1
	for i := range phases {
		if parents[f.out[i].Name] != "" && within(f.out, f.out[i]) {
			continue // its parent is looked at
		}
		if f.out[i].Start.After(end) {
			break
		}
		if p := f.out[i]; p.Start.After(at) {
			switch near := p.Start.Sub(at) < blur(&p, noise); {
			case !near:
				f.fill(at, p.Start)
			case last >= 0 && moves(&f.out[last]):
				f.out[last].End = p.Start
			case moves(&p):
				f.out[i].Start = at
			case noise == coarse, last < 0 && f.stageBefore(p.Start) != p.Name: // else its own line opened it a moment early
				f.fill(at, p.Start)
			}
		}
		if !f.out[i].End.Before(at) {
			at, last = f.out[i].End, i
		}
	}
	switch near := end.Sub(at) < noise && last >= 0; {
	case near && at.Before(end) && moves(&f.out[last]):
		f.out[last].End = end
	case !near, noise == coarse:
		f.fill(at, end)
	}
	return f.out
}

// moves says whether a phase may meet its neighbour: no line states how long it is, but for what compiling is counted.
func moves(p *startup.Span) bool {
	return p.Failure == "" && p.End.After(p.Start) && (!has(p, attrStated) || p.Name == startup.SpanTorchCompile)
}

// has says whether an attribute of a phase is known.
func has(p *startup.Span, attr string) bool {
	_, is := p.Attribute(attr)
	return is
}

// blur is how near to the phase before it a phase may begin and still meet it.
func blur(p *startup.Span, noise time.Duration) time.Duration {
	if !has(p, attrStated) {
		return noise
	}
	return max(noise, reckoned)
}

// within says whether a phase lies in one that may be its parent.
func within(phases []startup.Span, p startup.Span) bool {
	return slices.ContainsFunc(phases, func(q startup.Span) bool {
		return q.Name == parents[p.Name] && !p.Start.Before(q.Start) && !p.End.After(q.End)
	})
}

// filler makes phases of stages.
type filler struct {
	stages []stage
	first  string // the one before any is known
	noise  time.Duration
	out    []startup.Span
}

// stageBefore is the stage that a moment ends.
func (f *filler) stageBefore(at time.Time) string {
	name := f.first
	for _, g := range f.stages {
		if !g.at.Before(at) {
			break
		}
		name = g.name
	}
	return name
}

// fill names the time from one moment to another.
func (f *filler) fill(from, to time.Time) {
	name := f.first
	for _, g := range f.stages {
		if !g.at.After(from) {
			name = g.name
			continue
		}
		f.add(name, from, startup.Earlier(g.at, to))
		if name, from = g.name, g.at; !from.Before(to) {
			return
		}
	}
	f.add(name, from, to)
}

// add is for a stretch of one stage, which may be the rest of a phase that is there.
func (f *filler) add(name string, from, to time.Time) {
	if name == "" || !to.After(from) {
		return
	}
	if up := parents[name]; up != "" && up != startup.SpanServerReady {
		begin, end := f.reach(name, from, to)
		f.add(up, begin, end)
		if to.Sub(from) < f.noise {
			return // no more than how far a length and a stamp differ: no part of its own
		}
	}
	for i := range f.out {
		p := &f.out[i]
		if p.Name != name || p.Failure != "" || has(p, attrModel) {
			continue
		}
		if p.End.Equal(from) {
			if next := f.beginning(name, to); next != nil { // all between is of one phase
				next.Start = p.Start
				f.out = slices.Delete(f.out, i, i+1)
				return
			}
			p.End = to
			return
		}
		if p.Start.Equal(to) {
			p.Start = from
			return
		}
	}
	f.out = append(f.out, startup.Span{Name: name, Start: from, End: to})
}

// reach is how far a stretch goes with the phases of its name that it is the rest of, if there is no parent for them.
func (f *filler) reach(name string, from, to time.Time) (begin, end time.Time) {
	begin, end = from, to
	for i := range f.out {
		switch p := &f.out[i]; {
		case p.Name == parents[name] && (p.End.Equal(from) || p.Start.Equal(to)):
			return from, to
		case p.Name != name:
		case p.End.Equal(from):
			begin = startup.Earlier(begin, p.Start)
		case p.Start.Equal(to):
			end = startup.Later(end, p.End)
		}
	}
	return begin, end
}

// beginning is the phase of that name which begins at a time.
func (f *filler) beginning(name string, at time.Time) *startup.Span {
	for i := range f.out {
		if p := &f.out[i]; p.Name == name && p.Start.Equal(at) && !has(p, attrModel) {
			return p
		}
	}
	return nil
}
