// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"maps"
	"slices"
	"time"
)

// launch is what is known of one start of the engine. A stream may hold several; the last one counts.
type launch struct {
	first      time.Time // first line of the engine's logger
	firstStamp string
	lastStamp  string // last one before ready
	readyStamp string
	version    string
	prompt     prompt

	at      map[mark]time.Time
	engines map[string]bool // ranks that said they initialise an engine
	chained map[string]bool // ranks whose next traceback belongs to the one before

	strong time.Time // engine ready by its own word
	weak   time.Time // something happened that needs a ready engine
	ready  time.Time

	tracks   map[string]*track // phase -> its edges
	order    []string
	figures  map[string]map[string][]float64 // figure -> rank -> values
	failures []failure
	moved    bool // something was measured
}

func newLaunch() *launch {
	return &launch{
		at: map[mark]time.Time{}, engines: map[string]bool{}, chained: map[string]bool{}, tracks: map[string]*track{},
		figures: map[string]map[string][]float64{},
	}
}

// maxRanks bounds what one phase or figure may hold, whatever a log says.
const maxRanks = 4096

func (s *launch) seen(at time.Time, h head) {
	if s.first.IsZero() {
		s.first = at
	}
	if s.firstStamp == "" && h.stamp != nil {
		s.firstStamp = string(h.stamp)
	}
}

// ended: nothing more is to come of this launch.
func (s *launch) ended() bool {
	return !s.ready.IsZero() || slices.ContainsFunc(s.failures, func(f failure) bool { return f.hard || f.class == interrupted })
}

// over: another launch is a new start. An exception may have been survived, so it alone ends nothing.
func (s *launch) over() bool {
	return s.ended() || slices.ContainsFunc(s.failures, func(f failure) bool { return f.class >= exception })
}

// prompt is a process's first line, which may turn out to be that of another launch.
type prompt struct {
	at    time.Time
	stamp string
}

func (s *launch) lastFailure() time.Time {
	var last time.Time
	for _, f := range s.failures {
		last = later(last, f.at)
	}
	return last
}

// begun: more than introductions were made.
func (s *launch) begun() bool { return s.moved || len(s.engines) > 0 || !s.engineTime().IsZero() }

func (s *launch) passed(needs mark) bool {
	switch needs {
	case "":
		return true
	case markEngineUp:
		return !s.engineTime().IsZero()
	}
	return !s.at[needs].IsZero()
}

func (s *launch) engineReady(at time.Time) {
	s.strong = at // the last of several engines
	s.progressed()
	s.failures = nil
}

func (s *launch) engineUp(at time.Time) {
	if s.weak.IsZero() {
		s.weak = at
	}
}

func (s *launch) engineTime() time.Time {
	if !s.strong.IsZero() {
		return s.strong
	}
	return s.weak
}

// progressed forgets complaints that evidently killed nobody.
func (s *launch) progressed() {
	s.moved = true
	kept := s.failures[:0]
	for _, f := range s.failures {
		if f.hard {
			kept = append(kept, f)
		}
	}
	s.failures = kept
}

func (s *launch) figure(name, rank string, v float64) {
	ranks := s.figures[name]
	if ranks == nil {
		ranks = map[string][]float64{}
		s.figures[name] = ranks
	}
	if len(ranks) < maxRanks && len(ranks[rank]) < 64 {
		ranks[rank] = append(ranks[rank], v)
	}
	s.moved = true
}

// failureClass orders reasons: the most telling of a start's complaints is its reason.
type failureClass int

const (
	generic     failureClass = iota // "initialisation failed", of whatever
	interrupted                     // by somebody
	exception                       // a Python exception's type
	typed                           // a text that names the cause
)

type failure struct {
	reason string
	rank   string
	at     time.Time
	class  failureClass
	hard   bool // only a ready engine disproves it
}

func (s *launch) fail(at time.Time, f failure) {
	if !s.ready.IsZero() || len(s.failures) >= 64 {
		return
	}
	f.at = at
	if f.reason == ReasonEngineFailed {
		f.class = generic
	}
	s.failures = append(s.failures, f)
}

