// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/coldtrace/coldtrace/startup"
)

// Snapshots turns finished spans of one subject into what an OTLP exporter takes. Ids follow from the pod's UID and
// the spans' keys alone, so a repeated call yields the same spans. They are sampled, whatever OTEL_TRACES_SAMPLER says.
func Snapshots(subject startup.Subject, res *resource.Resource, version string, spans []startup.Span) []sdktrace.ReadOnlySpan {
	var (
		common   = subject.Attributes()
		priority = subject.SamplingPriority
		out      = make([]sdktrace.ReadOnlySpan, len(spans))
	)
	if priority == 0 {
		priority = startup.KeepPriority
	}
	for i, s := range spans {
		stub := tracetest.SpanStub{
			Name:                 s.Name,
			SpanContext:          subject.SpanContext(s.Key),
			SpanKind:             trace.SpanKindInternal,
			StartTime:            s.Start,
			EndTime:              s.End,
			Resource:             res,
			InstrumentationScope: instrumentation.Scope{Name: startup.ScopeName, Version: version},
		}
		if s.ParentKey != "" {
			stub.Parent = subject.SpanContext(s.ParentKey)
		}
		stub.Attributes = append(append(stub.Attributes, common...), s.Attributes...)
		stub.Attributes = append(stub.Attributes,
			attribute.Float64(startup.AttrDurationSeconds, s.Duration().Seconds()),
			attribute.Int(startup.AttrSamplingPriority, priority))
		if s.Failure != "" {
			stub.Attributes = append(stub.Attributes, attribute.String(startup.AttrReason, string(s.Failure)))
			stub.Status = sdktrace.Status{Code: codes.Error, Description: string(s.Failure)}
		}
		for _, e := range s.Events {
			stub.Events = append(stub.Events, sdktrace.Event{Name: e.Name, Time: e.Time, Attributes: e.Attributes})
		}
		for _, l := range s.Links {
			stub.Links = append(stub.Links, sdktrace.Link{SpanContext: l.Context, Attributes: []attribute.KeyValue{attribute.String(startup.ResourcePodName, l.PodName)}})
		}
		out[i] = stub.Snapshot()
	}
	return out
}
