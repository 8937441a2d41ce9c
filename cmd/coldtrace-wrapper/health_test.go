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
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/freeport"
	"github.com/coldtrace/coldtrace/test/otlptest"
)

// serve is a server that nothing is known of. It listens after a moment, at once over gRPC, says later that it is ready,
// writes when to a file, and each question that it was asked, a letter each.
func serve(scheme, address, file string) error {
	begin := time.After(300 * time.Millisecond)
	asked, err := os.Create(file + ".asked")
	if err != nil {
		return err
	}
	if os.Getenv(hideEnv) != "" {
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
			return err
		}
	}
	network := "tcp"
	if !strings.Contains(address, ":") {
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
		"HTTP on a port":                   {"http", "127.0.0.1", "http://localhost:%/health"},
		"HTTP on all addresses":            {"http", "::", "http://localhost:%/health"},
		"HTTP on the pod's address alone":  {"http", "pod", "http://localhost:%/health"},
		"HTTP on a loopback address alone": {"http", "127.0.0.2", "http://localhost:%/health"},
		"HTTPS":                            {"https", "127.0.0.1", "https://localhost:%/health"},
		"HTTP at a Unix socket":            {"http", "/", "http+unix://%:/health"},
		"gRPC":                             {"grpc", "::1", "grpc://localhost:%/model"},
		"gRPC with TLS":                    {"grpcs", "127.0.0.1", "grpcs://localhost:%/model"},
		"gRPC at a Unix socket":            {"grpc", "/", "grpc+unix://%:/model"},
		"no protocol that is known":        {"http", "127.0.0.1", "tcp://localhost:%"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, dir := otlptest.New(t), t.TempDir()
			where := freeport.Of(t)
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
			readySince(t, r, file)
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

// readySince fails unless the start was told to be ready when a server wrote that it is.
func readySince(t *testing.T, r *otlptest.Receiver, file string) {
	t.Helper()
	s, ok := r.WaitSpan(60*time.Second, startup.SpanStartup)
	if !ok || s.Error != "" || s.Attributes["unobserved"] != nil {
		t.Fatalf("%+v", r.Spans())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339Nano, string(text))
	if late := s.End.Sub(at); err != nil || late < -20*time.Millisecond || late > 3*time.Second {
		t.Errorf("ready %v after it was, %v", late, err)
	}
}

// listenEnv makes this test program a server there that says nothing, under whatever name it is started.
const listenEnv = "COLDTRACE_TEST_LISTEN"

func TestAnEngineIsAskedWhereItsOwnCommandLineSays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ listen, script string }{ // % is the port
		"an option, and other numbers":      {"127.0.0.1:%", "exec vllm serve m --port % --max-model-len 256"},
		"an address of its own choice":      {"127.0.0.2:%", "exec vllm serve m --host 127.0.0.2 --port %"},
		"a Unix socket in its own folder":   {"own.sock", "mkdir deep; cd deep; exec vllm serve m --uds own.sock"},
		"a file of options in its folder":   {"127.0.0.1:%", "mkdir deep; cd deep; echo 'port: %' > c.yaml; exec vllm serve m --config c.yaml"},
		"a variable that its script sets":   {"127.0.0.1:%", "export PORT=%; exec text-generation-launcher --num-shard 4"},
		"an engine whose log nobody reads":  {"127.0.0.1:%", "exec llama-server -c 4096 --port %"},
		"a child of the command, in a pipe": {"[::1]:%", "vllm serve m --port=% 2>&1 | cat"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, dir, port := otlptest.New(t), t.TempDir(), freeport.Of(t)
			for _, program := range []string{"vllm", "text-generation-launcher", "llama-server"} {
				if err := os.Symlink(os.Args[0], filepath.Join(dir, program)); err != nil {
					t.Fatal(err)
				}
			}
			file := filepath.Join(dir, "ready")
			begin(t, traced(dir, "http://"+r.GRPC, roleEnv+"=1", "READY="+file, listenEnv+"="+strings.ReplaceAll(c.listen, "%", port)),
				"cd "+dir+"; "+strings.ReplaceAll(c.script, "%", port))
			readySince(t, r, file)
		})
	}
}

// hideEnv makes the server a process whose files only the powerful may see, as one is that has changed its user.
const hideEnv = "COLDTRACE_TEST_HIDE"

func TestWhereNobodyCanTellWhoseSocketAnswersThatIsSaid(t *testing.T) {
	t.Parallel()
	powerless := []string{"--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", "--"}
	if exec.Command("setpriv", append(slices.Clone(powerless), "true")...).Run() != nil {
		t.Skip("drops a capability, for which it must be root")
	}
	r, dir, port := otlptest.New(t), t.TempDir(), freeport.Of(t)
	argv := append(slices.Clone(powerless), wrapped(os.Args[0], "serve", "http", "127.0.0.1:"+port, filepath.Join(dir, "ready"))...)
	cmd := exec.Command("setpriv", argv...)
	cmd.Env = traced(dir, "http://"+r.GRPC, roleEnv+"=1", hideEnv+"=1", "COLDTRACE_HEALTH_URL=http://localhost:"+port+"/health")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	if s, ok := r.WaitSpan(60*time.Second, startup.SpanStartup); !ok || s.Error != "" || s.Attributes["unobserved"] != "sockets" {
		t.Errorf("%+v", r.Spans())
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
	dir, r, port, sidecar := image(t), otlptest.New(t), freeport.Of(t), neighbour(t, "127.0.0.1:0")
	begin(t, traced(dir, "http://"+r.GRPC, "COLDTRACE_HEALTH_URL=http://localhost:"+sidecar+"/app-health/main/readyz"),
		"python -m vllm_server --model m --port "+port)
	s, ok := r.WaitSpan(60*time.Second, startup.SpanStartup)
	if ready, _ := r.WaitSpan(time.Second, startup.SpanServerReady); !ok || s.Error != "" || ready.Error != "" || ready.End.IsZero() {
		t.Errorf("%+v", r.Spans())
	}
}