// interrupt: what the interrupted process was doing fails too, in the same chain of tracebacks. That is not the cause.
func (s *launch) interrupt(at time.Time, rank string) {
	if s.chained[rank] {
		if n := len(s.failures); n > 0 && s.failures[n-1].class == exception && s.failures[n-1].rank == rank {
			s.failures = s.failures[:n-1]
		}
	}
	s.fail(at, failure{reason: ReasonInterrupted, rank: rank, class: interrupted})
}

// cause is the failure that explains the end. What comes after an interruption is its consequence.
func (s *launch) cause() (failure, bool) {
	var best failure
	found := false
	for _, f := range s.failures {
		if !found || f.class > best.class {
			if found && best.class == interrupted {
				continue
			}
			best, found = f, true
		}
	}
	return best, found
}

// track is one phase's edges, rank by rank.
type track struct {
	open  map[string]opening
	spans map[string][]span
}

// opening is a begin without an end yet.
type opening struct {
	start   time.Time
	noticed time.Time // when a line told
}

type span struct {
	start, end time.Time
	attributes map[string]any
}

func (s *launch) track(phase string) *track {
	t := s.tracks[phase]
	if t == nil {
		t = &track{open: map[string]opening{}, spans: map[string][]span{}}
		s.tracks[phase] = t
		s.order = append(s.order, phase)
	}
	return t
}

// edge records where a phase begins or ends.
func (s *launch) edge(l line, rank string, r *rule, c capture, embedded bool) {
	at := l.at
	if r.Opens != "" {
		s.track(r.Opens).open[""] = opening{at, at}
	}
	if r.Phase == "" {
		return
	}
	if r.Whole {
		rank = ""
	}
	t := s.track(r.Phase)
	if len(t.open)+len(t.spans) > maxRanks {
		return
	}
	stated, has := c.seconds()
	length := time.Duration(stated * float64(time.Second))
	if r.Edge == "begin" {
		if done := t.spans[rank]; len(done) > 0 && at.Sub(done[len(done)-1].end) < 2*time.Second {
			return // a progress bar on stderr that was overtaken by the closing line on stdout
		}
		if _, is := t.open[rank]; !is {
			t.open[rank] = opening{at.Add(-length), at}
		}
		return
	}
	begin := t.open[rank].start
	if begin.IsZero() {
		begin = earliest(t.open)
	}
	delete(t.open, rank)
	delete(t.open, "") // a progress bar or a driver without a prefix opened it for all
	if !has && !l.own {
		return // nothing tells how long it took: a progress bar has no time of its own
	}
	sp := span{start: at.Add(-length), end: at, attributes: map[string]any{}}
	switch {
	case begin.IsZero() || begin.After(at):
	case !has, r.Opening && begin.Before(sp.start) && !near(begin, sp.start, 2*time.Second, embedded):
		sp.start = begin
	case !embedded && near(begin, sp.start, time.Second, true): // the text rounds, the clock does not
		sp.start = begin
	}
	if has {
		sp.attributes["stated_seconds"] = stated
	}
	for group, name := range r.Attributes {
		if v, ok := c.number(group); ok {
			sp.attributes[name] = v
		}
	}
	// Two texts of one line, or a second closing line of a phase that states no length.
	if n := len(t.spans[rank]); n > 0 && (!has || t.spans[rank][n-1].end.Equal(at) && t.spans[rank][n-1].attributes["stated_seconds"] == stated) {
		last := &t.spans[rank][n-1]
		last.end = at
		maps.Copy(last.attributes, sp.attributes)
		return
	}
	if len(t.spans[rank]) < 64 {
		t.spans[rank] = append(t.spans[rank], sp)
	}
}

func near(a, b time.Time, by time.Duration, yes bool) bool {
	d := a.Sub(b)
	return yes && d <= by && d >= -by
}

func earliest(of map[string]opening) time.Time {
	var first time.Time
	for _, o := range of {
		if first.IsZero() || o.start.Before(first) {
			first = o.start
		}
	}
	return first
}

// latest is the opening that was noticed last.
func latest(of map[string]opening) opening {
	var last opening
	for _, o := range of {
		if o.noticed.After(last.noticed) || o.noticed.Equal(last.noticed) && o.start.Before(last.start) {
			last = o
		}
	}
	return last
}
