// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/otlptest"
)

func TestAnExportIsOneSpanAndSendingThatMakesNoOther(t *testing.T) {
	receiver := otlptest.New(t)
	policy := config.Default()
	policy.OTLP.Endpoint = "http://" + receiver.GRPC
	to := &policyExporter{policy: func() *config.Policy { return policy }, log: logr.Discard()}
	self := newSelfTelemetry(to, "coldtrace-0", 1, logr.Discard())
	o := &observedExporter{to, startup.ServiceWatcher, self.tracer("watch")}
	now := time.Now()
	const exports = 3
	for range exports {
		err := o.ExportSpans(t.Context(), startup.Subject{PodUID: "uid"}, []startup.Span{{Name: "x", Key: "x", Start: now, End: now}})
		if err != nil {
			t.Fatal(err)
		}
	}
	own := func() (spans []otlptest.Span) {
		for _, s := range receiver.Spans() {
			if s.Resource["service.name"] == "coldtrace" {
				spans = append(spans, s)
			}
		}
		return spans
	}
	for range 3 { // had sending them made spans, a second flush would bring more
		if err := self.provider.ForceFlush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	spans := own()
	if len(spans) != exports {
		t.Fatalf("%d spans of coldtrace itself, want %d", len(spans), exports)
	}
	for _, s := range spans {
		if s.Name != "export" || s.ParentID != "" || s.Resource["k8s.pod.name"] != "coldtrace-0" {
			t.Errorf("%+v", s)
		}
	}
	traces := []string{spans[0].TraceID, spans[1].TraceID, spans[2].TraceID}
	slices.Sort(traces)
	if len(slices.Compact(traces)) != exports {
		t.Errorf("each should be a trace of its own: %v", traces)
	}
}

func TestSpansOfColdtraceItselfAreBoundedAndCountedWhenNobodyTakesThem(t *testing.T) {
	policy := config.Default()
	policy.OTLP.Endpoint = "http://127.0.0.1:1" // nobody listens
	to := &policyExporter{policy: func() *config.Policy { return policy }, log: logr.Discard()}
	self := newSelfTelemetry(to, "coldtrace-0", 1, logr.Discard())
	before := testutil.ToFloat64(selfSpans.WithLabelValues("lost"))
	const ended = 10 * selfQueue
	for range ended {
		_, span := self.tracer("webhook").Start(t.Context(), "admission")
		span.End()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := self.provider.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if lost := testutil.ToFloat64(selfSpans.WithLabelValues("lost")) - before; lost == 0 || lost > ended {
		t.Errorf("%v of %d counted as lost", lost, ended)
	}
}

func TestWhatBecomesOfExportsIsCounted(t *testing.T) {
	receiver := otlptest.New(t)
	policy := config.Default()
	policy.OTLP.Endpoint, policy.OTLP.Protocol = receiver.HTTP, startup.ProtocolHTTP
	o := &observedExporter{to: &policyExporter{policy: func() *config.Policy { return policy }, log: logr.Discard()}, service: startup.ServiceWatcher}
	now := time.Now()
	for _, c := range []struct {
		name, result string
		answer       error
	}{
		{"taken", "accepted", nil},
		{"refused for good", "refused", &otlptest.Refusal{Status: http.StatusBadRequest}},
		{"refused for now", "failed", &otlptest.Refusal{Status: http.StatusServiceUnavailable}},
	} {
		t.Run(c.name, func(t *testing.T) {
			receiver.Answer = func() error { return c.answer }
			before := testutil.ToFloat64(exportBatches.WithLabelValues("spans", c.result))
			err := o.ExportSpans(t.Context(), startup.Subject{PodUID: "uid"}, []startup.Span{{Name: "x", Key: "x", Start: now, End: now}})
			if (err == nil) != (c.answer == nil) {
				t.Errorf("became %v", err)
			}
			if got := testutil.ToFloat64(exportBatches.WithLabelValues("spans", c.result)); got != before+1 {
				t.Errorf("%v counted as %s, %v before", got, c.result, before)
			}
		})
	}
	if last := testutil.ToFloat64(exportSuccess.WithLabelValues("spans")); last < float64(now.Unix()) {
		t.Errorf("the last success was at %v", last)
	}
}
