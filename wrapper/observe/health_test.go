// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	engines "github.com/coldtrace/coldtrace/engine"
	"github.com/coldtrace/coldtrace/wrapper/process"
)

// serve starts a real server on one address, with a certificate of its own if secure.
func serve(t *testing.T, address string, secure bool, handler http.HandlerFunc) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("no %s here: %v", address, err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}}
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestHealthIsAskedWhereverTheServerListens(t *testing.T) {
	ok := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" {
			http.NotFound(w, r)
		}
	}
	for name, c := range map[string]struct {
		address string
		secure  bool
		url     string // the port is added
		want    bool
	}{
		"IPv4":                               {"127.0.0.1:0", false, "http://localhost:%/health", true},
		"IPv6 alone":                         {"[::1]:0", false, "http://localhost:%/health", true},
		"another of the loopback addresses":  {"127.0.0.2:0", false, "http://localhost:%/health", true},
		"any address":                        {"[::]:0", false, "http://localhost:%/health", true},
		"IPv4 by number":                     {"127.0.0.1:0", false, "http://127.0.0.1:%/health", true},
		"IPv6 by number":                     {"[::1]:0", false, "http://[::1]:%/health", true},
		"IPv6, asked for by IPv4":            {"[::1]:0", false, "http://127.0.0.1:%/health", true},
		"asked for by the address of all":    {"127.0.0.1:0", false, "http://0.0.0.0:%/health", true},
		"asked for by the address of all, 6": {"[::1]:0", false, "http://[::]:%/health", true},
		"without a host":                     {"127.0.0.1:0", false, "http://:%/health", true},
		"HTTPS, a certificate of its own":    {"127.0.0.1:0", true, "https://localhost:%/health", true},
		"HTTPS on IPv6 alone":                {"[::1]:0", true, "https://localhost:%/health", true},
		"HTTPS asked for by HTTP":            {"127.0.0.1:0", true, "http://localhost:%/health", false},
		"HTTP asked for by HTTPS":            {"127.0.0.1:0", false, "https://localhost:%/health", false},
		"another path":                       {"127.0.0.1:0", false, "http://localhost:%/healthz", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
			t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
			port := serve(t, c.address, c.secure, ok)
			if got := asked(t, strings.Replace(c.url, "%", port, 1)); got != c.want {
				t.Errorf("healthy: %v", got)
			}
		})
	}
}

// asked asks once as the wrapper does, where the test's own process is the command.
func asked(t *testing.T, url string) bool {
	t.Helper()
	a, err := engines.ParseAddress(url)
	if err != nil {
		t.Fatal(err)
	}
	got := askAs(t, newProber(a))
	if got.healthy && got.owner != process.Ours {
		t.Errorf("the answer is of owner %v", got.owner)
	}
	return got.healthy
}

func askAs(t *testing.T, p *prober) answer {
	t.Helper()
	return p.ask(t.Context(), func() map[int]bool { return map[int]bool{os.Getpid(): true} },
		func(o process.Owner) bool { return o != process.Others })
}

func TestHealthIsWhatTheKubeletTakesForIt(t *testing.T) {
	for status, want := range map[int]bool{200: true, 204: true, 302: true, 399: true, 400: false, 404: false, 429: false, 500: false, 503: false} {
		port := serve(t, "127.0.0.1:0", false, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
			w.WriteHeader(status)
		})
		if got := asked(t, "http://localhost:"+port+"/"); got != want {
			t.Errorf("%d: healthy: %v", status, got)
		}
	}
}

func TestAServerThatDoesNotAnswerIsNotHealthyAndNotWaitedFor(t *testing.T) {
	release := make(chan struct{})
	port := serve(t, "127.0.0.1:0", false, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	began := time.Now()
	if asked(t, "http://127.0.0.1:"+port+"/health") || time.Since(began) > 5*healthWait {
		t.Errorf("after %v", time.Since(began))
	}
}

func TestAServerThatSharesItsPortWithOneThatIsNotUpYetIsFoundSoon(t *testing.T) {
	share := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		return errors.Join(err, e)
	}}
	first, err := share.Listen(t.Context(), "tcp", "127.0.0.1:0") // the kernel takes questions for it, nobody reads them
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := share.Listen(t.Context(), "tcp", first.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	a, err := engines.ParseAddress("http://" + first.Addr().String() + "/health")
	if err != nil {
		t.Fatal(err)
	}
	p, began := newProber(a), time.Now()
	for range 3 {
		askAs(t, p)
	}
	if took := time.Since(began); took > 2*healthWait {
		t.Errorf("three questions that nobody answered took %v", took)
	}
	p.unanswered = impatient // it is slow, then, and not absent
	for _, l := range []net.Listener{first, second} {
		go func() {
			_ = http.Serve(l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(3 * healthFirst) })) //nolint:gosec // of this test
		}()
	}
	if !askAs(t, p).healthy {
		t.Error("an answer that takes its time was not waited for")
	}
}
