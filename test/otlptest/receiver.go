// SPDX-License-Identifier: Apache-2.0

// Package otlptest is an OTLP receiver for tests: gRPC and HTTP on loopback, keeping what it gets.
package otlptest

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // clients may compress
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
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

// Point is a received point of an exponential histogram.
type Point struct {
	Metric     string
	Count      uint64
	Sum        float64
	Delta      bool
	Attributes map[string]any
	Resource   map[string]any
	Exemplars  []Exemplar
}

// Exemplar is one value of a point and the span that it was measured of.
type Exemplar struct {
	TraceID, SpanID string // hex
	Value           float64
	Attributes      map[string]any // beside the point's
}

// Receiver keeps what it gets. Its methods are safe for concurrent use.
type Receiver struct {
	GRPC string // address
	HTTP string // URL

	// Answer decides about each request, before it is kept: nil accepts, a *Partial accepts in part, a *Refusal is an
	// HTTP status; any other error is what gRPC makes of it, and 503 for HTTP. It may be called concurrently.
	Answer func() error

	connections atomic.Int64

	mu      sync.Mutex
	spans   []Span
	points  []Point
	headers []http.Header
	changed chan struct{}
	close   []func()
}

// Refusal is an answer by HTTP.
type Refusal struct {
	Status     int
	RetryAfter string // the header; empty: none
}

func (r *Refusal) Error() string { return http.StatusText(r.Status) }

// Partial is an OTLP partial success.
type Partial struct {
	Rejected int64
	Message  string
}

func (p *Partial) Error() string { return p.Message }

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
	return listen(grpcAddress, httpAddress, nil)
}

func listen(grpcAddress, httpAddress string, secure *tls.Config) (*Receiver, error) {
	r := &Receiver{changed: make(chan struct{})}
	var config net.ListenConfig
	g, err := config.Listen(context.Background(), "tcp", grpcAddress)
	if err != nil {
		return nil, err
	}
	h, err := config.Listen(context.Background(), "tcp", httpAddress)
	if err != nil {
		return nil, errors.Join(err, g.Close())
	}
	r.GRPC, r.HTTP = g.Addr().String(), "http://"+h.Addr().String()
	g, h = &counted{g, &r.connections}, &counted{h, &r.connections}
	opts := []grpc.ServerOption{grpc.StatsHandler(compression{})}
	if secure != nil {
		r.HTTP = "https://" + h.Addr().String()
		h = tls.NewListener(h, secure)
		opts = append(opts, grpc.Creds(credentials.NewTLS(secure)))
	}
	server := grpc.NewServer(opts...)
	coltracepb.RegisterTraceServiceServer(server, traces{r: r})
	colmetricspb.RegisterMetricsServiceServer(server, metrics{r: r})
	web := &http.Server{Handler: r.mux(), ReadHeaderTimeout: time.Second, ErrorLog: log.New(io.Discard, "", 0)}
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

// Headers are those of each request; gRPC's compression is a Content-Encoding, too.
func (r *Receiver) Headers() []http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.headers)
}

// Connections is how many were accepted so far, by either protocol.
func (r *Receiver) Connections() int { return int(r.connections.Load()) }

// counted counts the connections of a listener.
type counted struct {
	net.Listener
	n *atomic.Int64
}

func (c *counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.n.Add(1)
	}
	return conn, err
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

// Answers sets Answer where another process, which nothing here waits for, may be the one that asks.
func (r *Receiver) Answers(with func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Answer = with
}

func (r *Receiver) keep(headers http.Header, spans []Span, points []Point) (*Partial, error) {
	var partial *Partial
	r.mu.Lock()
	answer := r.Answer
	r.mu.Unlock()
	if answer != nil {
		if err := answer(); err != nil && !errors.As(err, &partial) {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.headers = append(r.headers, headers)
	r.spans = append(r.spans, spans...)
	r.points = append(r.points, points...)
	close(r.changed)
	r.changed = make(chan struct{})
	return partial, nil
}

// headersOf is the metadata of a gRPC request.
func headersOf(ctx context.Context) http.Header {
	out := http.Header{}
	md, _ := metadata.FromIncomingContext(ctx)
	for key, values := range md {
		out[http.CanonicalHeaderKey(key)] = values
	}
	if c, ok := ctx.Value(compression{}).(*string); ok && *c != "" {
		out.Set("Content-Encoding", *c)
	}
	return out
}

// compression is a stats.Handler, and the context key under which it leaves what it saw.
type compression struct{}

// TagRPC makes room for an answer.
func (compression) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, compression{}, new(string))
}

// HandleRPC takes the compression of a request.
func (compression) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if h, ok := s.(*stats.InHeader); ok {
		if c, ok := ctx.Value(compression{}).(*string); ok {
			*c = h.Compression
		}
	}
}

// TagConn does nothing.
func (compression) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn does nothing.
func (compression) HandleConn(context.Context, stats.ConnStats) {}

type traces struct {
	coltracepb.UnimplementedTraceServiceServer
	r *Receiver
}

func (t traces) Export(ctx context.Context, req *coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error) {
	partial, err := t.r.keep(headersOf(ctx), spansOf(req), nil)
	return traceAnswer(partial), err
}

type metrics struct {
	colmetricspb.UnimplementedMetricsServiceServer
	r *Receiver
}

func (m metrics) Export(ctx context.Context, req *colmetricspb.ExportMetricsServiceRequest) (*colmetricspb.ExportMetricsServiceResponse, error) {
	partial, err := m.r.keep(headersOf(ctx), nil, pointsOf(req))
	return metricsAnswer(partial), err
}

func traceAnswer(p *Partial) *coltracepb.ExportTraceServiceResponse {
	out := &coltracepb.ExportTraceServiceResponse{}
	if p != nil {
		out.PartialSuccess = &coltracepb.ExportTracePartialSuccess{RejectedSpans: p.Rejected, ErrorMessage: p.Message}
	}
	return out
}

func metricsAnswer(p *Partial) *colmetricspb.ExportMetricsServiceResponse {
	out := &colmetricspb.ExportMetricsServiceResponse{}
	if p != nil {
		out.PartialSuccess = &colmetricspb.ExportMetricsPartialSuccess{RejectedDataPoints: p.Rejected, ErrorMessage: p.Message}
	}
	return out
}

func (r *Receiver) mux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, q *http.Request) {
		var req coltracepb.ExportTraceServiceRequest
		r.answer(w, q, &req, func() (proto.Message, error) {
			partial, err := r.keep(q.Header, spansOf(&req), nil)
			return traceAnswer(partial), err
		})
	})
	mux.HandleFunc("POST /v1/metrics", func(w http.ResponseWriter, q *http.Request) {
		var req colmetricspb.ExportMetricsServiceRequest
		r.answer(w, q, &req, func() (proto.Message, error) {
			partial, err := r.keep(q.Header, nil, pointsOf(&req))
			return metricsAnswer(partial), err
		})
	})
	return mux
}

func (r *Receiver) answer(w http.ResponseWriter, q *http.Request, into proto.Message, keep func() (proto.Message, error)) {
	b, err := body(q)
	if err == nil {
		err = proto.Unmarshal(b, into)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := keep()
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		if refusal.RetryAfter != "" {
			w.Header().Set("Retry-After", refusal.RetryAfter)
		}
		http.Error(w, err.Error(), refusal.Status)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	if b, err = proto.Marshal(answer); err == nil {
		_, err = w.Write(b)
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
}

func body(q *http.Request) ([]byte, error) {
	if q.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(q.Body)
	}
	z, err := gzip.NewReader(q.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}
