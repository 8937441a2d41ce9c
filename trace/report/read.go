// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"

	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/advice"
)

// Read are the starts of traces, the newest first. What is no start of a pod is left out, and traces are forgotten one by one as
// starts are made of them: of many, memory would not hold both. With draw, the newest keep what the page needs to draw them.
func Read(traces []*trace.Trace, draw bool) []Start {
	traces = slices.DeleteFunc(traces, func(t *trace.Trace) bool { return !t.IsStart() })
	trace.Collapse(traces) // tells those that waited for another pod of their group
	peers, out := advice.Of(traces), make([]Start, len(traces))
	trace.Each(len(traces), func(i int) {
		t := traces[i]
		traces[i] = nil
		out[i] = Of(t)
		out[i].Advice = advice.For(t, peers)
		if draw && i < mostDrawn {
			out[i].Drawing = t.Drawing()
		}
	})
	return out
}
