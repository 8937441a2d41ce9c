// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// wanted are the spans to pass on: all but vLLM's spans of its loading where they are not part of the start's trace. With
// request tracing on they would be traces of their own, of which the sampler keeps one here and there.
func wanted(resources []*tracepb.ResourceSpans, start trace.TraceID) []*tracepb.ResourceSpans {
	for _, r := range resources {
		for _, s := range r.GetScopeSpans() {
			vllm := strings.HasPrefix(s.GetScope().GetName(), "vllm")
			s.Spans = slices.DeleteFunc(s.Spans, func(span *tracepb.Span) bool {
				return vllm && span.GetKind() != tracepb.Span_SPAN_KIND_SERVER && (!bytes.Equal(span.GetTraceId(), start[:]) || broken(span))
			})
		}
		r.ScopeSpans = slices.DeleteFunc(r.ScopeSpans, func(s *tracepb.ScopeSpans) bool { return len(s.Spans) == 0 })
	}
	return slices.DeleteFunc(resources, func(r *tracepb.ResourceSpans) bool { return len(r.ScopeSpans) == 0 })
}

// broken tells a span whose start is a monotonic clock's, read as time: it would begin in 1970 (vLLM 0.17 to 0.25,
// vllm#40698).
func broken(span *tracepb.Span) bool {
	const year2000 = uint64(946684800 * time.Second)
	return span.GetStartTimeUnixNano() < year2000
}
