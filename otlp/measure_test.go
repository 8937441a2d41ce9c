// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"

	"github.com/coldtrace/coldtrace/otlp"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/otlptest"
)

func label(m startup.Measurement, key string) string {
	for _, l := range m.Labels {
		if string(l.Key) == key {
			return l.Value.AsString()
		}
	}
	return ""
}

// received are the points that a collector gets for spans.
func received(t *testing.T, s startup.Subject, spans ...startup.Span) []otlptest.Point {
	t.Helper()
	r := otlptest.New(t)
	e, err := otlp.NewExporter(t.Context(), otlp.ExporterConfig{Endpoint: "http://" + r.GRPC, Service: "s"})
	if err != nil {
		t.Fatal(err)
	}
	var ms []startup.Measurement
	for _, span := range spans {
		ms = append(ms, startup.Measurements(s, span)...)
	}
	if err := e.ExportMeasurements(t.Context(), ms); err != nil {
		t.Fatal(err)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	return r.Points()
}

func TestMeasurementsAreDeltaHistogramsWithoutAPod(t *testing.T) {
	counts := map[string]uint64{}
	for _, p := range received(t, subject, aStart()...) {
		counts[p.Metric] += p.Count
		if !p.Delta {
			t.Errorf("%+v", p)
		}
		for _, attributes := range []map[string]any{p.Attributes, p.Resource} {
			for key, value := range attributes {
				if strings.Contains(key, "pod") || value == subject.PodName || value == subject.PodUID {
					t.Errorf("%s names a pod: %s=%v", p.Metric, key, value)
				}
			}
		}
	}
	if counts[startup.MetricPhaseDuration] != 2 {
		t.Errorf("%v", counts)
	}
}

func TestEachPointLeadsToItsSpans(t *testing.T) {
	other := subject
	other.PodUID = "1f0e2c1a-6d1b-4f2e-9c55-3d2b1a0e7f11"
	for name, filter := range map[string]string{"by default": "", "in a container that wants none of its own": "always_off"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_METRICS_EXEMPLAR_FILTER", filter)
			for _, s := range []startup.Subject{subject, other} {
				points := received(t, s, aStart()...)
				if len(points) == 0 {
					t.Fatal("no points")
				}
				for _, p := range points {
					key := startup.KeyInContainer
					if p.Attributes[startup.LabelPhase] == startup.SpanVLLMInit {
						key = startup.SpanVLLMInit
					}
					want := otlptest.Exemplar{
						TraceID: s.Hash.TraceID(s.PodUID).String(), SpanID: s.Hash.SpanID(s.PodUID, key).String(), Value: p.Sum,
					}
					if len(p.Exemplars) != 1 || len(p.Exemplars[0].Attributes) != 0 {
						t.Fatalf("exemplars of %s: %+v", p.Metric, p.Exemplars)
					}
					got := p.Exemplars[0]
					if got.Attributes = nil; got.TraceID != want.TraceID || got.SpanID != want.SpanID || got.Value != want.Value {
						t.Errorf("exemplar of %s %+v, want %+v", p.Metric, got, want)
					}
				}
			}
		})
	}
	t.Run("not to a trace that is dropped", func(t *testing.T) {
		dropped := subject
		dropped.SamplingPriority = -1
		for _, p := range received(t, dropped, aStart()...) {
			if len(p.Exemplars) != 0 {
				t.Errorf("%+v", p)
			}
		}
	})
}

func TestAStartCountsByItsOutcomeAndItsAttempts(t *testing.T) {
	for name, tt := range map[string]struct {
		outcome  string
		reason   startup.Reason
		failed   int
		attempts string
	}{
		"ready at once":                           {outcome: "ready", attempts: "1"},
		"ready after two that failed":             {outcome: "ready", failed: 2, attempts: "3"},
		"a crash loop":                            {outcome: "failed", reason: "OOMKilled", failed: 3, attempts: "3"},
		"one that never ran":                      {outcome: "failed", reason: "ImagePullBackOff", attempts: "1"},
		"a long crash loop":                       {outcome: "failed", reason: "exit_code=1", failed: 40, attempts: "5+"},
		"deleted before it was ready":             {outcome: "deleted", reason: "deleted", attempts: "1"},
		"a pod that nothing probes":               {outcome: "started", attempts: "1"},
		"deleted while the second attempt loaded": {outcome: "failed", reason: "exit_code=2", failed: 1, attempts: "1"},
	} {
		t.Run(name, func(t *testing.T) {
			span := startup.Span{Name: startup.SpanPodStartup, Key: startup.SpanPodStartup, Failure: tt.reason, Attributes: []attribute.KeyValue{
				attribute.String(startup.AttrOutcome, tt.outcome), attribute.Int(startup.AttrFailedAttempts, tt.failed),
			}}
			found := false
			for _, m := range startup.Measurements(subject, span) {
				if m.Metric != startup.MetricTotalDuration {
					continue
				}
				found = true
				for key, want := range map[string]string{
					startup.AttrOutcome: tt.outcome, startup.AttrReason: string(tt.reason), startup.LabelAttempts: tt.attempts, startup.LabelPhase: "",
				} {
					if got := label(m, key); got != want {
						t.Errorf("%s is %q, want %q", key, got, want)
					}
				}
			}
			if !found {
				t.Error("the start is not counted")
			}
		})
	}
}

func TestAPhaseThatFailedIsInNoHistogramOfSuccesses(t *testing.T) {
	for _, name := range []string{
		startup.SpanStartup, startup.SpanPodStartup, startup.SpanPodPending, startup.SpanImagePull, startup.SpanVLLMInit, startup.SpanS5cmdDownload,
		startup.SpanHFDownload, startup.SpanModelLoad,
	} {
		span := startup.Span{Name: name, Attributes: []attribute.KeyValue{attribute.Float64(startup.AttrThroughputMBps, 9)}}
		span.Failure = "timed_out"
		for _, m := range startup.Measurements(subject, span) {
			if label(m, startup.AttrReason) == "" && label(m, startup.AttrOutcome) != startup.OutcomeTimedOut {
				t.Errorf("a failed %s is in %s, where nothing tells that it failed", name, m.Metric)
			}
		}
	}
}
