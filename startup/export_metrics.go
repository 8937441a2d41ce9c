// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// Bounds of explicit histograms: starts take from seconds to an hour, downloads run from 10 MB/s to 10 GB/s.
var (
	secondsBounds = []float64{
		0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 300, 420, 600, 900, 1200, 1800, 2700, 3600,
	}
	throughputBounds = []float64{1, 5, 10, 25, 50, 100, 200, 300, 400, 600, 800, 1000, 1500, 2000, 3000, 4000, 6000, 8000, 10000}
)

// Base-2 exponential histograms as the OpenTelemetry SDKs default to: at most 160 buckets, the finest scale that fits.
const (
	exponentialMaxSize  = 160
	exponentialMaxScale = 20
)

// ExportMeasurements makes one attempt to send measurements as delta histograms. Nil means that the receiver accepted
// them. A measurement is in what was sent once, so that repeating a call after an error counts nothing twice unless the
// receiver took the request and its answer was lost.
func (e *Exporter) ExportMeasurements(ctx context.Context, ms []Measurement) error {
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
func (e *Exporter) collect(ctx context.Context, ms []Measurement) (*metricdata.ResourceMetrics, error) {
	delta := func(sdkmetric.InstrumentKind) metricdata.Temporality { return metricdata.DeltaTemporality }
	reader := sdkmetric.NewManualReader(sdkmetric.WithTemporalitySelector(delta))
	provider := sdkmetric.NewMeterProvider(
		sdkmetric.WithReader(reader),
		sdkmetric.WithResource(e.meters),
		sdkmetric.WithView(e.view),
	)
	meter := provider.Meter(ScopeName, metric.WithInstrumentationVersion(e.cfg.Version))
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
		h.Record(ctx, m.Value, metric.WithAttributes(m.Labels...))
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

// view chooses the aggregation.
func (e *Exporter) view(i sdkmetric.Instrument) (sdkmetric.Stream, bool) {
	s := sdkmetric.Stream{Name: i.Name, Description: i.Description, Unit: i.Unit}
	switch {
	case e.cfg.Histogram == HistogramExponential:
		s.Aggregation = sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: exponentialMaxSize, MaxScale: exponentialMaxScale}
	case i.Unit == "s":
		s.Aggregation = sdkmetric.AggregationExplicitBucketHistogram{Boundaries: secondsBounds}
	default:
		s.Aggregation = sdkmetric.AggregationExplicitBucketHistogram{Boundaries: throughputBounds}
	}
	return s, true
}

// unitOf is the UCUM unit that a metric's name ends in.
func unitOf(metric string) string {
	if strings.HasSuffix(metric, "_mbps") {
		return "MBy/s"
	}
	return "s"
}
