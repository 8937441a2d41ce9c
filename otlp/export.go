// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/coldtrace/coldtrace/startup"
)

// DefaultExportTimeout bounds one attempt to export, unless OTEL_EXPORTER_OTLP_TIMEOUT says otherwise.
const DefaultExportTimeout = 4 * time.Second

// ExporterConfig is where telemetry goes and who sends it. What is empty comes from the OTEL_EXPORTER_OTLP_* variables,
// which also carry what is not named here: certificates, compression, headers, whether an endpoint without a scheme is
// plain text.
type ExporterConfig struct {
	Endpoint string // a URL, or host:port; a bare IPv6 address gets its brackets
	Protocol string // startup.ProtocolGRPC or startup.ProtocolHTTP; empty and not in the environment: by the port
	Version  string // of coldtrace, in the instrumentation scope
	Service  string // service.name
	// ClusterName is k8s.cluster.name on metrics; spans take it from their subject.
	ClusterName string
	Timeout     time.Duration // of one attempt; 0: DefaultExportTimeout
	SpansAlone  bool          // no measurements will be sent: where they would go need not be right
}

// Exporter sends spans and measurements to an OTLP endpoint, one attempt per call. It is safe for concurrent use.
type Exporter struct {
	cfg          ExporterConfig
	client       otlptrace.Client
	spans        *otlptrace.Exporter
	metrics      sdkmetric.Exporter
	spansBound   time.Duration // of one attempt
	metricsBound time.Duration
	meters       *resource.Resource
	connections  []*connection
}

// quiet keeps OpenTelemetry from logging what it cannot parse: a header may be a key.
var quiet = sync.OnceFunc(func() { otel.SetLogger(logr.Discard()) })

// NewExporter makes an exporter. It does not connect: an endpoint that is not there yet is no error.
func NewExporter(ctx context.Context, cfg ExporterConfig) (*Exporter, error) {
	quiet()
	e := &Exporter{
		cfg: cfg, meters: metricResource(cfg),
		spansBound: tracesSignal.timeout(cfg), metricsBound: metricsSignal.timeout(cfg),
	}
	to, err := tracesSignal.target(cfg)
	if err != nil {
		return nil, fmt.Errorf("find where spans go: %w", err)
	}
	by := tracesSignal.means(to)
	c, err := by.connect()
	if err != nil {
		return nil, fmt.Errorf("set up the connection for spans: %w", err)
	}
	e.connections = []*connection{c}
	e.client = newSpanClient(to, c)
	if e.spans, err = otlptrace.New(ctx, e.client); err != nil {
		return nil, fmt.Errorf("set up the span exporter: %w", errors.Join(err, e.disconnect()))
	}
	if cfg.SpansAlone {
		return e, nil
	}
	if err := e.addMetrics(ctx, by); err != nil {
		return nil, errors.Join(err, e.disconnect())
	}
	return e, nil
}

// addMetrics adds where metrics go, on the connection that spans have where that is the same.
func (e *Exporter) addMetrics(ctx context.Context, spansBy means) error {
	to, err := metricsSignal.target(e.cfg)
	if err != nil {
		return fmt.Errorf("find where metrics go: %w", err)
	}
	c := e.connections[0]
	if by := metricsSignal.means(to); by != spansBy {
		if c, err = by.connect(); err != nil {
			return fmt.Errorf("set up the connection for metrics: %w", err)
		}
		e.connections = append(e.connections, c)
	}
	if e.metrics, err = newMetricExporter(ctx, to, c); err != nil {
		return fmt.Errorf("set up the metric exporter: %w", err)
	}
	return nil
}

// As is the exporter under another service.name. Both send on the same connections, which the first one closes.
func (e *Exporter) As(service string) *Exporter {
	as := *e
	as.cfg.Service = service
	as.meters = metricResource(as.cfg)
	return &as
}

func (e *Exporter) disconnect() (err error) {
	for _, c := range e.connections {
		err = errors.Join(err, c.close())
	}
	return err
}

// ExportSpans makes one attempt to send spans of one subject. Nil means that the receiver accepted them.
// Permanent tells whether another attempt can help.
func (e *Exporter) ExportSpans(ctx context.Context, subject startup.Subject, spans []startup.Span) error {
	if len(spans) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.spansBound)
	defer cancel()
	ctx, after := listen(ctx)
	snapshots := Snapshots(subject, Resource(subject, e.cfg.Service), e.cfg.Version, spans)
	if err := accepted(e.spans.ExportSpans(ctx, snapshots)); err != nil {
		return fmt.Errorf("export %d spans: %w", len(spans), throttled(err, *after))
	}
	return nil
}

// ExportRecorded makes one attempt to send spans that an SDK recorded, as they are. Nil means that the receiver accepted them.
func (e *Exporter) ExportRecorded(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithTimeout(ctx, e.spansBound)
	defer cancel()
	if err := accepted(e.spans.ExportSpans(ctx, spans)); err != nil {
		return fmt.Errorf("export %d recorded spans: %w", len(spans), err)
	}
	return nil
}

// Forward makes one attempt to pass spans on that another program made.
func (e *Exporter) Forward(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	ctx, cancel := context.WithTimeout(ctx, e.spansBound)
	defer cancel()
	return e.client.UploadTraces(ctx, spans)
}

// Shutdown closes the connections. It does not flush anything: there is nothing but what callers hold.
func (e *Exporter) Shutdown(ctx context.Context) error {
	err := e.spans.Shutdown(ctx)
	if e.metrics != nil {
		err = errors.Join(err, e.metrics.Shutdown(ctx))
	}
	return errors.Join(err, e.disconnect())
}

// Resource is that of a service's spans of a subject.
func Resource(s startup.Subject, service string) *resource.Resource {
	return newResource(service,
		startup.ResourcePodUID, s.PodUID,
		startup.ResourcePodName, s.PodName,
		startup.ResourceNodeName, s.NodeName,
		startup.ResourceNamespace, s.Namespace,
		startup.AttrContainerName, s.Container,
		"k8s.statefulset.name", s.Group.StatefulSet,
		"k8s.job.name", s.Group.Job,
		startup.ResourceCluster, s.ClusterName,
		"host.type", s.InstanceType,
		"cloud.region", s.Region)
}

// metricResource names no pod: each would be a series of its own.
func metricResource(cfg ExporterConfig) *resource.Resource {
	return newResource(cfg.Service, startup.ResourceCluster, cfg.ClusterName)
}

func newResource(service string, pairs ...string) *resource.Resource {
	attrs := []attribute.KeyValue{attribute.String(startup.ResourceService, service)}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			attrs = append(attrs, attribute.String(pairs[i], pairs[i+1]))
		}
	}
	return resource.NewSchemaless(attrs...)
}
