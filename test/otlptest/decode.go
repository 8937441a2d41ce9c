// SPDX-License-Identifier: Apache-2.0

package otlptest

import (
	"encoding/hex"
	"fmt"
	"time"

	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
)

func spansOf(req *coltracepb.ExportTraceServiceRequest) (out []Span) {
	for _, rs := range req.GetResourceSpans() {
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				sp := Span{
					TraceID: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()),
					ParentID: hex.EncodeToString(s.GetParentSpanId()), Name: s.GetName(),
					Start: nanos(s.GetStartTimeUnixNano()), End: nanos(s.GetEndTimeUnixNano()),
					Attributes: attributes(s.GetAttributes()), Resource: attributes(rs.GetResource().GetAttributes()),
				}
				if s.GetStatus().GetCode() == 2 {
					sp.Error = s.GetStatus().GetMessage()
				}
				out = append(out, sp)
			}
		}
	}
	return out
}

func nanos(n uint64) time.Time { return time.Unix(0, int64(n)) } //nolint:gosec // until 2262

func pointsOf(req *colmetricspb.ExportMetricsServiceRequest) (out []Point) {
	for _, rm := range req.GetResourceMetrics() {
		resource := attributes(rm.GetResource().GetAttributes())
		for _, sm := range rm.GetScopeMetrics() {
			for _, m := range sm.GetMetrics() {
				if h := m.GetExponentialHistogram(); h != nil {
					delta := h.GetAggregationTemporality() == metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA
					for _, p := range h.GetDataPoints() {
						out = append(out, Point{m.GetName(), p.GetCount(), p.GetSum(), delta, attributes(p.GetAttributes()), resource, exemplars(p.GetExemplars())})
					}
				}
			}
		}
	}
	return out
}

func exemplars(es []*metricspb.Exemplar) (out []Exemplar) {
	for _, e := range es {
		out = append(out, Exemplar{
			hex.EncodeToString(e.GetTraceId()), hex.EncodeToString(e.GetSpanId()), e.GetAsDouble(), attributes(e.GetFilteredAttributes()),
		})
	}
	return out
}

func attributes(kvs []*commonpb.KeyValue) map[string]any {
	out := map[string]any{}
	for _, kv := range kvs {
		switch v := kv.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			out[kv.GetKey()] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			out[kv.GetKey()] = v.IntValue
		case *commonpb.AnyValue_DoubleValue:
			out[kv.GetKey()] = v.DoubleValue
		case *commonpb.AnyValue_BoolValue:
			out[kv.GetKey()] = v.BoolValue
		default:
			out[kv.GetKey()] = fmt.Sprint(v)
		}
	}
	return out
}
