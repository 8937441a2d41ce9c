// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/freeport"
	"github.com/coldtrace/coldtrace/test/otlptest"
)

const uid = "5d0b7c1e-3a52-4b41-8e57-3f6a4c0f9a10"

// span is one of vLLM's, of the start's trace or not.
func span(name string, kind tracepb.Span_SpanKind, ofStart bool, began time.Time) *tracepb.Span {
	id := bytes.Repeat([]byte{7}, 16)
	if ofStart {
		start := startup.MD5.TraceID(uid)
		id = start[:]
	}
	return &tracepb.Span{
		TraceId: id, SpanId: bytes.Repeat([]byte{1}, 8), Name: name, Kind: kind,
		StartTimeUnixNano: uint64(began.UnixNano()), EndTimeUnixNano: uint64(time.Now().UnixNano()), //nolint:gosec // until 2262
	}
}

func request(scope string, spans ...*tracepb.Span) *collector.ExportTraceServiceRequest {
	return &collector.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{{
		ScopeSpans: []*tracepb.ScopeSpans{{Scope: &common.InstrumentationScope{Name: scope}, Spans: spans}},
	}}}
}

// serve runs a forwarder to an endpoint. stop ends it as the wrapper does and gives its exit code.
func serve(t *testing.T, endpoint string) (url string, stop func() int) {
	t.Helper()
	t.Setenv(startup.EnvPodUID, uid)
	t.Setenv(startup.EnvOTLPEndpoint, endpoint)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	url = "http://" + l.Addr().String() + "/v1/traces"
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	end, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	code := make(chan int, 1)
	go func() { code <- Run(file, end) }()
	return url, func() int {
		if err := hold.Close(); err != nil {
			t.Error(err)
		}
		return <-code
	}
}

func post(t *testing.T, url string, request *collector.ExportTraceServiceRequest, zipped bool) {
	t.Helper()
	body, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if zipped {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(body); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		body = b.Bytes()
		r.Header.Set("Content-Encoding", "gzip")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("answer %s", answer.Status)
	}
}

func TestWhatIsToBeTracedArrivesAndOtherTracesOfLoadingDoNot(t *testing.T) {
	r := otlptest.New(t)
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "none of these") // of what is not sent from here
	url, stop := serve(t, "http://"+r.GRPC)
	now := time.Now()
	post(t, url, request("vllm.tracing.otel", span("llm_request", tracepb.Span_SPAN_KIND_SERVER, false, now)), false)
	post(t, url, request("vllm.v1.engine.core", span("Prepare model", tracepb.Span_SPAN_KIND_INTERNAL, true, now)), true)
	post(t, url, request("vllm.v1.engine.core", span("Executor init", tracepb.Span_SPAN_KIND_INTERNAL, false, now)), false)
	post(t, url, request("vllm.compilation.backends", span("Dynamo bytecode transform", tracepb.Span_SPAN_KIND_INTERNAL, true, time.Unix(4711, 0))), false)
	post(t, url, request("opentelemetry.instrumentation.fastapi", span("GET /x", tracepb.Span_SPAN_KIND_INTERNAL, false, now)), false)
	post(t, url, &collector.ExportTraceServiceRequest{}, false)
	if code := stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	var names []string
	for _, s := range r.Spans() {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	if got := strings.Join(names, ", "); got != "GET /x, Prepare model, llm_request" {
		t.Errorf("arrived: %s", got)
	}
}

// A collector that is away, or takes the connection and nothing more, is nobody's concern here.
func TestNobodyWaitsForTheCollector(t *testing.T) {
	hole, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	away := "127.0.0.1:" + freeport.Of(t)
	for name, endpoint := range map[string]string{
		"away": "http://" + away, "silent": "http://" + hole.Addr().String(), "silent HTTP": "http://" + hole.Addr().String() + "/v1/traces",
	} {
		t.Run(name, func(t *testing.T) {
			url, stop := serve(t, endpoint)
			began := time.Now()
			for range 3 * maxQueue {
				post(t, url, request("vllm.tracing.otel", span("llm_request", tracepb.Span_SPAN_KIND_SERVER, false, began)), false)
			}
			told := time.Now()
			stop()
			// Ten times the bound for a machine that does other work; waiting for the collector would take a time-out of 10 s.
			if took := time.Since(told); took > 10*linger {
				t.Errorf("its end took %v", took)
			}
		})
	}
}

func TestWhatIsNoRequestIsAnsweredToo(t *testing.T) {
	url, stop := serve(t, "http://127.0.0.1:9")
	for _, body := range []string{"", "not protobuf", strings.Repeat("\xff", 100)} {
		answer, err := http.Post(url, "application/x-protobuf", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("%q: %s %v", body, answer.Status, err)
		}
	}
	stop()
}
