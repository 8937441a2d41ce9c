// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// runMain makes the test's own binary behave as the collector.
const runMain = "COLLECTOR_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestASpanSentOverGRPCAndHTTPBecomesALineOfOTLPJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "otlp.jsonl")
	ports := startCollector(t, file)

	exporters := map[string]func() (*otlptrace.Exporter, error){
		"sent over grpc": func() (*otlptrace.Exporter, error) {
			return otlptracegrpc.New(t.Context(), otlptracegrpc.WithInsecure(), otlptracegrpc.WithEndpoint(ports.grpc))
		},
		"sent over http": func() (*otlptrace.Exporter, error) {
			return otlptracehttp.New(t.Context(), otlptracehttp.WithInsecure(), otlptracehttp.WithEndpoint(ports.http))
		},
	}
	for name, open := range exporters {
		exporter, err := open()
		if err != nil {
			t.Fatal(err)
		}
		provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
		sent := time.Now()
		_, span := provider.Tracer("test").Start(t.Context(), name)
		span.End()
		if err := provider.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		id := waitForSpan(t, file, name)
		if want := span.SpanContext().TraceID().String(); id != want {
			t.Errorf("%s: trace id %s in the file, want %s", name, id, want)
		}
		t.Logf("%s: in the file %v after its start", name, time.Since(sent).Round(time.Millisecond))
	}
}

type ports struct{ grpc, http string }

func startCollector(t *testing.T, file string) ports {
	t.Helper()
	free := freePorts(t, 4)
	cmd := exec.Command(os.Args[0], "--config", "config.yaml")
	cmd.Env = append(os.Environ(), runMain+"=1", "COLLECTOR_FILE="+file,
		"COLLECTOR_GRPC_PORT="+free[0], "COLLECTOR_HTTP_PORT="+free[1], "COLLECTOR_HEALTH_PORT="+free[2], "COLLECTOR_PROMETHEUS_PORT="+free[3])
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("collector after SIGTERM: %v", err)
		}
	})
	eventually(t, "the collector to be healthy", func() bool {
		resp, err := http.Get("http://127.0.0.1:" + free[2])
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return ports{grpc: "127.0.0.1:" + free[0], http: "127.0.0.1:" + free[1]}
}

// waitForSpan returns the trace id of the span called name, as the file has it.
func waitForSpan(t *testing.T, file, name string) string {
	t.Helper()
	var id string
	eventually(t, "a line with the span "+strconv.Quote(name), func() bool {
		var err error
		id, err = findSpan(file, name)
		return err == nil
	})
	return id
}

func findSpan(file, name string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var line struct {
			ResourceSpans []struct {
				ScopeSpans []struct {
					Spans []struct{ TraceID, Name string }
				}
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return "", err
		}
		for _, r := range line.ResourceSpans {
			for _, s := range r.ScopeSpans {
				for _, span := range s.Spans {
					if span.Name == name {
						return strings.ToLower(span.TraceID), nil
					}
				}
			}
		}
	}
	return "", fmt.Errorf("span %q not in %s", name, file)
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("waited 30 s for %s", what)
		case <-tick.C:
		}
	}
}

// freePorts are ports that the kernel gives no client before the collector listens there: below Linux's ip_local_port_range.
func freePorts(t *testing.T, n int) (free []string) {
	t.Helper()
	for range 1000 {
		port := strconv.Itoa(20_000 + rand.IntN(10_000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		defer l.Close()
		if free = append(free, port); len(free) == n {
			return free
		}
	}
	t.Fatalf("%d free ports of 20000 to 29999 could not be found", n)
	return nil
}
