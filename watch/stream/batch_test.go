// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func TestABatchIsOneSpanOfAtMostASecondHoweverManyObjectsCome(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
	b := batch{tracer: tracer, resource: "pods"}
	now := time.Now()
	const objects = 2500
	for i := range objects { // one each millisecond
		at := now.Add(time.Duration(i) * time.Millisecond)
		b.add(at, at.Add(100*time.Microsecond))
	}
	b.end()
	b.end()
	ended := spans.Ended()
	if len(ended) != 3 {
		t.Fatalf("%d spans for two and a half seconds", len(ended))
	}
	total := int64(0)
	for _, s := range ended {
		if took := s.EndTime().Sub(s.StartTime()); took > batchTime+time.Millisecond {
			t.Errorf("a span of %s", took)
		}
		for _, a := range s.Attributes() {
			if a.Key == "coldtrace.objects" {
				total += a.Value.AsInt64()
			}
		}
	}
	if total != objects {
		t.Errorf("%d objects told of %d", total, objects)
	}
	none := batch{}
	none.add(now, now)
	none.end()
	if none.objects != 0 {
		t.Error("without a tracer nothing should be kept")
	}
}
