// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/coldtrace/coldtrace/inject"
)

// Spans of coldtrace itself, one of the first for each admission that is sampled, with the others in it.
const (
	spanAdmission = "admission"
	spanDecode    = "decode"
	spanDecide    = "decide"
	spanPatch     = "patch"
)

// trace begins the span of an admission. It is a root: whoever reaches the port must not choose what is sampled.
func (h *Handler) trace(ctx context.Context, begun time.Time) (context.Context, trace.Span) {
	return h.config.Tracer.Start(ctx, spanAdmission,
		trace.WithNewRoot(), trace.WithTimestamp(begun), trace.WithSpanKind(trace.SpanKindServer))
}

// step begins a part of an admission; what it returns ends the part.
func (h *Handler) step(ctx context.Context, name string) func() {
	_, span := h.config.Tracer.Start(ctx, name)
	return func() { span.End() }
}

// finish ends the span of an admission. Nothing that a user wrote goes into it.
func finish(span trace.Span, a *answer) {
	defer span.End()
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(
		attribute.String("coldtrace.outcome", string(a.outcome)),
		attribute.String("coldtrace.reason", reasonLabel(a.reason)),
		attribute.Int("coldtrace.patch_bytes", len(a.patch)))
	if a.outcome == inject.Failed {
		span.SetStatus(codes.Error, reasonLabel(a.reason))
	}
}
