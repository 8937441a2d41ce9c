// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/coldtrace/coldtrace/otlp"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/freeport"
	"github.com/coldtrace/coldtrace/test/otlptest"
)

var subject = startup.Subject{
	PodUID: "0f0e2c1a-6d1b-4f2e-9c55-3d2b1a0e7f10", PodName: "pod-0", NodeName: "node-1", ClusterName: "c", Hash: startup.MD5,
	Endpoint: startup.Endpoint{
		Namespace: "endpoints", Container: "main", EndpointName: "llama", ModelName: "llama-3", GPUType: "h100", NumGPUs: 8,
		ImageTag: "0.17.0", Region: "us-west-2",
	},
}

func aStart() []startup.Span {
	t0 := time.Unix(1_700_000_000, 123_456_789)
	return []startup.Span{
		{Name: startup.SpanStartup, Key: startup.Key(startup.SpanStartup, "", 1), ParentKey: startup.SpanPodStartup, Start: t0, End: t0.Add(time.Minute)},
		{
			Name: startup.SpanVLLMInit, Key: startup.SpanVLLMInit, ParentKey: startup.KeyInContainer, Start: t0.Add(time.Second),
			End: t0.Add(30 * time.Second), Failure: "cuda_out_of_memory", Attributes: []attribute.KeyValue{attribute.Int64("kv_cache_tokens", 7)},
		},
	}
}

