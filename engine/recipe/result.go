// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"slices"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// Attributes of phases that no line states as a number.
const (
	attrStated       = "stated_seconds"
	attrModel        = "model"         // draft: of the smaller model beside the target
	attrCompileCache = "compile_cache" // of torch_compile: hit, miss, off
	compileMiss      = "miss"          // of one graph is one of all
	compileOff       = "off"           // whatever graphs are compiled
)

// Result is what the lines so far amount to. exit is the engine's status, nil while it runs or where nobody knows; end
// is when it ended, or now.
func (r *Reader) Result(exit *Exit, end time.Time) Result {
	s := r.start
	out := Result{Engine: r.recipe.name, Version: s.version, Figures: r.figures()}
	out.Outcome, out.Reason = s.outcome(exit)
	var died startup.Reason
	if out.Outcome == OutcomeFailed || out.Outcome == OutcomeInterrupted {
		died = out.Reason
	}
	out.Earlier = r.earlier
	if r.options.Embedded && died != "" && exit == nil {
		switch cause, found := s.cause(); {
		case found && cause.class >= exception && (cause.at.Before(end) || !r.clock.timed()):
			end = cause.at // what is said after that is about it
		case s.exit != nil && !s.exit.at.IsZero() && (!found || cause.at.Equal(s.exit.at)):
			end = startup.Earlier(end, s.exit.at)
		}
	}
	out.Phases = r.phases(died, end)
	if r.options.Embedded && !r.clock.timed() {
		out.Untimed = true
		out.Phases = slices.DeleteFunc(out.Phases, func(p startup.Span) bool { return p.Attributes == nil && p.Failure == "" && p.ParentKey != "" })
		return out
	}
	out.Named = namedShare(out.Phases, r.recipe.Init())
	if n := len(out.Phases); n > 0 {
		begin, last := out.Phases[0].Start, end
		if !s.ready.IsZero() {
			last = s.ready
		}
		out.Silences = s.hush.placed(out.Phases, begin, startup.Later(last, begin))
	}
	return out
}

// namedShare is how much of the time from the first phase to the last lies in one other than the init as a whole.
func namedShare(phases []startup.Span, init string) float64 {
	var begin, at, end time.Time
	var named time.Duration
	for _, p := range phases { // in the order of their starts
		if begin.IsZero() {
			begin, at = p.Start, p.Start
		}
		end = startup.Later(end, p.End)
		if p.Name != init && p.End.After(at) {
			named += p.End.Sub(startup.Later(p.Start, at))
			at = p.End
		}
	}
	if !end.After(begin) {
		return 0
	}
	return named.Seconds() / end.Sub(begin).Seconds()
}

func (s *launch) outcome(exit *Exit) (Outcome, startup.Reason) {
	if !s.ready.IsZero() || s.passed(markHeadless) && !s.strong.IsZero() {
		return OutcomeReady, "" // a node without a server is ready when its part of the engine is
	}
	if exit == nil && s.exit != nil {
		exit = s.exit.status
	}
	cause, complained := s.cause()
	stopped := exit != nil && (exit.Signal == 2 || exit.Signal == 15 || exit.Code == 130 || exit.Code == 143)
	switch {
	case complained && cause.class > interrupted:
		return OutcomeFailed, cause.reason
	case stopped:
		return OutcomeInterrupted, startup.ReasonTerminated
	case complained && cause.class == interrupted && (exit == nil || exit.Code != 0 || exit.Signal != 0):
		return OutcomeInterrupted, cause.reason
	case exit == nil && complained:
		return OutcomeFailed, cause.reason
	case exit == nil && s.exit != nil && s.engineTime().IsZero():
		return OutcomeFailed, startup.ReasonEndedSilently
	case exit == nil && s.engineTime().IsZero():
		return OutcomeTruncated, ""
	case exit == nil:
		return OutcomeEngineReady, ""
	case complained && s.passed(markGaveUp):
		return OutcomeFailed, cause.reason
	case exit.Code == 137:
		return OutcomeFailed, startup.ReasonKilled
	case exit.Signal != 0:
		return OutcomeFailed, startup.Exited(0, exit.Signal)
	case complained:
		return OutcomeFailed, cause.reason
	case exit.Code != 0:
		return OutcomeFailed, startup.Exited(exit.Code, 0)
	case s.engineTime().IsZero():
		return OutcomeFailed, startup.ReasonExitedEarly
	}
	return OutcomeEngineReady, ""
}

// fallback marks figures that count where no other line states them; twice, those of which the sum does where there is nothing else.
const fallback = "or "

// stands is what a figure is called, and whether it counts.
func (s *launch) stands(figure string) (name string, counts bool) {
	for rest, is := strings.CutPrefix(figure, fallback); is; rest, is = strings.CutPrefix(rest, fallback) {
		if figure = rest; s.figures[figure] != nil {
			return figure, false
		}
	}
	return figure, true
}

// figures reduces what the ranks said to one number each.
func (r *Reader) figures() map[string]any {
	out := map[string]any{}
	for stated, ranks := range r.start.figures {
		name, counts := r.start.stands(stated)
		if !counts {
			continue
		}
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
		case strings.HasPrefix(stated, fallback+fallback):
			out[name] = largestSum(ranks)
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

func largestSum(ranks map[string][]float64) float64 {
	most := 0.0
	for _, values := range ranks {
		sum := 0.0
		for _, v := range values {
			sum += v
		}
		most = max(most, sum)
	}
	return most
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
