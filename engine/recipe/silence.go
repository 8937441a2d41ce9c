// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"slices"
	"time"
)

// Silence is a time in which no line came. Long ones are what to look into, with a name or without.
type Silence struct {
	Start, End time.Time
	// Phase is the innermost that it began in, After and Before are those that ended and began last and next; empty if
	// there is none.
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
func (h *hush) placed(phases []Phase, from, to time.Time) []Silence {
	var out []Silence
	for _, s := range h.times {
		if s.Start.Before(from) || s.End.After(to) {
			continue
		}
		var before, after time.Time
		for _, p := range phases {
			if !p.Start.After(s.Start) && p.End.After(s.Start) {
				s.Phase = p.Name // children come after their parents
			}
			if !p.End.After(s.Start) && !p.End.Before(after) {
				s.After, after = p.Name, p.End
			}
			if !p.Start.Before(s.End) && (before.IsZero() || p.Start.Before(before)) {
				s.Before, before = p.Name, p.Start
			}
		}
		out = append(out, s)
	}
	return out
}
