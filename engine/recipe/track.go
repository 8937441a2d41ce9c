// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bytes"
	"cmp"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// track is one phase's edges, rank by rank.
type track struct {
	open      map[string]opening
	stretches map[string][]stretch
}

// opening is a begin without an end yet.
type opening struct {
	start   time.Time
	noticed time.Time // when a line told
	bar     bool      // which was a progress bar's
}

// stretch is one way of a rank through a phase.
type stretch struct {
	start, end time.Time
	attributes map[string]any
	presumed   bool // no line said that it ended, only that something later began
}

func (s *launch) track(phase string) *track {
	t := s.tracks[phase]
	if t == nil {
		t = &track{open: map[string]opening{}, stretches: map[string][]stretch{}}
		s.tracks[phase] = t
		s.order = append(s.order, phase)
	}
	return t
}

// edge records where a phase begins or ends, and what the engine does from here on.
func (s *launch) edge(l line, rank string, r *rule, c capture, embedded bool) {
	if r.Silence != "" && !l.early {
		s.silent(r.Silence, l.at, l.since)
	}
	for name, value := range r.Sets {
		if now := s.sets[name]; now != compileOff && (now != compileMiss || value == compileOff) {
			s.sets[name] = value
		}
	}
	now := s.stage()
	_, states := c.seconds()
	l.lent = !l.own && !states && !l.early && l.at.Equal(s.lent) // nobody knows when it was: the first that was so has that time
	if r.Phase != "" {
		s.phaseEdge(l, rank, r, c, embedded)
	}
	if n := len(s.stages); strings.HasPrefix(r.Says, ", in ") && n > 0 && s.stages[n-1].name == startup.SpanKernelWarmup && r.Opens == startup.SpanKVCacheInit {
		s.stages[n-1].name = r.Opens // the sizes were printed, the memory is taken after that
	}
	if r.Opens != "" && !l.lent {
		at := l.known(l.at)
		if !l.own { // at is of a line before it, and what this one ends may have come between
			at = startup.Later(at, s.stage().at)
		}
		s.opens(r, at)
	}
	if !l.own && s.stage() != now {
		s.lent = l.at
	}
}

// phaseEdge takes a line that opens or closes a phase:
//
//	12:00:04 Starting to load model        begin: open since 12:00:04
//	12:00:09 Loading weights took 4.8 s    end: 4.8 s up to 12:00:09
//	12:00:11 Model loading took 6.5 s      end: 6.5 s up to 12:00:11, which is from 12:00:04 on by a clock of seconds
func (s *launch) phaseEdge(l line, rank string, r *rule, c capture, embedded bool) {
	if r.Whole {
		rank = ""
	}
	t := s.track(r.Phase)
	if len(t.open)+len(t.stretches) > maxRanks {
		return
	}
	e := &edge{line: l, rule: r, rank: rank, at: l.at, since: cmp.Or(t.open[rank].start, earliest(t.open), s.entered(r.Phase, l.at))}
	e.stated, e.has = c.seconds()
	e.length = time.Duration(e.stated * float64(time.Second))
	if l.bar && l.own && !e.has && r.Edge == "begin" {
		e.length = drawnFor(l.text) // its earlier updates were not seen
	}
	if last := t.last(rank); l.early && r.Edge != "begin" && last != nil && last.presumed {
		took := last.end.Sub(last.start)
		e.at, s.stated = e.at.Add(-took), s.stated-took // which this line's length holds as well
	}
	if e.has && !l.own { // at is when something was said last: that silence was this, since then or since it was opened
		e.at = startup.Later(e.at, cmp.Or(e.since, e.at).Add(e.length))
	}
	if !isLoading(r.Phase) {
		s.loaded(rank, r.Whole, e.at.Add(-e.length))
	}
	if r.Edge == "begin" {
		s.phaseBegins(t, e)
	} else if !r.Once || t.last(rank) == nil {
		s.phaseEnds(t, e, c, embedded)
	}
}

// entered is since when the engine is in a stage, by a time: not before all ranks have loaded, of which the first opened it.
func (s *launch) entered(phase string, by time.Time) time.Time {
	began := s.began(phase)
	if t := s.tracks[startup.SpanWeightsLoad]; t != nil && !began.IsZero() && !isLoading(phase) {
		if last := t.end(began, true); last.Sub(began) >= coarse {
			return startup.Earlier(last, by)
		}
	}
	return began
}

// edge is where a phase begins or ends, by a line.
type edge struct {
	line
	rule   *rule
	rank   string
	at     time.Time
	since  time.Time     // when the phase began, if a line or what came before told
	stated float64       // seconds that it took by the line's word
	has    bool          // it says so
	length time.Duration // the same, or for how long a bar was drawn before it was seen
}

func (s *launch) phaseBegins(t *track, e *edge) {
	if t.overtook(e.rank, e.at, e.bar, bytes.Contains(e.text, []byte(" 0%"))) {
		return
	}
	if _, is := t.open[e.rank]; is {
		return
	}
	t.open[e.rank] = opening{start: e.at.Add(-e.length), noticed: e.at, bar: e.bar}
	if !e.bar || s.spoke {
		s.enter(e.rule.Phase, startup.Later(e.known(e.at.Add(-e.length)), s.stage().at))
	}
}

