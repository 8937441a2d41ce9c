// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"

	"github.com/coldtrace/coldtrace/startup"
)

// Base-2 exponential histograms as the OpenTelemetry SDKs default to: at most 160 buckets, the finest scale that fits.
const (
	exponentialMaxSize  = 160
	exponentialMaxScale = 20
)

// ExportMeasurements makes one attempt to send measurements as delta histograms. Nil means that the receiver accepted
// them. A measurement is in what was sent once, so that repeating a call after an error counts nothing twice unless the
// receiver took the request and its answer was lost.
func (e *Exporter) ExportMeasurements(ctx context.Context, ms []startup.Measurement) error {
	if len(ms) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.metricsBound)
	defer cancel()
	ctx, after := listen(ctx)
	data, err := e.collect(ctx, ms)
	if err != nil {
		return err
	}
	if err := accepted(e.metrics.Export(ctx, data)); err != nil {
		return fmt.Errorf("export %d measurements: %w", len(ms), throttled(err, *after))
	}
	return nil
}

// collect aggregates one batch. Its provider lives as long as the batch, so nothing accumulates between calls.
func (e *Exporter) collect(ctx context.Context, ms []startup.Measurement) (*metricdata.ResourceMetrics, error) {
	delta := func(sdkmetric.InstrumentKind) metricdata.Temporality { return metricdata.DeltaTemporality }
	exponential := func(sdkmetric.InstrumentKind) sdkmetric.Aggregation {
		return sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: exponentialMaxSize, MaxScale: exponentialMaxScale}
	}
	reader := sdkmetric.NewManualReader(sdkmetric.WithTemporalitySelector(delta), sdkmetric.WithAggregationSelector(exponential))
	provider := sdkmetric.NewMeterProvider(
		sdkmetric.WithReader(reader),
		sdkmetric.WithResource(e.meters),
		// OTEL_METRICS_EXEMPLAR_FILTER is the workload's wish for its own metrics.
		sdkmetric.WithExemplarFilter(exemplar.TraceBasedFilter),
	)
	meter := provider.Meter(startup.ScopeName, metric.WithInstrumentationVersion(e.cfg.Version))
	instruments := map[string]metric.Float64Histogram{}
	for _, m := range ms {
		h, ok := instruments[m.Metric]
		if !ok {
			var err error
			if h, err = meter.Float64Histogram(m.Metric, metric.WithUnit(unitOf(m.Metric))); err != nil {
				return nil, fmt.Errorf("create histogram %s: %w", m.Metric, err)
			}
			instruments[m.Metric] = h
		}
		h.Record(trace.ContextWithSpanContext(ctx, m.Span), m.Value, metric.WithAttributes(m.Labels...))
	}
	var data metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &data); err != nil {
		return nil, fmt.Errorf("collect measurements: %w", err)
	}
	if err := provider.Shutdown(ctx); err != nil {
		return nil, fmt.Errorf("close the meter provider: %w", err)
	}
	return &data, nil
}

// unitOf is the UCUM unit that a metric's name ends in.
func unitOf(metric string) string {
	if strings.HasSuffix(metric, "_mbps") {
		return "MBy/s"
	}
	return "s"
}
