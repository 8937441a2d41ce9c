// SPDX-License-Identifier: Apache-2.0

package watch_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// receiver is an OTLP receiver that keeps what it is sent.
type receiver struct {
	collectortrace.UnimplementedTraceServiceServer
	collectormetrics.UnimplementedMetricsServiceServer
	address string
	broken  atomic.Bool // answers Unavailable to spans
	deaf    atomic.Bool // and to values
	refused atomic.Int64
	points  atomic.Int64

	mu      sync.Mutex
	spans   map[string]map[string][]*tracepb.Span // by trace id and span id, in hex
	values  map[string][]point                    // by metric
	changed chan struct{}                         // closed and replaced at each arrival
}

func newReceiver(t testing.TB) *receiver {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{address: listener.Addr().String(), spans: map[string]map[string][]*tracepb.Span{}, values: map[string][]point{}, changed: make(chan struct{})}
	server := grpc.NewServer()
	collectortrace.RegisterTraceServiceServer(server, r)
	collectormetrics.RegisterMetricsServiceServer(server, metricsReceiver{r: r})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return r
}

// point is values of a metric with the same labels that came together.
type point struct {
	labels string // name=value, sorted
	count  uint64
	sum    float64
}

// Export implements the trace service.
func (r *receiver) Export(_ context.Context, req *collectortrace.ExportTraceServiceRequest) (*collectortrace.ExportTraceServiceResponse, error) {
	if r.broken.Load() {
		return nil, status.Error(codes.Unavailable, "out of order")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rs := range req.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				trace, id := hex.EncodeToString(s.TraceId), hex.EncodeToString(s.SpanId)
				if r.spans[trace] == nil {
					r.spans[trace] = map[string][]*tracepb.Span{}
				}
				r.spans[trace][id] = append(r.spans[trace][id], s)
			}
		}
	}
	close(r.changed)
	r.changed = make(chan struct{})
	return &collectortrace.ExportTraceServiceResponse{}, nil
}

type metricsReceiver struct {
	collectormetrics.UnimplementedMetricsServiceServer
	r *receiver
}

// Export implements the metrics service.
func (m metricsReceiver) Export(_ context.Context, req *collectormetrics.ExportMetricsServiceRequest) (*collectormetrics.ExportMetricsServiceResponse, error) {
	if m.r.deaf.Load() {
		m.r.refused.Add(1)
		return nil, status.Error(codes.Unavailable, "out of order")
	}
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	for _, rm := range req.ResourceMetrics {
		for _, sm := range rm.ScopeMetrics {
			for _, metric := range sm.Metrics {
				for _, p := range metric.GetExponentialHistogram().GetDataPoints() {
					m.r.points.Add(int64(p.Count)) //nolint:gosec // small
					var labels []string
					for _, l := range p.Attributes {
						labels = append(labels, l.Key+"="+l.Value.GetStringValue())
					}
					slices.Sort(labels)
					m.r.values[metric.Name] = append(m.r.values[metric.Name], point{strings.Join(labels, " "), p.Count, p.GetSum()})
				}
			}
		}
	}
	close(m.r.changed)
	m.r.changed = make(chan struct{})
	return &collectormetrics.ExportMetricsServiceResponse{}, nil
}

// wait blocks until the condition holds or the context ends. The condition is called with the lock held.
func (r *receiver) wait(ctx context.Context, condition func() bool) bool {
	for {
		r.mu.Lock()
		ok, changed := condition(), r.changed
		r.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// named is the first span of a name in a trace.
func (r *receiver) named(trace, name string) *tracepb.Span {
	for _, copies := range r.spans[trace] {
		if copies[0].Name == name {
			return copies[0]
		}
	}
	return nil
}

// repeats counts spans that came more than once, and tells those of them that differ from the first copy.
func (r *receiver) repeats() (repeated int, different []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, spans := range r.spans {
		for _, copies := range spans {
			repeated += len(copies) - 1
			for _, c := range copies[1:] {
				if !proto.Equal(c, copies[0]) {
					different = append(different, fmt.Sprintf("%v\nthen %v", copies[0], c))
				}
			}
		}
	}
	return repeated, different
}