func (s *launch) phaseEnds(t *track, e *edge, c capture, embedded bool) {
	since, opened := e.since, !e.since.IsZero()
	s.fetched = s.fetched || e.rule.Phase == startup.SpanHFDownload && !s.loads()
	if e.early && parents[e.rule.Phase] == "" {
		s.stated += e.length
	}
	if !e.lent {
		s.left(e.rule.Phase, e.known(e.at))
	}
	delete(t.open, e.rank)
	delete(t.open, "") // a progress bar or a driver without a prefix opened it for all
	if !e.has && !opened && t.last(e.rank) == nil && isLoading(e.rule.Phase) {
		return // nothing tells when it began, which is not the same as that it took no time
	}
	if last := t.last(e.rank); last != nil && last.presumed {
		if k := len(s.stages) - 1; k >= 0 && s.stages[k].at.Equal(last.end) {
			s.stages[k].at = e.at // what follows began only now
		}
		since, t.stretches[e.rank] = last.start, t.stretches[e.rank][:len(t.stretches[e.rank])-1]
	}
	if !e.has && !e.own {
		return // nothing tells how long it took: a progress bar has no time of its own
	}
	last := t.last(e.rank)
	sp := stretch{start: e.begins(since, last, embedded), end: e.at, attributes: s.attributesOf(e, c), presumed: e.rule.Tentative}
	// Two texts of one line, or a second closing line of a phase that states no length.
	if last != nil && (!e.has && !opened || last.end.Equal(e.at) && last.attributes[attrStated] == e.stated) {
		last.end = startup.Later(last.end, e.at) // a stamp may jump back
		for name, value := range sp.attributes {
			last.set(name, value)
		}
		return
	}
	if len(t.stretches[e.rank]) < 64 {
		t.stretches[e.rank] = append(t.stretches[e.rank], sp)
	}
}

// begins is when what ends at an edge began: by its length, or since when it was open, where that is as near or says more.
func (e *edge) begins(since time.Time, last *stretch, embedded bool) time.Time {
	begin := e.at.Add(-e.length)
	if last != nil && e.rule.Opening { // it may be a running total
		if total, ok := last.attributes[attrStated].(float64); ok && e.stated > total && begin.Before(last.end.Add(-coarse)) {
			begin = e.at.Add(-time.Duration((e.stated - total) * float64(time.Second)))
		}
	}
	switch {
	case since.IsZero() || since.After(e.at):
	case !e.has, e.rule.Opening && since.Before(begin) && !near(since, begin, 2*time.Second, embedded):
		return since
	case !embedded && near(since, begin, time.Second, true): // the text rounds, the clock does not
		return since
	}
	return begin
}

func (s *launch) attributesOf(e *edge, c capture) map[string]any {
	out := map[string]any{}
	if e.has {
		out[attrStated] = e.stated
	}
	for group, name := range e.rule.Attributes {
		if v, ok := c.number(group); ok {
			out[name] = v
		}
	}
	if value := s.sets[attrCompileCache]; value != "" && e.rule.Phase == startup.SpanTorchCompile {
		out[attrCompileCache] = value
		if !e.rule.Tentative { // the end that replaces this one has it, too
			delete(s.sets, attrCompileCache)
		}
	}
	return out
}

// last is what a rank went through last, nil: nothing.
func (t *track) last(rank string) *stretch {
	if n := len(t.stretches[rank]); n > 0 {
		return &t.stretches[rank][n-1]
	}
	return nil
}

// overtook says whether what opens a phase was overtaken by what closed it: a progress bar on stderr by the line on
// stdout. A bar does not say whose it is, and opens nothing that is closed unless it begins anew.
func (t *track) overtook(rank string, at time.Time, bar, anew bool) bool {
	for of, done := range t.stretches {
		if len(done) > 0 && (of == rank || bar) && (bar && !anew || at.Sub(done[len(done)-1].end) < 2*time.Second) {
			return true
		}
	}
	return false
}

// opens takes the engine to a stage. A failure that only happens in it tells that it had begun when what comes before it
// was done.
func (s *launch) opens(r *rule, at time.Time) {
	if r.Fails == "" {
		s.enter(r.Opens, at)
		return
	}
	if s.began(r.Opens).IsZero() && s.loads() && isLoading(s.stage().name) {
		begin := at
		if t := s.tracks[startup.SpanWeightsLoad]; t != nil {
			begin = startup.Earlier(begin, t.end(at, true))
		}
		s.loaded("", true, begin)
		s.stages = append(s.stages, stage{r.Opens, begin})
		return
	}
	s.enter(r.Opens, at)
}

// end is when the last rank was through with a phase, as a line told or as may be presumed, otherwise if none was.
func (t *track) end(otherwise time.Time, presumed bool) time.Time {
	var last time.Time
	for _, done := range t.stretches {
		for _, sp := range done {
			if presumed || !sp.presumed {
				last = startup.Later(last, sp.end)
			}
		}
	}
	return cmp.Or(last, otherwise)
}

func isLoading(phase string) bool {
	return phase == startup.SpanModelLoad || parents[phase] == startup.SpanModelLoad
}

// loaded ends what is open of a rank's loading, or of all ranks': something later has begun. CPU, TPU and others print
// no closing line. When a bar alone has told of it, nobody knows when it ended.
func (s *launch) loaded(rank string, all bool, at time.Time) {
	for _, phase := range [...]string{startup.SpanModelLoad, startup.SpanWeightsLoad} {
		t := s.tracks[phase]
		if t == nil {
			continue
		}
		said := t.end(at, false)
		for of, o := range t.open {
			if of != rank && !all {
				continue
			}
			delete(t.open, of)
			end := at
			if said.After(o.start) {
				end = startup.Earlier(said, at) // of another, and of this one, too: Ray swallows a line that many say
			}
			if !o.bar {
				t.stretches[of] = append(t.stretches[of], stretch{start: o.start, end: startup.Later(end, o.start), presumed: true})
			}
		}
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
