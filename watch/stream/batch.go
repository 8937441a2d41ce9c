// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// batchTime is how much of a watch one span covers at most: never one for each event of a pod.
const batchTime = time.Second

// batch is what came on one watch within batchTime. It is only kept where spans are wanted.
type batch struct {
	tracer   trace.Tracer // nil: nothing is kept
	resource string

	first, last time.Time
	objects     int
	busy        time.Duration // spent on them
}

// add takes in one object that was worked on from begun until now.
func (b *batch) add(begun, now time.Time) {
	if b.tracer == nil {
		return
	}
	if b.objects > 0 && now.Sub(b.first) > batchTime {
		b.end()
	}
	if b.objects == 0 {
		b.first = begun
	}
	b.last, b.objects, b.busy = now, b.objects+1, b.busy+now.Sub(begun)
}

// end makes a span of what there is.
func (b *batch) end() {
	if b.tracer == nil || b.objects == 0 {
		return
	}
	_, span := b.tracer.Start(context.Background(), "watch_batch", trace.WithNewRoot(), trace.WithTimestamp(b.first))
	if span.IsRecording() {
		span.SetAttributes(
			attribute.String("coldtrace.resource", b.resource),
			attribute.Int("coldtrace.objects", b.objects),
			attribute.Float64("coldtrace.busy_seconds", b.busy.Seconds()))
	}
	span.End(trace.WithTimestamp(b.last))
	b.objects, b.busy = 0, 0
}
