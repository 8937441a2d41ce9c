// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/coldtrace/coldtrace/otlp"
	"github.com/coldtrace/coldtrace/startup"
)

// What an operator can tell an outage of the receiver by, with coldtrace_watch_export_queue_length.
var (
	exportBatches = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "coldtrace_export_batches_total",
		Help: "Attempts to export, by signal (spans, measurements, self) and what became of them: accepted, refused for good, failed and tried again if they can be.",
	}, []string{"signal", "result"})
	exportSuccess = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "coldtrace_export_last_success_timestamp_seconds",
		Help: "When the receiver last accepted something, in seconds since 1970; 0 if it has not since the start.",
	}, []string{"signal"})
	selfSpans = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "coldtrace_self_spans_total",
		Help: "Spans of coldtrace itself: ended, exported, lost. What has ended and is neither of the others waits, or found no room.",
	}, []string{"result"})
)

func init() {
	ctrlmetrics.Registry.MustRegister(exportBatches, exportSuccess, selfSpans)
	for _, signal := range []string{"spans", "measurements", "self"} {
		exportSuccess.WithLabelValues(signal)
		for _, result := range []string{"accepted", "refused", "failed"} {
			exportBatches.WithLabelValues(signal, result)
		}
	}
	for _, result := range []string{"ended", "exported", "lost"} {
		selfSpans.WithLabelValues(result)
	}
}

func exported(signal string, err error) {
	result := "failed"
	switch {
	case err == nil:
		result = "accepted"
		exportSuccess.WithLabelValues(signal).SetToCurrentTime()
	case otlp.Permanent(err):
		result = "refused"
	}
	exportBatches.WithLabelValues(signal, result).Inc()
}

// observedExporter sends as a service, counts that and, with a tracer, makes a span of it.
type observedExporter struct {
	to      *policyExporter
	service string
	tracer  trace.Tracer // nil: no spans
}

// ExportSpans sends spans; nil means that they were accepted.
func (o *observedExporter) ExportSpans(ctx context.Context, subject startup.Subject, spans []startup.Span) error {
	return o.export(ctx, "spans", len(spans), func(ctx context.Context, e *otlp.Exporter) error { return e.ExportSpans(ctx, subject, spans) })
}

// ExportMeasurements sends measurements; nil means that they were accepted.
func (o *observedExporter) ExportMeasurements(ctx context.Context, ms []startup.Measurement) error {
	return o.export(ctx, "measurements", len(ms), func(ctx context.Context, e *otlp.Exporter) error { return e.ExportMeasurements(ctx, ms) })
}

func (o *observedExporter) export(ctx context.Context, signal string, items int, send func(context.Context, *otlp.Exporter) error) error {
	var span trace.Span = noop.Span{}
	if o.tracer != nil {
		ctx, span = o.tracer.Start(ctx, "export", trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
			attribute.String("coldtrace.signal", signal), attribute.Int("coldtrace.items", items)))
		defer span.End()
	}
	e, err := o.to.exporter(ctx)
	if err == nil && e != nil {
		err = send(ctx, e.As(o.service))
	}
	exported(signal, err)
	if err != nil {
		span.SetStatus(codes.Error, "the receiver did not accept it") // its own words may hold anything
	}
	return err
}

// Bounds of the spans of coldtrace itself, beside their share: what does not fit is lost and nobody waits.
const (
	selfQueue    = 1024
	selfBatch    = 256
	selfInterval = 5 * time.Second
)

// selfTelemetry makes spans of coldtrace itself and sends them where the watcher's go, past observedExporter: a span about
// exporting spans would make another.
type selfTelemetry struct {
	provider *sdktrace.TracerProvider
	log      logr.Logger
}

// newSelfTelemetry samples a share of admissions, batches and exports, each a trace of its own.
func newSelfTelemetry(to *policyExporter, pod string, share float64, log logr.Logger) *selfTelemetry {
	res := resource.NewSchemaless(
		attribute.String(startup.ResourceService, "coldtrace"), attribute.String("service.version", version), attribute.String(startup.ResourcePodName, pod))
	return &selfTelemetry{log: log, provider: sdktrace.NewTracerProvider(
		sdktrace.WithResource(res),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(share))),
		sdktrace.WithSpanProcessor(ended{sdktrace.NewBatchSpanProcessor(selfExporter{to},
			sdktrace.WithMaxQueueSize(selfQueue), sdktrace.WithMaxExportBatchSize(selfBatch), sdktrace.WithBatchTimeout(selfInterval),
			sdktrace.WithExportTimeout(otlp.DefaultExportTimeout))}),
	)}
}

// tracer is nil where spans are off.
func (s *selfTelemetry) tracer(name string) trace.Tracer {
	if s == nil {
		return nil
	}
	return s.provider.Tracer("github.com/coldtrace/coldtrace/"+name, trace.WithInstrumentationVersion(version))
}

// NeedLeaderElection is false: every replica admits.
func (s *selfTelemetry) NeedLeaderElection() bool { return false }

// Start sends what is left when the context ends.
func (s *selfTelemetry) Start(ctx context.Context) error {
	<-ctx.Done()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), otlp.DefaultExportTimeout)
	defer cancel()
	if err := s.provider.Shutdown(last); err != nil {
		s.log.V(1).Info("The last spans of coldtrace itself were not sent", "error", err.Error())
	}
	return nil
}

// ended counts spans.
type ended struct{ sdktrace.SpanProcessor }

// OnEnd takes a span.
func (e ended) OnEnd(s sdktrace.ReadOnlySpan) {
	selfSpans.WithLabelValues("ended").Inc()
	e.SpanProcessor.OnEnd(s)
}

// selfExporter sends once: what the receiver does not take is lost.
type selfExporter struct{ to *policyExporter }

// ExportSpans sends spans.
func (s selfExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	e, err := s.to.exporter(ctx)
	if err == nil && e != nil {
		err = e.ExportRecorded(ctx, spans)
	}
	result := "exported"
	if err != nil || e == nil {
		result = "lost"
	}
	selfSpans.WithLabelValues(result).Add(float64(len(spans)))
	if e != nil || err != nil {
		exported("self", err)
	}
	return nil // counted; the SDK would only log it
}

// Shutdown leaves the connection to its owner.
func (selfExporter) Shutdown(context.Context) error { return nil }
