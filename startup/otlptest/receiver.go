// SPDX-License-Identifier: Apache-2.0

// Package otlptest is an OTLP receiver for tests: gRPC and HTTP on loopback, keeping what it gets.
package otlptest

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // clients may compress
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// Span is a received span.
type Span struct {
	TraceID, ID, ParentID string // hex
	Name                  string
	Start, End            time.Time
	Attributes            map[string]any
	Resource              map[string]any
	Error                 string // the status message of a span with status Error
}

// Point is a received histogram point.
type Point struct {
	Metric     string
	Count      uint64
	Sum        float64
	Delta      bool
	Buckets    string // exponential, explicit
	Attributes map[string]any
	Resource   map[string]any
}

// Receiver keeps what it gets. Its methods are safe for concurrent use.
type Receiver struct {
	GRPC string // address
	HTTP string // URL

	// Answer decides about each request, before it is kept: nil accepts. It may be called concurrently.
	Answer func() error

	mu      sync.Mutex
	spans   []Span
	points  []Point
	headers []map[string][]string
	changed chan struct{}
	close   []func()
}

// TB is the part of testing.TB that is used here.
type TB interface {
	Helper()
	Fatal(args ...any)
	Cleanup(f func())
}

// New starts a receiver that ends with the test.
func New(t TB) *Receiver {
	t.Helper()
	r, err := Listen("127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// Listen starts a receiver on addresses of the caller's choice.
func Listen(grpcAddress, httpAddress string) (*Receiver, error) {
	r := &Receiver{changed: make(chan struct{})}
	var listen net.ListenConfig
	g, err := listen.Listen(context.Background(), "tcp", grpcAddress)
	if err != nil {
		return nil, err
	}
	h, err := listen.Listen(context.Background(), "tcp", httpAddress)
	if err != nil {
		return nil, err
	}
	r.GRPC, r.HTTP = g.Addr().String(), "http://"+h.Addr().String()
	server := grpc.NewServer()
	coltracepb.RegisterTraceServiceServer(server, traces{r: r})
	colmetricspb.RegisterMetricsServiceServer(server, metrics{r: r})
	web := &http.Server{Handler: r.mux(), ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(g) }()
	go func() { _ = web.Serve(h) }()
	r.close = append(r.close, server.Stop, func() { _ = web.Close() })
	return r, nil
}

// Close stops listening and breaks connections.
func (r *Receiver) Close() {
	for _, f := range r.close {
		f()
	}
}

// Spans are those received so far.
func (r *Receiver) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans)
}

// Points are those received so far.
func (r *Receiver) Points() []Point {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.points)
}

// Headers are those of each request.
func (r *Receiver) Headers() []map[string][]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.headers)
}

// Wait blocks until the condition holds, which is asked after each request, or the time is up.
func (r *Receiver) Wait(d time.Duration, condition func() bool) bool {
	timeout := time.After(d)
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if condition() {
			return true
		}
		select {
		case <-changed:
		case <-timeout:
			return condition()
		}
	}
}

// WaitSpan waits for a span of that name.
func (r *Receiver) WaitSpan(d time.Duration, name string) (Span, bool) {
	var found Span
	ok := r.Wait(d, func() bool {
		for _, s := range r.Spans() {
			if s.Name == name {
				found = s
				return true
			}
		}
		return false
	})
	return found, ok
}

func (r *Receiver) keep(headers map[string][]string, spans []Span, points []Point) error {
	if r.Answer != nil {
		if err := r.Answer(); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.headers = append(r.headers, headers)
	r.spans = append(r.spans, spans...)
	r.points = append(r.points, points...)
	close(r.changed)
	r.changed = make(chan struct{})
	return nil
}

type traces struct {
	coltracepb.UnimplementedTraceServiceServer
	r *Receiver
}

func (t traces) Export(ctx context.Context, req *coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	return &coltracepb.ExportTraceServiceResponse{}, t.r.keep(md, spansOf(req), nil)
}

type metrics struct {
	colmetricspb.UnimplementedMetricsServiceServer
	r *Receiver
}

func (m metrics) Export(ctx context.Context, req *colmetricspb.ExportMetricsServiceRequest) (*colmetricspb.ExportMetricsServiceResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	return &colmetricspb.ExportMetricsServiceResponse{}, m.r.keep(md, nil, pointsOf(req))
}

func (r *Receiver) mux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, q *http.Request) {
		var req coltracepb.ExportTraceServiceRequest
		r.answer(w, q, &req, func() error { return r.keep(q.Header, spansOf(&req), nil) })
	})
	mux.HandleFunc("POST /v1/metrics", func(w http.ResponseWriter, q *http.Request) {
		var req colmetricspb.ExportMetricsServiceRequest
		r.answer(w, q, &req, func() error { return r.keep(q.Header, nil, pointsOf(&req)) })
	})
	return mux
}

func (r *Receiver) answer(w http.ResponseWriter, q *http.Request, into proto.Message, keep func() error) {
	b, err := io.ReadAll(q.Body)
	if err == nil {
		err = proto.Unmarshal(b, into)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := keep(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

func spansOf(req *coltracepb.ExportTraceServiceRequest) (out []Span) {
	for _, rs := range req.GetResourceSpans() {
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				sp := Span{
					TraceID: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()),
					ParentID: hex.EncodeToString(s.GetParentSpanId()), Name: s.GetName(),
					Start: nanos(s.GetStartTimeUnixNano()), End: nanos(s.GetEndTimeUnixNano()),
					Attributes: attributes(s.GetAttributes()), Resource: attributes(rs.GetResource().GetAttributes()),
				}
				if s.GetStatus().GetCode() == 2 {
					sp.Error = s.GetStatus().GetMessage()
				}
				out = append(out, sp)
			}
		}
	}
	return out
}

func nanos(n uint64) time.Time { return time.Unix(0, int64(n)) } //nolint:gosec // until 2262

func pointsOf(req *colmetricspb.ExportMetricsServiceRequest) (out []Point) {
	for _, rm := range req.GetResourceMetrics() {
		resource := attributes(rm.GetResource().GetAttributes())
		for _, sm := range rm.GetScopeMetrics() {
			for _, m := range sm.GetMetrics() {
				if h := m.GetExponentialHistogram(); h != nil {
					delta := h.GetAggregationTemporality() == metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA
					for _, p := range h.GetDataPoints() {
						out = append(out, Point{m.GetName(), p.GetCount(), p.GetSum(), delta, "exponential", attributes(p.GetAttributes()), resource})
					}
				}
				if h := m.GetHistogram(); h != nil {
					delta := h.GetAggregationTemporality() == metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA
					for _, p := range h.GetDataPoints() {
						out = append(out, Point{m.GetName(), p.GetCount(), p.GetSum(), delta, "explicit", attributes(p.GetAttributes()), resource})
					}
				}
			}
		}
	}
	return out
}

func attributes(kvs []*commonpb.KeyValue) map[string]any {
	out := map[string]any{}
	for _, kv := range kvs {
		switch v := kv.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			out[kv.GetKey()] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			out[kv.GetKey()] = v.IntValue
		case *commonpb.AnyValue_DoubleValue:
			out[kv.GetKey()] = v.DoubleValue
		case *commonpb.AnyValue_BoolValue:
			out[kv.GetKey()] = v.BoolValue
		default:
			out[kv.GetKey()] = fmt.Sprint(v)
		}
	}
	return out
}
