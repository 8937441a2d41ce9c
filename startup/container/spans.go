// SPDX-License-Identifier: Apache-2.0

package container

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/startup"
)

// span makes a child of `startup` from the wrapper's own observation.
func (s *Story) span(name string, start, end time.Time, failure startup.Reason) startup.Span {
	return s.spanOf(s.numbered(name), name, start, end, failure)
}

func (s *Story) spanOf(key, name string, start, end time.Time, failure startup.Reason) startup.Span {
	sp := startup.Span{
		Name: name, Key: startup.Key(key, "", s.begin.Attempt),
		ParentKey: startup.Key(startup.SpanStartup, "", s.begin.Attempt),
		Start:     start, End: end, Failure: failure,
		Attributes: []attribute.KeyValue{attribute.String(startup.AttrTimeSource, string(cmp.Or(s.begin.Source, startup.TimeObserved)))},
	}
	if s.begin.Attempt > 1 {
		sp.Attributes = append(sp.Attributes, attribute.Int(startup.AttrAttempt, s.begin.Attempt))
	}
	sp.Attributes = append(sp.Attributes, s.exitOf(failure)...)
	return s.inside(sp)
}

// exitOf is how the command ended, as attributes of what failed with it.
func (s *Story) exitOf(failure startup.Reason) []attribute.KeyValue {
	switch {
	case failure == "" || s.exit == nil:
		return nil
	case s.exit.Signal != 0: // as the wrapper and every shell tell it
		return []attribute.KeyValue{attribute.Int(startup.AttrExitCode, 128+s.exit.Signal), attribute.Int(startup.AttrSignal, s.exit.Signal)}
	}
	return []attribute.KeyValue{attribute.Int(startup.AttrExitCode, s.exit.Code)}
}

// numbered tells spans of one name apart: the second download of a start is s5cmd_download/2.
func (s *Story) numbered(name string) string {
	s.names[name]++
	if n := s.names[name]; n > 1 {
		return fmt.Sprintf("%s/%d", name, n)
	}
	return name
}

// inside clamps a span into the start it belongs to. A process's start is known to 10 ms, rounded down.
func (s *Story) inside(sp startup.Span) startup.Span {
	if skew := s.begin.At.Sub(sp.Start); skew > 0 {
		sp.Start = s.begin.At
		if skew > 20*time.Millisecond {
			sp.Attributes = append(sp.Attributes, attribute.Float64(startup.AttrClockSkewSeconds, skew.Seconds()))
		}
	}
	if sp.End.Before(sp.Start) {
		sp.End = sp.Start
	}
	return sp
}

// say tells spans that were not told before, or have changed since they were told early.
func (s *Story) say(spans ...startup.Span) {
	fresh, changed := spans[:0], []startup.Span(nil)
	for _, sp := range spans {
		if s.told[sp.Key] {
			continue
		}
		s.told[sp.Key] = true
		fresh = append(fresh, sp)
		if _, ok := s.settled[sp.Key]; ok {
			continue
		}
		if was, ok := s.early[sp.Key]; !ok || !reflect.DeepEqual(was, sp) {
			changed = append(changed, sp)
		}
		s.list(sp)
	}
	if len(changed) > 0 {
		s.Tell(changed)
	}
	if len(fresh) > 0 && s.Measure != nil {
		s.Measure(fresh)
	}
}

// list keeps a span for the live state.
func (s *Story) list(sp startup.Span) {
	i := slices.IndexFunc(s.phases, func(p startup.Span) bool { return p.Key == sp.Key })
	if i < 0 {
		s.phases = append(s.phases, sp)
	} else {
		s.phases[i] = sp
	}
}

// sayEngine tells what the log said.
func (s *Story) sayEngine(r recipe.Result) { s.say(s.engineSpans(s.engine, r)...) }

func (s *Story) engineSpans(e *engine, r recipe.Result) []startup.Span {
	spans := make([]startup.Span, 0, len(r.Phases)+1)
	for i := range r.Phases {
		if r.Phases[i].Name != startup.SpanServerReady { // health knows better
			spans = append(spans, s.engineSpan(e, &r, r.Phases[i]))
		}
	}
	return spans
}

func (s *Story) engineSpan(e *engine, r *recipe.Result, sp startup.Span) startup.Span {
	parent := startup.SpanStartup
	if sp.ParentKey != "" {
		parent = e.key(sp.ParentKey)
	}
	sp.Key, sp.ParentKey = startup.Key(e.key(sp.Key), "", s.begin.Attempt), startup.Key(parent, "", s.begin.Attempt)
	sp.Attributes = slices.Clone(sp.Attributes)
	init := sp.Name == e.recipe.Init()
	source := cmp.Or(s.begin.Source, startup.TimeMessageDuration)
	if init || sp.Name == startup.SpanPythonImport {
		source = cmp.Or(s.begin.Source, startup.TimeObserved)
	}
	sp.Attributes = append(sp.Attributes, attribute.String(startup.AttrTimeSource, string(source)))
	sp.Attributes = append(sp.Attributes, s.exitOf(sp.Failure)...)
	if init {
		sp.Attributes = append(sp.Attributes, attribute.String(startup.AttrEngine, e.recipe.Engine()))
		sp.Attributes = append(sp.Attributes, startup.Attributes(r.Figures)...)
		if r.Version != "" {
			sp.Attributes = append(sp.Attributes, attribute.String(startup.AttrEngineVersion, r.Version))
		}
		sp.Events = eventsOf(*r, e.launches)
	}
	return s.asSettled(s.inside(sp))
}

// key is a phase's where others of its name were told before: a second model_load is model_load/2.
func (e *engine) key(of string) string {
	name, nth, _ := strings.Cut(of, "/")
	n := e.before[name]
	if n == 0 {
		return of
	}
	own, err := strconv.Atoi(nth)
	if err != nil {
		own = 1
	}
	return fmt.Sprintf("%s/%d", name, n+own)
}

// asSettled is the span as it was told, if it was, or as it fits into its parent, if that was told: of a key there is one content.
func (s *Story) asSettled(sp startup.Span) startup.Span {
	if was, ok := s.settled[sp.Key]; ok {
		return was
	}
	if up, ok := s.settled[sp.ParentKey]; ok {
		for _, edge := range []*time.Time{&sp.Start, &sp.End} {
			if edge.Before(up.Start) {
				*edge = up.Start
			} else if edge.After(up.End) {
				*edge = up.End
			}
		}
	}
	return sp
}

// eventsOf are what is worth a look in an engine's init: how often it was launched before, and when it said nothing for long.
func eventsOf(r recipe.Result, launches []recipe.Launch) (out []startup.Event) {
	event := func(name string, start, end time.Time, of ...string) {
		e := startup.Event{Name: name, Time: start, Attributes: []attribute.KeyValue{attribute.Float64(startup.AttrDurationSeconds, end.Sub(start).Seconds())}}
		for i := 0; i < len(of); i += 2 {
			if of[i+1] != "" {
				e.Attributes = append(e.Attributes, attribute.String(of[i], of[i+1]))
			}
		}
		out = append(out, e)
	}
	for _, a := range slices.Concat(launches, r.Earlier) {
		event(startup.EventLaunch, a.Start, a.End, startup.AttrOutcome, string(a.Outcome), startup.AttrReason, string(a.Reason))
	}
	for _, s := range r.Silences {
		event(startup.EventSilence, s.Start, s.End, startup.AttrPhase, s.Phase, startup.AttrAfter, s.After, startup.AttrBefore, s.Before)
	}
	return out
}
