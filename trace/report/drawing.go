// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"slices"

	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/advice"
)

// Reader turns traces into starts, one after the other.
type Reader struct {
	// Draw keeps what the page needs to draw the newest starts.
	Draw  bool
	Peers advice.Peers
}

// Read are the starts of traces, which are gone through twice: advice compares each start with the others. What is no start
// of a pod is left out.
func (r *Reader) Read(traces func(yield func(*trace.Trace) bool)) (starts []Start) {
	for t := range traces {
		if t.IsStart() {
			r.Peers.Observe(t)
			starts = append(starts, Start{Trace: t.ID, Began: t.Start})
		}
	}
	drawn := map[string]bool{}
	slices.SortStableFunc(starts, func(a, b Start) int { return cmp.Compare(b.Began.UnixNano(), a.Began.UnixNano()) })
	for _, s := range starts[:min(len(starts), mostDrawn)] {
		drawn[s.Trace] = r.Draw
	}
	starts = starts[:0]
	for t := range traces {
		if !t.IsStart() {
			continue
		}
		s := Of(t)
		s.Advice = advice.For(t, &r.Peers)
		if drawn[t.ID] {
			s.Drawing = t.Drawing()
		}
		starts = append(starts, s)
	}
	return starts
}
