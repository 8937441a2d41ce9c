// SPDX-License-Identifier: Apache-2.0

// Command receiver takes OTLP over gRPC and appends each request to a file, as a line of protobuf's JSON, whose ids are in base64;
// coldtrace reads it as it reads OTLP's own. The demo runs it where the end-to-end tests run a collector, which takes minutes to
// compile; all that this is made of is in coldtrace, too.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"

	metrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	traces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // clients may compress
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:4317", "`address` to listen on")
	name := flag.String("file", "otlp.jsonl", "`file` that lines are appended to")
	flag.Parse()
	if err := serve(*listen, *name); err != nil {
		fmt.Fprintln(os.Stderr, "receiver:", err)
		os.Exit(1)
	}
}

func serve(address, name string) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644) //nolint:gosec // for whoever draws it
	if err != nil {
		return fmt.Errorf("open the file: %w", err)
	}
	listener, err := net.Listen("tcp", address) //nolint:noctx // for good
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := grpc.NewServer()
	traces.RegisterTraceServiceServer(server, &spans{file: file})
	metrics.RegisterMetricsServiceServer(server, &points{file: file})
	return fmt.Errorf("serve: %w", server.Serve(listener))
}

type spans struct {
	traces.UnimplementedTraceServiceServer
	file *os.File
}

func (s *spans) Export(_ context.Context, r *traces.ExportTraceServiceRequest) (*traces.ExportTraceServiceResponse, error) {
	return &traces.ExportTraceServiceResponse{}, appendLine(s.file, r)
}

type points struct {
	metrics.UnimplementedMetricsServiceServer
	file *os.File
}

func (p *points) Export(_ context.Context, r *metrics.ExportMetricsServiceRequest) (*metrics.ExportMetricsServiceResponse, error) {
	return &metrics.ExportMetricsServiceResponse{}, appendLine(p.file, r)
}

// appendLine is one write, so that lines of requests at the same time do not mix.
func appendLine(file *os.File, request proto.Message) error {
	line, err := protojson.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	if _, err := file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("append: %w", err)
	}
	return nil
}
