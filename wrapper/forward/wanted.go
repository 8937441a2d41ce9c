// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
)

// wanted are the spans to pass on: all but vLLM's spans of its loading where they are not part of the start's trace. With
// request tracing on they would be traces of their own, of which the sampler keeps one here and there.
func wanted(resources []*otlp.ResourceSpans, start trace.TraceID) []*otlp.ResourceSpans {
	for _, r := range resources {
		for _, s := range r.GetScopeSpans() {
			vllm := strings.HasPrefix(s.GetScope().GetName(), "vllm")
			s.Spans = slices.DeleteFunc(s.Spans, func(span *otlp.Span) bool {
				return vllm && span.GetKind() != otlp.Span_SPAN_KIND_SERVER && (!bytes.Equal(span.GetTraceId(), start[:]) || broken(span))
			})
		}
		r.ScopeSpans = slices.DeleteFunc(r.ScopeSpans, func(s *otlp.ScopeSpans) bool { return len(s.Spans) == 0 })
	}
	return slices.DeleteFunc(resources, func(r *otlp.ResourceSpans) bool { return len(r.ScopeSpans) == 0 })
}

// broken tells a span whose start is a monotonic clock's, read as time: it would begin in 1970 (vLLM 0.17 to 0.25,
// vllm#40698).
func broken(span *otlp.Span) bool {
	const year2000 = uint64(946684800 * time.Second)
	return span.GetStartTimeUnixNano() < year2000
}
