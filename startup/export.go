// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// DefaultExportTimeout bounds one attempt to export, unless OTEL_EXPORTER_OTLP_TIMEOUT says otherwise.
const DefaultExportTimeout = 4 * time.Second

// Histogram is how measurements are aggregated.
type Histogram string

// Histograms.
const (
	HistogramExponential Histogram = "exponential"
	HistogramExplicit    Histogram = "explicit"
)

// ExporterConfig is where telemetry goes and who sends it. What is empty comes from the OTEL_EXPORTER_OTLP_* variables,
// which also carry what is not named here: certificates, compression, headers of one signal.
type ExporterConfig struct {
	Endpoint string            // a URL, or host:port; a bare IPv6 address gets its brackets
	Protocol string            // ProtocolGRPC or ProtocolHTTP; empty and not in the environment: by the port
	Insecure *bool             // whether an endpoint without a scheme is plain text
	Headers  map[string]string // added to each request
	Version  string            // of coldtrace, in the instrumentation scope
	Service  string            // service.name
	// ClusterName is k8s.cluster.name on metrics; spans take it from their subject.
	ClusterName string
	Histogram   Histogram     // empty: HistogramExponential
	Timeout     time.Duration // of one attempt; 0: DefaultExportTimeout
}

// Exporter sends spans and measurements to an OTLP endpoint, one attempt per call. It is safe for concurrent use.
type Exporter struct {
	cfg     ExporterConfig
	spans   *otlptrace.Exporter
	metrics sdkmetric.Exporter
	timeout time.Duration
	meters  *resource.Resource
}

// NewExporter makes an exporter. It does not connect: an endpoint that is not there yet is no error.
func NewExporter(ctx context.Context, cfg ExporterConfig) (*Exporter, error) {
	switch cfg.Histogram {
	case "":
		cfg.Histogram = HistogramExponential
	case HistogramExponential, HistogramExplicit:
	default:
		return nil, fmt.Errorf("unknown histogram %q: use %q or %q", cfg.Histogram, HistogramExponential, HistogramExplicit)
	}
	traces, err := tracesSignal.target(cfg)
	if err != nil {
		return nil, fmt.Errorf("find where spans go: %w", err)
	}
	metrics, err := metricsSignal.target(cfg)
	if err != nil {
		return nil, fmt.Errorf("find where metrics go: %w", err)
	}
	e := &Exporter{cfg: cfg, timeout: cfg.Timeout, meters: metricResource(cfg)}
	if v, _ := tracesSignal.lookup("TIMEOUT"); v == "" && e.timeout == 0 {
		e.timeout = DefaultExportTimeout
	}
	if e.spans, err = newSpanExporter(ctx, traces, cfg, e.timeout); err != nil {
		return nil, fmt.Errorf("set up the span exporter: %w", err)
	}
	if e.metrics, err = newMetricExporter(ctx, metrics, cfg, e.timeout); err != nil {
		return nil, fmt.Errorf("set up the metric exporter: %w", err)
	}
	return e, nil
}

// ExportSpans makes one attempt to send spans of one subject. Nil means that the receiver accepted them.
// Permanent tells whether another attempt can help.
func (e *Exporter) ExportSpans(ctx context.Context, subject Subject, spans []Span) error {
	if len(spans) == 0 {
		return nil
	}
	ctx, cancel := e.bound(ctx)
	defer cancel()
	snapshots := Snapshots(subject, spanResource(subject, e.cfg), e.cfg.Version, spans)
	if err := accepted(e.spans.ExportSpans(ctx, snapshots)); err != nil {
		return fmt.Errorf("export %d spans: %w", len(spans), err)
	}
	return nil
}

// Shutdown closes the connections. It does not flush anything: there is nothing but what callers hold.
func (e *Exporter) Shutdown(ctx context.Context) error {
	return errors.Join(e.spans.Shutdown(ctx), e.metrics.Shutdown(ctx))
}

func (e *Exporter) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if e.timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, e.timeout)
}

// accepted drops the error of a partial success that rejected nothing: OTLP's way to send a warning.
func accepted(err error) error {
	if err != nil && isPartial(err) && strings.Contains(err.Error(), "(0 ") {
		return nil
	}
	return err
}

// isPartial tells an OTLP partial success. The exporters' error type is internal to each of them.
func isPartial(err error) bool { return strings.Contains(err.Error(), "OTLP partial success") }

// Permanent tells whether an error of Exporter is one that a repetition of the same request cannot cure.
func Permanent(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, errBadBatch) || isPartial(err) || strings.Contains(err.Error(), "too large") {
		return true
	}
	var grpcErr interface{ GRPCStatus() *status.Status }
	if errors.As(err, &grpcErr) {
		switch grpcErr.GRPCStatus().Code() {
		case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied, codes.Unauthenticated,
			codes.FailedPrecondition, codes.OutOfRange, codes.Unimplemented:
			return true
		}
		return false
	}
	// The HTTP exporters' words for a status that OTLP does not let a client retry.
	return strings.Contains(err.Error(), "failed to send to ")
}

func spanResource(s Subject, cfg ExporterConfig) *resource.Resource {
	return newResource(cfg.Service,
		"k8s.pod.uid", s.PodUID,
		"k8s.pod.name", s.PodName,
		"k8s.node.name", s.NodeName,
		"k8s.namespace.name", s.Namespace,
		"k8s.container.name", s.ContainerName,
		"k8s.cluster.name", s.ClusterName)
}

// metricResource names no pod: each would be a series of its own.
func metricResource(cfg ExporterConfig) *resource.Resource {
	return newResource(cfg.Service, "k8s.cluster.name", cfg.ClusterName)
}

func newResource(service string, pairs ...string) *resource.Resource {
	attrs := []attribute.KeyValue{attribute.String("service.name", service)}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			attrs = append(attrs, attribute.String(pairs[i], pairs[i+1]))
		}
	}
	return resource.NewSchemaless(attrs...)
}
