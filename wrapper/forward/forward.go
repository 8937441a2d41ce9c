// SPDX-License-Identifier: Apache-2.0

// Package forward takes the spans that vLLM makes itself and passes them on.
//
// vLLM's exporter waits for its collector when it shuts down, two minutes in the worst version, and writes what it thinks
// of one that is away to the server's output. No variable bounds the one or silences the other in all versions. So it
// speaks to this process, on a port of the loopback interface, which takes everything at once and waits for nobody: what
// the collector doesn't take is dropped.
package forward

import (
	"compress/gzip"
	"compress/zlib"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/coldtrace/coldtrace/otlp"
	"github.com/coldtrace/coldtrace/startup"
)

const (
	maxBody  = 4 << 20                // of one request, unpacked; a batch of vLLM's has a few hundred KB
	maxQueue = 16                     // requests that wait for the collector
	linger   = 200 * time.Millisecond // for what is queued when the server has ended
)

// Run serves the listening socket until end is at its end. It returns the process's exit code.
func Run(listener, end *os.File) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	l, err := net.FileListener(listener)
	if err != nil {
		return 1
	}
	f, err := otlp.NewExporter(ctx, otlp.ExporterConfig{Service: "vllm", SpansAlone: true})
	if err != nil {
		return 1 // the wrapper's own telemetry has the same destination, and nobody reads our output
	}
	start := startup.HashOf(os.Getenv(startup.EnvTraceIDHash)).TraceID(os.Getenv(startup.EnvPodUID))
	b := box{queue: make(chan *collector.ExportTraceServiceRequest, maxQueue)}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for request := range b.queue {
			if spans := wanted(request.GetResourceSpans(), start); len(spans) > 0 {
				_ = f.Forward(ctx, spans) // dropped: the promise is that nothing waits
			}
		}
	}()
	server := &http.Server{Handler: b, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }()
	_, _ = io.Copy(io.Discard, end)
	last, stop := context.WithTimeout(ctx, linger)
	defer stop()
	if server.Shutdown(last) == nil { // nobody is putting anything into the queue
		close(b.queue)
	}
	select {
	case <-sent:
	case <-last.Done():
	}
	return 0
}

// box takes requests.
type box struct {
	queue chan *collector.ExportTraceServiceRequest
}

// ServeHTTP says yes to everything: a refusal would be written about, or tried again.
func (b box) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-protobuf")
	body, err := read(r)
	if err != nil {
		return
	}
	request := &collector.ExportTraceServiceRequest{}
	if proto.Unmarshal(body, request) != nil {
		return
	}
	select {
	case b.queue <- request:
	default:
	}
}

func read(r *http.Request) ([]byte, error) {
	var (
		in  io.Reader = r.Body
		err error
	)
	switch r.Header.Get("Content-Encoding") {
	case "gzip":
		in, err = gzip.NewReader(in)
	case "deflate":
		in, err = zlib.NewReader(in)
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(in, maxBody))
}
