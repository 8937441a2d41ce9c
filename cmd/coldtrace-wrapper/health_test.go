// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/otlptest"
)

// serve is a server that nothing is known of. It listens after a moment, at once over gRPC, says later that it is ready,
// writes when to a file, and each question that it was asked, a letter each.
func serve(scheme, address, file string) error {
	begin := time.After(300 * time.Millisecond)
	asked, err := os.Create(file + ".asked")
	if err != nil {
		return err
	}
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	if !strings.HasPrefix(scheme, "grpc") {
		<-begin
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), network, address)
	if err != nil {
		return err
	}
	ready := func() error { return os.WriteFile(file, []byte(time.Now().Format(time.RFC3339Nano)), 0o600) }
	answer := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { _, _ = asked.WriteString("x") })
	secret := httptest.NewUnstartedServer(answer)
	secret.StartTLS() // for its certificate
	defer secret.Close()
	if scheme == "http" || scheme == "https" {
		if scheme == "https" {
			l = tls.NewListener(l, secret.TLS)
		}
		if err := ready(); err != nil {
			return err
		}
		return (&http.Server{Handler: answer, ReadHeaderTimeout: time.Minute}).Serve(l)
	}
	var options []grpc.ServerOption
	if scheme == "grpcs" {
		options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(&secret.TLS.Certificates[0])))
	}
	s, state := grpc.NewServer(options...), health.NewServer()
	grpc_health_v1.RegisterHealthServer(s, state)
	state.SetServingStatus("model", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	go func() {
		<-begin
		if ready() == nil {
			state.SetServingStatus("model", grpc_health_v1.HealthCheckResponse_SERVING)
		}
	}()
	return s.Serve(l)
}

// podAddress is one of this machine's that is not a loopback one.
func podAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	t.Skip("only loopback addresses here")
	return ""
}

func TestAServerIsReadyWhereverItAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scheme, host, url string // % is the port
	}{
		"HTTP on a port":                  {"http", "127.0.0.1", "http://localhost:%/health"},
		"HTTP on all addresses":           {"http", "::", "http://localhost:%/health"},
		"HTTP on the pod's address alone": {"http", "pod", "http://localhost:%/health"},
		"HTTPS":                           {"https", "127.0.0.1", "https://localhost:%/health"},
		"HTTP at a Unix socket":           {"http", "/", "http+unix://%:/health"},
		"gRPC":                            {"grpc", "::1", "grpc://localhost:%/model"},
		"gRPC with TLS":                   {"grpcs", "127.0.0.1", "grpcs://localhost:%/model"},
		"gRPC at a Unix socket":           {"grpc", "/", "grpc+unix://%:/model"},
		"no protocol that is known":       {"http", "127.0.0.1", "tcp://localhost:%"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, dir := otlptest.New(t), t.TempDir()
			where := freePort(t)
			address := net.JoinHostPort(c.host, where)
			switch c.host {
			case "/":
				where = filepath.Join(dir, "s")
				address = where
			case "pod":
				address = net.JoinHostPort(podAddress(t), where)
			}
			file := filepath.Join(dir, "ready")
			begin(t, traced(dir, "http://"+r.GRPC, roleEnv+"=1", "COLDTRACE_HEALTH_URL="+strings.Replace(c.url, "%", where, 1)),
				fmt.Sprintf("exec %s serve %s %s %s", os.Args[0], c.scheme, address, file))
			s, ok := r.WaitSpan(60*time.Second, startup.SpanStartup)
			if !ok || s.Error != "" || s.Attributes["unobserved"] != nil {
				t.Fatalf("%+v", r.Spans())
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339Nano, string(text))
			if late := s.End.Sub(at); err != nil || late < -20*time.Millisecond || late > time.Second {
				t.Errorf("ready %v after it was, %v", late, err)
			}
			asked, err := os.ReadFile(file + ".asked")
			want := "x"
			if strings.HasPrefix(c.scheme, "grpc") || strings.HasPrefix(c.url, "tcp") {
				want = ""
			}
			if err != nil || string(asked) != want {
				t.Errorf("%d lines in its access log, want %d: %v", len(asked), len(want), err)
			}
		})
	}
}

// neighbour answers on a port, and is no process of the command's.
func neighbour(t *testing.T, address string) (port string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s asked a neighbour for %s", r.UserAgent(), r.URL)
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestANeighboursAnswerIsNobodysReadiness(t *testing.T) {
	t.Parallel()
	for name, by := range map[string]string{"by the command line": "", "by a probe": "COLDTRACE_HEALTH_URL=http://localhost:%/health"} {
		t.Run("its port "+name, func(t *testing.T) {
			t.Parallel()
			dir, r, port := image(t), otlptest.New(t), neighbour(t, "[::]:0")
			cmd := begin(t, traced(dir, "http://"+r.GRPC, strings.Replace(by, "%", port, 1)), "exec python -m vllm_server --model m --port "+port)
			s, ok := r.WaitSpan(60*time.Second, startup.SpanStartup)
			if !ok || s.Error == "" {
				t.Errorf("%+v", r.Spans())
			}
			_ = cmd.Wait()
			if s, ok := r.WaitSpan(0, startup.SpanServerReady); ok && s.Error == "" {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestWhereASidecarAnswersTheServerItselfIsAsked(t *testing.T) {
	t.Parallel()
	dir, r, port, sidecar := image(t), otlptest.New(t), freePort(t), neighbour(t, "127.0.0.1:0")
	begin(t, traced(dir, "http://"+r.GRPC, "COLDTRACE_HEALTH_URL=http://localhost:"+sidecar+"/app-health/main/readyz"),
		"python -m vllm_server --model m --port "+port)
	s, ok := r.WaitSpan(60*time.Second, startup.SpanStartup)
	if ready, _ := r.WaitSpan(time.Second, startup.SpanServerReady); !ok || s.Error != "" || ready.Error != "" || ready.End.IsZero() {
		t.Errorf("%+v", r.Spans())
	}
}
