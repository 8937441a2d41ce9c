// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"slices"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// Silence is a time in which no line came. Long ones are what to look into, with a name or without.
type Silence struct {
	Start, End time.Time
	// Phase is the innermost that has most of it, After and Before are those that ended last before its middle and began
	// next after; empty if there is none.
	Phase, After, Before string
	// Lines are those around it, of a log that is read later (Options.Embedded). They are its reader's, and never leave.
	Lines [2]string `json:"-"`
}

// Length is how long it was.
func (s Silence) Length() time.Duration { return s.End.Sub(s.Start) }

const (
	maxSilences  = 5
	shortSilence = 2 * time.Second // less is none
	shownLine    = 240             // bytes
)

// hush keeps the longest silences of a launch.
type hush struct {
	last  time.Time
	line  []byte // the last, if lines are kept
	times []Silence
}

// heard takes a line, and the silence before it.
func (h *hush) heard(at time.Time, line []byte, keep bool) {
	gap := at.Sub(h.last)
	if n := len(h.times); !h.last.IsZero() && gap >= shortSilence && (n < maxSilences || gap > h.times[n-1].Length()) {
		quiet := Silence{Start: h.last, End: at}
		if keep {
			quiet.Lines = [2]string{string(h.line), string(line[:min(len(line), shownLine)])}
		}
		h.times = append(h.times[:min(n, maxSilences-1)], quiet)
		slices.SortStableFunc(h.times, func(a, b Silence) int { return int(b.Length() - a.Length()) })
	}
	if at.After(h.last) {
		h.last = at
	}
	if keep {
		h.line = append(h.line[:0], line[:min(len(line), shownLine)]...)
	}
}

// placed are the silences between two times, with the phases that they lie in.
func (h *hush) placed(phases []startup.Span, from, to time.Time) []Silence {
	var out []Silence
	for _, s := range h.times {
		if !s.Start.Before(from) && !s.End.After(to) {
			s.place(phases)
			out = append(out, s)
		}
	}
	return out
}

// place names a silence by the innermost phase that has most of it, not by what is open when it begins: stamps of whole
// seconds and lengths with two decimals leave an edge on either side of the line that told of it. What comes before and
// after that phase is told by its middle.
func (s *Silence) place(phases []startup.Span) {
	middle := s.Start.Add(s.Length() / 2)
	var most, after, before *startup.Span
	for i := range phases {
		p := &phases[i]
		if 2*shared(*p, startup.Span{Start: s.Start, End: s.End}) > s.Length() && (most == nil || level(p) >= level(most)) {
			most = p
		}
		if !p.End.After(middle) && (after == nil || p.End.After(after.End) || p.End.Equal(after.End) && level(p) <= level(after)) {
			after = p
		}
		if !p.Start.Before(middle) && (before == nil || p.Start.Before(before.Start)) { // parents come before their children
			before = p
		}
	}
	s.Phase, s.After, s.Before = called(most), called(after), called(before)
}

func called(p *startup.Span) string {
	if p == nil {
		return ""
	}
	return p.Name
}

// level is how deep a phase lies.
func level(p *startup.Span) int {
	switch {
	case p.ParentKey == "":
		return 0
	case parents[p.Name] == "":
		return 1
	}
	return 2
}
