// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bytes"
	"cmp"
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
		if s.sets[name] != compileMiss {
			s.sets[name] = value
		}
	}
	now := s.stage()
	_, states := c.seconds()
	l.lent = !l.own && !states && !l.early && l.at.Equal(s.lent) // nobody knows when it was: the first that was so has that time
	if r.Phase != "" {
		s.phaseEdge(l, rank, r, c, embedded)
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

func (s *launch) phaseEdge(l line, rank string, r *rule, c capture, embedded bool) {
	at := l.at
	if r.Whole {
		rank = ""
	}
	t := s.track(r.Phase)
	if len(t.open)+len(t.stretches) > maxRanks {
		return
	}
	stated, has := c.seconds()
	length := time.Duration(stated * float64(time.Second))
	if l.bar && l.own && !has && r.Edge == "begin" {
		length = drawnFor(l.text) // its earlier updates were not seen
	}
	begin := cmp.Or(t.open[rank].start, earliest(t.open), s.began(r.Phase))
	if n := len(t.stretches[rank]); l.early && r.Edge != "begin" && n > 0 && t.stretches[rank][n-1].presumed {
		took := t.stretches[rank][n-1].end.Sub(t.stretches[rank][n-1].start)
		at, s.stated = at.Add(-took), s.stated-took // which this line's length holds as well
	}
	if has && !l.own { // at is when something was said last: that silence was this, since then or since it was opened
		at = startup.Later(at, cmp.Or(begin, at).Add(length))
	}
	if !isLoading(r.Phase) {
		s.loaded(rank, r.Whole, at.Add(-length))
	}
	if r.Edge == "begin" {
		if t.overtook(rank, at, l.bar, bytes.Contains(l.text, []byte(" 0%"))) {
			return
		}
		if _, is := t.open[rank]; !is {
			t.open[rank] = opening{start: at.Add(-length), noticed: at, bar: l.bar}
			if !l.bar || s.spoke {
				s.enter(r.Phase, startup.Later(l.known(at.Add(-length)), s.stage().at))
			}
		}
		return
	}
	if r.Once && len(t.stretches[rank]) > 0 {
		return
	}
	opened := !begin.IsZero()
	if l.early && parents[r.Phase] == "" {
		s.stated += length
	}
	if !l.lent {
		s.left(r.Phase, l.known(at))
	}
	delete(t.open, rank)
	delete(t.open, "") // a progress bar or a driver without a prefix opened it for all
	if !has && !opened && len(t.stretches[rank]) == 0 && isLoading(r.Phase) {
		return // nothing tells when it began, which is not the same as that it took no time
	}
	if n := len(t.stretches[rank]); n > 0 && t.stretches[rank][n-1].presumed {
		if k := len(s.stages) - 1; k >= 0 && s.stages[k].at.Equal(t.stretches[rank][n-1].end) {
			s.stages[k].at = at // what follows began only now
		}
		begin, t.stretches[rank] = t.stretches[rank][n-1].start, t.stretches[rank][:n-1]
	}
	if !has && !l.own {
		return // nothing tells how long it took: a progress bar has no time of its own
	}
	sp := stretch{start: at.Add(-length), end: at, attributes: map[string]any{}, presumed: r.Tentative}
	if n := len(t.stretches[rank]); n > 0 && r.Opening { // it may be a running total
		if total, ok := t.stretches[rank][n-1].attributes[attrStated].(float64); ok && stated > total && sp.start.Before(t.stretches[rank][n-1].end.Add(-coarse)) {
			length = time.Duration((stated - total) * float64(time.Second))
			sp.start = at.Add(-length)
		}
	}
	switch {
	case begin.IsZero() || begin.After(at):
	case !has, r.Opening && begin.Before(sp.start) && !near(begin, sp.start, 2*time.Second, embedded):
		sp.start = begin
	case !embedded && near(begin, sp.start, time.Second, true): // the text rounds, the clock does not
		sp.start = begin
	}
	if has {
		sp.attributes[attrStated] = stated
	}
	for group, name := range r.Attributes {
		if v, ok := c.number(group); ok {
			sp.attributes[name] = v
		}
	}
	if value := s.sets[attrCompileCache]; value != "" && r.Phase == startup.SpanTorchCompile {
		sp.attributes[attrCompileCache] = value
		if !r.Tentative { // the end that replaces this one has it, too
			delete(s.sets, attrCompileCache)
		}
	}
	// Two texts of one line, or a second closing line of a phase that states no length.
	if n := len(t.stretches[rank]); n > 0 && (!has && !opened || t.stretches[rank][n-1].end.Equal(at) && t.stretches[rank][n-1].attributes[attrStated] == stated) {
		last := &t.stretches[rank][n-1]
		last.end = startup.Later(last.end, at) // a stamp may jump back
		for name, value := range sp.attributes {
			last.set(name, value)
		}
		return
	}
	if len(t.stretches[rank]) < 64 {
		t.stretches[rank] = append(t.stretches[rank], sp)
	}
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