func TestSpansArriveByGRPCAndHTTP(t *testing.T) {
	r := otlptest.New(t)
	_, httpPort, _ := net.SplitHostPort(strings.TrimPrefix(r.HTTP, "http://"))
	for name, c := range map[string]struct {
		cfg otlp.ExporterConfig
		env map[string]string
	}{
		"gRPC":                          {cfg: otlp.ExporterConfig{Endpoint: "http://" + r.GRPC}},
		"gRPC without a scheme":         {cfg: otlp.ExporterConfig{Endpoint: r.GRPC}, env: map[string]string{"OTEL_EXPORTER_OTLP_INSECURE": "true"}},
		"HTTP":                          {cfg: otlp.ExporterConfig{Endpoint: r.HTTP, Protocol: startup.ProtocolHTTP}},
		"HTTP with a path":              {cfg: otlp.ExporterConfig{Endpoint: r.HTTP + "/", Protocol: startup.ProtocolHTTP}},
		"HTTP by name":                  {cfg: otlp.ExporterConfig{Endpoint: "http://localhost:" + httpPort, Protocol: startup.ProtocolHTTP}},
		"the environment":               {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + r.GRPC}},
		"the environment's protocol":    {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": r.HTTP, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}},
		"compression":                   {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + r.GRPC, "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}},
		"a sampler that samples none":   {cfg: otlp.ExporterConfig{Endpoint: "http://" + r.GRPC}, env: map[string]string{"OTEL_TRACES_SAMPLER": "always_off"}},
		"an endpoint for spans, as is":  {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": r.HTTP + "/v1/traces"}},
		"a password in the environment": {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + r.GRPC, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			before := len(r.Spans())
			c.cfg.Version, c.cfg.Service = "v1", startup.ServiceWrapper
			e, err := otlp.NewExporter(t.Context(), c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := e.ExportSpans(t.Context(), subject, aStart()); err != nil {
				t.Fatal(err)
			}
			got := r.Spans()[before:]
			if len(got) != 2 {
				t.Fatalf("%d spans", len(got))
			}
			s := got[1]
			if s.TraceID != "5a44de008fd208065638a802730aea79" || s.ID != "5b33730e6dc2fac0" || s.ParentID != "b5fff78307d2830b" ||
				s.Error != "cuda_out_of_memory" || s.Start.UnixNano() != 1_700_000_001_123_456_789 ||
				s.Attributes["gpu_type"] != "h100" || s.Attributes["num_gpus"] != int64(8) || s.Attributes["duration_seconds"] != 29.0 ||
				s.Attributes["sampling.priority"] != int64(2) || s.Resource["service.name"] != startup.ServiceWrapper ||
				s.Resource["k8s.pod.uid"] != subject.PodUID || s.Resource["k8s.cluster.name"] != "c" {
				t.Errorf("%+v", s)
			}
			headers := r.Headers()
			if last := headers[len(headers)-1]; c.env["OTEL_EXPORTER_OTLP_HEADERS"] != "" && last.Get("api-key") != "secret" {
				t.Errorf("headers %v", last)
			}
			if err := e.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBadSettingsAreRefused(t *testing.T) {
	for name, cfg := range map[string]otlp.ExporterConfig{
		"no endpoint":      {},
		"another scheme":   {Endpoint: "ftp://c:21"},
		"no host":          {Endpoint: "http://:4317"},
		"not a URL":        {Endpoint: "http://user:secret@[::1"},
		"another protocol": {Endpoint: "http://c:4317", Protocol: "udp"},
	} {
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
		if _, err := otlp.NewExporter(t.Context(), cfg); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// counting adds up what a queue drops.
func counting(n *atomic.Int64) func(int) { return func(items int) { n.Add(int64(items)) } }

func newQueue(t *testing.T, endpoint string, dropped func(int)) *otlp.Queue {
	t.Helper()
	e, err := otlp.NewExporter(t.Context(), otlp.ExporterConfig{Endpoint: endpoint, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	q := otlp.NewQueue(e, dropped)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = q.Close(ctx)
		_ = e.Shutdown(ctx)
	})
	return q
}

func TestACollectorThatComesUpLateGetsEverything(t *testing.T) {
	address := "127.0.0.1:" + freeport.Of(t)
	var dropped atomic.Int64
	q := newQueue(t, "http://"+address, counting(&dropped))
	for range 5 {
		q.Spans(subject, aStart()...)
	}
	short, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	if err := q.Flush(short); err == nil || q.Len() != 10 {
		t.Fatalf("flushed into nothing: %v, %d left", err, q.Len())
	}
	r, err := otlptest.Listen(address, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	long, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := q.Flush(long); err != nil || len(r.Spans()) != 10 || dropped.Load() != 0 {
		t.Errorf("%v: %d spans, %d dropped", err, len(r.Spans()), dropped.Load())
	}
}

func TestABadBatchStopsNobody(t *testing.T) {
	r := otlptest.New(t)
	var calls atomic.Int32
	r.Answer = func() error {
		switch calls.Add(1) {
		case 1:
			return status.Error(codes.InvalidArgument, "bad")
		case 2:
			return status.Error(codes.Unavailable, "later")
		}
		return nil
	}
	var dropped atomic.Int64
	q := newQueue(t, "http://"+r.GRPC, counting(&dropped))
	q.Spans(subject, aStart()...)
	q.Spans(subject, aStart()[:1]...)
	q.Measurements(startup.Measurements(subject, aStart()[0])...)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := q.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if len(r.Spans()) != 1 || len(r.Points()) != 1 || dropped.Load() != 2 {
		t.Errorf("%d spans, %d points, %d dropped", len(r.Spans()), len(r.Points()), dropped.Load())
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var dropped atomic.Int64
	q := newQueue(t, "http://"+l.Addr().String(), counting(&dropped))
	accepted := 0
	for range 5000 {
		if q.Spans(subject, aStart()[0]) {
			accepted++
		}
	}
	if accepted != otlp.QueueCapacity || int(dropped.Load()) != 5000-accepted {
		t.Errorf("accepted %d, dropped %d", accepted, dropped.Load())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := q.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

func TestPermanentErrors(t *testing.T) {
	for err, want := range map[error]bool{
		nil: false, errors.New("connection refused"): false, status.Error(codes.Unavailable, ""): false,
		status.Error(codes.Unauthenticated, ""): true, errors.New("failed to send to http://x: 400"): true,
	} {
		if otlp.Permanent(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}
