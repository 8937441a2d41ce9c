// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"go.opentelemetry.io/otel/codes"

	"github.com/coldtrace/coldtrace/otlp"
	"github.com/coldtrace/coldtrace/startup"
)

// FromStart are the spans that an exporter would send of a subject's start, in the same order.
func FromStart(subject startup.Subject, service string, spans []startup.Span) []*Span {
	res := otlp.Resource(subject, service)
	out := make([]*Span, 0, len(spans))
	for _, s := range otlp.Snapshots(subject, res, "", spans) {
		out = append(out, fromSDK(s))
	}
	return out
}

func fromSDK(s sdktrace.ReadOnlySpan) *Span {
	out := &Span{
		TraceID: s.SpanContext().TraceID().String(), ID: s.SpanContext().SpanID().String(), Name: s.Name(),
		Start: s.StartTime(), End: s.EndTime(), Attributes: fromAttributes(s.Attributes()), Scope: s.InstrumentationScope().Name,
		Failed: s.Status().Code == codes.Error, Message: s.Status().Description, Resource: fromAttributes(s.Resource().Attributes()),
	}
	if s.Parent().SpanID().IsValid() {
		out.ParentID = s.Parent().SpanID().String()
	}
	for _, l := range s.Links() {
		out.Links = append(out.Links, Link{l.SpanContext.TraceID().String(), l.SpanContext.SpanID().String(), fromAttributes(l.Attributes)})
	}
	for _, e := range s.Events() {
		out.Events = append(out.Events, Event{Name: e.Name, Time: e.Time, Attributes: fromAttributes(e.Attributes)})
	}
	return out
}

func fromAttributes(in []attribute.KeyValue) []Attribute {
	out := make([]Attribute, 0, len(in))
	for _, kv := range in {
		var value any
		switch v := kv.Value; v.Type() {
		case attribute.BOOL:
			value = v.AsBool()
		case attribute.INT64:
			value = v.AsInt64()
		case attribute.FLOAT64:
			value = v.AsFloat64()
		case attribute.STRINGSLICE:
			items := []any{}
			for _, item := range v.AsStringSlice() {
				items = append(items, item)
			}
			value = items
		default:
			value = v.String()
		}
		out = append(out, Attribute{Key: string(kv.Key), Value: value})
	}
	return out
}
