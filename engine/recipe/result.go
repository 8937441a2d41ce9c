// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// parents are the phases that others lie in; all that are not here lie in the engine's init.
var parents = map[string]string{
	startup.SpanWeightsLoad: startup.SpanModelLoad,
	startup.SpanHFDownload:  startup.SpanModelLoad,
}

// Result is what the lines so far amount to. exit is the engine's status, nil while it runs or where nobody knows; end
// is when it ended, or now.
func (r *Reader) Result(exit *Exit, end time.Time) Result {
	s := r.start
	out := Result{Engine: r.recipe.name, Version: s.version, Figures: r.figures()}
	out.Outcome, out.Reason = s.outcome(exit)
	died := ""
	if out.Outcome == OutcomeFailed || out.Outcome == OutcomeInterrupted {
		died = out.Reason
	}
	out.Phases = r.phases(died, end)
	return out
}

func (s *launch) outcome(exit *Exit) (Outcome, string) {
	if !s.ready.IsZero() {
		return OutcomeReady, ""
	}
	cause, complained := s.cause()
	stopped := exit != nil && (exit.Signal == 2 || exit.Signal == 15 || exit.Code == 130 || exit.Code == 143)
	switch {
	case complained && cause.class > interrupted:
		return OutcomeFailed, cause.reason
	case stopped:
		return OutcomeInterrupted, ReasonTerminated
	case complained && cause.class == interrupted && (exit == nil || exit.Code != 0 || exit.Signal != 0):
		return OutcomeInterrupted, cause.reason
	case exit == nil && complained:
		return OutcomeFailed, cause.reason
	case exit == nil && s.engineTime().IsZero():
		return OutcomeTruncated, ""
	case exit == nil:
		return OutcomeEngineReady, ""
	case complained && s.passed(markGaveUp):
		return OutcomeFailed, cause.reason
	case exit.Signal == 9 || exit.Code == 137:
		return OutcomeFailed, ReasonKilled
	case exit.Signal != 0:
		return OutcomeFailed, fmt.Sprintf("signal=%d", exit.Signal)
	case complained:
		return OutcomeFailed, cause.reason
	case exit.Code != 0:
		return OutcomeFailed, fmt.Sprintf("exit_code=%d", exit.Code)
	case s.engineTime().IsZero():
		return OutcomeFailed, ReasonExitedEarly
	}
	return OutcomeEngineReady, ""
}

// figures reduces what the ranks said to one number each.
func (r *Reader) figures() map[string]any {
	out := map[string]any{}
	for name, ranks := range r.start.figures {
		var models []float64 // by how often a rank has said it
		for _, values := range ranks {
			for i, v := range values {
				switch {
				case i == len(models):
					models = append(models, v)
				case r.recipe.figures[name] == aggregateMin:
					models[i] = min(models[i], v)
				default:
					models[i] = max(models[i], v)
				}
			}
		}
		switch how := r.recipe.figures[name]; {
		case how == aggregateLast:
			out[name] = smallestLast(ranks)
		case len(models) > 1 && (how == aggregateEach && (!r.start.passed(markNoDraft) || r.start.passed(markDraft)) || how == aggregateDraft && r.start.draft()):
			out[name] = models
		case how == aggregateMin:
			out[name] = slices.Min(models)
		default:
			out[name] = slices.Max(models)
		}
		if v, ok := out[name].(float64); ok && r.recipe.whole(name) {
			out[name] = int64(v)
		}
	}
	return out
}

func smallestLast(ranks map[string][]float64) float64 {
	var last []float64
	for _, values := range ranks {
		last = append(last, values[len(values)-1])
	}
	return slices.Min(last)
}

// draft says whether a second, smaller model was loaded beside the target.
func (s *launch) draft() bool {
	if s.passed(markDraft) || s.passed(markNoDraft) {
		return s.passed(markDraft)
	}
	for _, values := range s.figures["weights_load_seconds"] {
		if len(values) > 1 {
			return true
		}
	}
	return false
}

// whole says that a figure counts something.
func (r *Recipe) whole(figure string) bool {
	return r.figures[figure] == aggregateMin || r.figures[figure] == aggregateLast
}

