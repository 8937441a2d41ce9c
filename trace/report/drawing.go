// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"runtime"
	"slices"
	"sync"

	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/advice"
)

// Reader turns traces into starts, one after the other.
type Reader struct {
	// Draw keeps what the page needs to draw the newest starts.
	Draw  bool
	Peers advice.Peers
}

// Read are the starts of spans, which are gone through twice: advice compares each start with the others. What is no start
// of a pod is left out.
func (r *Reader) Read(spans []*trace.Span) (starts []Start) {
	traces := trace.Sort(spans)
	for t := range traces.Each() {
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
	var (
		out  = make([]Start, len(starts))
		next = 0
		busy sync.WaitGroup
		turn = make(chan struct{}, runtime.GOMAXPROCS(0)) // building the next ones takes as long as making something of them
	)
	for t := range traces.Drain() {
		if !t.IsStart() {
			continue
		}
		at := next
		next++
		turn <- struct{}{}
		busy.Go(func() {
			out[at] = r.summary(t, drawn[t.ID])
			<-turn
		})
	}
	busy.Wait()
	return out
}

func (r *Reader) summary(t *trace.Trace, drawn bool) Start {
	s := Of(t)
	s.Advice = advice.For(t, &r.Peers)
	if drawn {
		s.Drawing = t.Drawing()
	}
	return s
}
