// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/coldtrace/coldtrace/startup"
)

// progressMarks are how long a phase has to be open to be told of before it ends: few, so that a pod that waits for hours
// costs four small spans.
var progressMarks = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}

// InProgress are the phases that have been open for long, as spans of their own kind: where a start is stuck is to be seen
// before its time-out. Each is a child of the span that will tell the phase when it has ended, and lasts from the phase's
// begin to the last mark that it passed. Next is when another mark is passed, if nothing happens before; 0: never.
func (t *Timeline) InProgress(now time.Time) (spans []startup.Span, next time.Duration) {
	for i := range t.Spans {
		s := &t.Spans[i]
		if !s.Open || slices.ContainsFunc(t.Spans, func(c Span) bool { return c.Open && c.ParentKey == s.Key }) {
			continue
		}
		age := now.Sub(s.Start)
		passed, _ := slices.BinarySearchFunc(progressMarks, age, func(mark, age time.Duration) int { return int(max(-1, min(1, mark-age-1))) })
		if passed < len(progressMarks) {
			if left := progressMarks[passed] - age; next == 0 || left < next {
				next = left
			}
		}
		if passed > 0 {
			spans = append(spans, s.inProgress(progressMarks[passed-1]))
		}
	}
	return spans, next
}

func (s *Span) inProgress(mark time.Duration) startup.Span {
	return startup.Span{
		Name: startup.SpanInProgress, Key: fmt.Sprintf("%s:%s@%s", startup.SpanInProgress, s.Key, mark), ParentKey: s.Key,
		Start: s.Start, End: s.Start.Add(mark), Events: s.Events,
		Attributes: append([]attribute.KeyValue{attribute.String(startup.AttrPhase, s.Name)}, s.Attributes...),
	}
}