func (r *Reader) phases(died string, end time.Time) []Phase {
	s := r.start
	var out []Phase
	begin := r.options.Start
	if begin.IsZero() {
		begin = s.first
	} else if s.first.After(begin) && s.spoke && !s.drew && (r.working.IsZero() || !r.working.Before(s.first)) {
		out = append(out, Phase{Name: startup.SpanPythonImport, Start: begin, End: s.first})
	}
	if begin.IsZero() {
		if len(s.order) == 0 && died == "" {
			return nil
		}
		begin = end // no line has a time: all that is known is how long things took
	}
	engine := s.engineTime()
	if died != "" && s.partFailed() {
		engine = time.Time{} // one of several was initialised, the engine never
	}
	init := Phase{Name: r.recipe.name + "_init", Start: begin, End: engine}
	open := ""
	if init.End.IsZero() {
		init.End, init.Failure = later(end, begin), died
		if died != "" {
			open = s.lastOpen()
		}
	}
	for _, name := range s.order {
		for _, p := range s.tracks[name].phases(name) {
			if r.options.Start.IsZero() && p.Start.Before(init.Start) {
				init.Start = p.Start // what the first line tells of began before it
			}
			out = append(out, p)
		}
		if name == open || name == parents[open] {
			if o := latest(s.tracks[name].open); !o.start.IsZero() {
				out = append(out, Phase{Name: name, Start: o.start, End: later(end, o.start), Failure: died})
			}
		}
	}
	init.End = later(init.End, init.Start) // stamps and the clock may disagree
	out = append(out, init)
	if r.options.Embedded && !engine.IsZero() {
		switch {
		case !s.ready.IsZero():
			out = append(out, Phase{Name: startup.SpanServerReady, Start: engine, End: later(s.ready, engine)})
		case died != "":
			out = append(out, Phase{Name: startup.SpanServerReady, Start: engine, End: later(end, engine), Failure: died})
		}
	}
	return arranged(out, init.Name)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// phases of a track: the longest over ranks, one for each time a rank went through it.
func (t *track) phases(name string) []Phase {
	var out []Phase
	for _, spans := range t.spans {
		for i, sp := range spans {
			p := Phase{Name: name, Start: sp.start, End: sp.end, Attributes: sp.attributes}
			if i == len(out) {
				out = append(out, p)
			} else if longer(p, out[i]) {
				out[i] = p
			}
		}
	}
	return out
}

// longer decides between ranks; of equals the one that ended last, so that map order does not show.
func longer(a, b Phase) bool {
	da, db := a.End.Sub(a.Start), b.End.Sub(b.Start)
	return da > db || da == db && a.End.After(b.End)
}

// lastOpen is the phase that was entered last and not left.
func (s *launch) lastOpen() string {
	var (
		name string
		when time.Time
	)
	for _, phase := range s.order {
		o := latest(s.tracks[phase].open)
		if t := o.noticed; !t.IsZero() && !t.Before(when) && (s.spoke || !o.bar) {
			name, when = phase, t
		}
	}
	return name
}

// arranged sets parents and keys, keeps children within them, and puts phases in the order of their starts, parents
// first.
func arranged(phases []Phase, init string) []Phase {
	inOrder := func(i, j int) bool {
		a, b := phases[i], phases[j]
		if !a.Start.Equal(b.Start) {
			return a.Start.Before(b.Start)
		}
		return depth(a.Name, init) < depth(b.Name, init)
	}
	sort.SliceStable(phases, inOrder)
	count := map[string]int{}
	for i := range phases {
		p := &phases[i]
		count[p.Name]++
		p.Key = p.Name
		if n := count[p.Name]; n > 1 {
			p.Key = fmt.Sprintf("%s/%d", p.Name, n)
		}
	}
	longest := map[string]Phase{} // by name, of those that are in place
	for level := range 3 {
		for i := range phases {
			p := &phases[i]
			if depth(p.Name, init) != level || p.Name == startup.SpanServerReady {
				continue
			}
			if level > 0 {
				p.Parent = init
				if up, ok := longest[parents[p.Name]]; ok && p.meets(up) {
					p.Parent = up.Name // TGI and NIM download before they load
				}
				p.fit(longest[p.Parent])
			}
			if l, ok := longest[p.Name]; !ok || p.End.Sub(p.Start) > l.End.Sub(l.Start) {
				longest[p.Name] = *p
			}
		}
	}
	sort.SliceStable(phases, inOrder) // some were moved
	return phases
}

func depth(name, init string) int {
	switch {
	case name == init:
		return 0
	case parents[name] == "":
		return 1
	}
	return 2
}

// meets says whether two phases have a time in common, not only an edge unless one of them is no more than that.
func (p *Phase) meets(other Phase) bool {
	if p.End.Equal(p.Start) || other.End.Equal(other.Start) {
		return !p.Start.After(other.End) && !p.End.Before(other.Start)
	}
	return p.Start.Before(other.End) && p.End.After(other.Start)
}

// fit keeps a phase within another: by moving it where it is short enough, since a stated length is exact and a stamp
// is not.
func (p *Phase) fit(within Phase) {
	length := min(p.End.Sub(p.Start), within.End.Sub(within.Start))
	if p.Start.Before(within.Start) {
		p.Start = within.Start
		p.End = p.Start.Add(length)
	}
	if p.End.After(within.End) {
		p.End = within.End
		p.Start = p.End.Add(-length)
	}
}
