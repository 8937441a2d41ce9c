// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// Snapshots turns finished spans of one subject into what an OTLP exporter takes. Ids follow from the pod's UID and
// the spans' keys alone, so a repeated call yields the same spans. They are sampled, whatever OTEL_TRACES_SAMPLER says.
func Snapshots(subject Subject, res *resource.Resource, version string, spans []Span) []sdktrace.ReadOnlySpan {
	var (
		common   = subject.Attributes()
		priority = subject.SamplingPriority
		out      = make([]sdktrace.ReadOnlySpan, len(spans))
	)
	if priority == 0 {
		priority = KeepPriority
	}
	for i, s := range spans {
		stub := tracetest.SpanStub{
			Name:                 s.Name,
			SpanContext:          subject.spanContext(s.Key),
			SpanKind:             trace.SpanKindInternal,
			StartTime:            s.Start,
			EndTime:              s.End,
			Resource:             res,
			InstrumentationScope: instrumentation.Scope{Name: ScopeName, Version: version},
		}
		if s.ParentKey != "" {
			stub.Parent = subject.spanContext(s.ParentKey)
		}
		stub.Attributes = append(append(stub.Attributes, common...), s.Attributes...)
		stub.Attributes = append(stub.Attributes,
			attribute.Float64(AttrDurationSeconds, s.Duration().Seconds()),
			attribute.Int(AttrSamplingPriority, priority))
		if s.Failure != "" {
			stub.Attributes = append(stub.Attributes, attribute.String(AttrReason, s.Failure))
			stub.Status = sdktrace.Status{Code: codes.Error, Description: s.Failure}
		}
		for _, e := range s.Events {
			stub.Events = append(stub.Events, sdktrace.Event{Name: e.Name, Time: e.Time, Attributes: e.Attributes})
		}
		out[i] = stub.Snapshot()
	}
	return out
}

// spanContext is that of the span with the key.
func (s Subject) spanContext(key string) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: s.Hash.TraceID(s.PodUID), SpanID: s.Hash.SpanID(s.PodUID, key), TraceFlags: trace.FlagsSampled,
	})
}
