// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func TestAnAdmissionIsOneSpanWithItsParts(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	h := newTestHandler(t, func(c *Config) { c.Tracer = provider.Tracer("test") })
	for name, c := range map[string]struct {
		body    string
		parts   []string
		outcome string
		status  codes.Code
	}{
		"an endpoint":               {reviewOf(pod), []string{"decode", "decide", "patch"}, "injected", codes.Unset},
		"a pod that can't be read":  {reviewOf(`{"spec":7}`), []string{"decode", "patch"}, "failed", codes.Error},
		"a body that is no review":  {"nonsense", []string{"decode"}, "failed", codes.Error},
		"a header from who may ask": {reviewOf(pod), []string{"decode", "decide", "patch"}, "injected", codes.Unset},
	} {
		t.Run(name, func(t *testing.T) {
			spans.Reset()
			r := httptest.NewRequest(http.MethodPost, Path, strings.NewReader(c.body))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
			h.ServeHTTP(httptest.NewRecorder(), r)
			ended := spans.Ended()
			root := ended[len(ended)-1]
			if root.Name() != "admission" || root.Parent().IsValid() || root.Status().Code != c.status {
				t.Errorf("the last span is %s, child of %v, %v", root.Name(), root.Parent(), root.Status())
			}
			var parts []string
			for _, s := range ended[:len(ended)-1] {
				parts = append(parts, s.Name())
				if s.Parent().SpanID() != root.SpanContext().SpanID() || s.StartTime().Before(root.StartTime()) || s.EndTime().After(root.EndTime()) {
					t.Errorf("%s does not lie in the admission", s.Name())
				}
			}
			if !slices.Equal(parts, c.parts) {
				t.Errorf("parts %v, want %v", parts, c.parts)
			}
			outcome := ""
			for _, a := range root.Attributes() {
				if a.Key == "coldtrace.outcome" {
					outcome = a.Value.AsString()
				}
				if strings.Contains(a.Value.String(), "vllm") {
					t.Errorf("%s tells of the pod: %s", a.Key, a.Value.String())
				}
			}
			if outcome != c.outcome {
				t.Errorf("outcome %q, want %q", outcome, c.outcome)
			}
		})
	}
}

// discard is an exporter that costs nothing.
type discard struct{}

func (discard) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }
func (discard) Shutdown(context.Context) error                             { return nil }

// BenchmarkSelfTelemetry is what spans of coldtrace itself add to an admission: off, as by default; at the chart's share
// of 5 % once they are on; and all of them.
func BenchmarkSelfTelemetry(b *testing.B) {
	body := reviewOf(pod)
	for _, c := range []struct {
		name  string
		ratio float64
	}{{"off", -1}, {"on/ratio=0.05", 0.05}, {"on/ratio=1", 1}} {
		b.Run(c.name, func(b *testing.B) {
			h := newTestHandler(b, func(conf *Config) {
				if c.ratio < 0 {
					return
				}
				provider := sdktrace.NewTracerProvider(
					sdktrace.WithSampler(sdktrace.TraceIDRatioBased(c.ratio)), sdktrace.WithBatcher(discard{}))
				b.Cleanup(func() { _ = provider.Shutdown(context.Background()) }) // nothing to lose
				conf.Tracer = provider.Tracer("bench")
			})
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, Path, strings.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				if h.ServeHTTP(w, r); w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
}
