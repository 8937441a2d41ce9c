// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"maps"
	"time"
)

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
	if has && !l.own { // at is when something was said last: that silence was this
		at = at.Add(length)
	}
	if r.Edge == "begin" {
		if done := t.spans[rank]; len(done) > 0 && at.Sub(done[len(done)-1].end) < 2*time.Second {
			return // a progress bar on stderr that was overtaken by the closing line on stdout
		}
		if _, is := t.open[rank]; !is {
			t.open[rank] = opening{at.Add(-length), at}
		}
		return
	}
	if r.Once && len(t.spans[rank]) > 0 {
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
		last.end = later(last.end, at) // a stamp may jump back
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
