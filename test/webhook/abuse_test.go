// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// memoryLimit is the chart's, in KiB.
const memoryLimit = 256 << 10

// TestAnAbusedReplicaStaysReadyAndAnswersGoodRequests is what anyone who reaches the port can do, against a replica with
// the chart's memory limit. While each goes on, good reviews must get their patch, on a connection that is kept and on
// new ones.
func TestAnAbusedReplicaStaysReadyAndAnswersGoodRequests(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "256MiB")
	in := install(t, 1, nil, patient)
	goal := in.target(in.replicas[0])
	for name, c := range map[string]struct {
		clients int
		do      func(context.Context, target) error
	}{
		"headers that never end":            {400, target{}.slowHeader},
		"bodies that never end":             {400, target{}.slowBody},
		"connections that say nothing":      {1500, target{}.silence},
		"handshakes that are abandoned":     {50, target{}.halfHandshake},
		"bodies of 8 MiB":                   {8, target{}.expect(http.MethodPost, "/inject", "application/json", strings.Repeat("x", 8<<20), 413)},
		"bodies of 3 MiB that never end":    {50, target{}.slowGiant},
		"garbage":                           {16, target{}.expect(http.MethodPost, "/inject", "application/json", `{"request":`+strings.Repeat("[", 4000), 400)},
		"another content type":              {16, target{}.expect(http.MethodPost, "/inject", "text/plain", "{}", 415)},
		"another method":                    {16, target{}.expect(http.MethodGet, "/inject", "", "", 405)},
		"another path":                      {16, target{}.expect(http.MethodPost, "/validate", "application/json", "{}", 404)},
		"a header of a megabyte":            {8, target{}.giantHeader},
		"HTTP/2":                            {16, target{}.http2},
		"reviews of others, as fast as may": {16, target{}.expect(http.MethodPost, "/inject", "application/json", review("flood"), 200)},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var abusers sync.WaitGroup
			failed := make(chan error, 1)
			for range c.clients {
				abusers.Go(func() {
					for ctx.Err() == nil {
						if err := c.do(ctx, goal); err != nil && ctx.Err() == nil {
							select {
							case failed <- err:
							default:
							}
							return
						}
					}
				})
			}
			defer abusers.Wait()
			defer cancel()
			kept := goal.client()
			defer kept.CloseIdleConnections()
			for i := range 20 {
				client := kept
				if i%2 == 0 {
					client = goal.client()
					client.Transport.(*http.Transport).DisableKeepAlives = true
				}
				if err := goal.injects(t.Context(), client); err != nil {
					t.Fatalf("good review %d: %v", i, err)
				}
				must(t, get(t.Context(), "http://"+in.replicas[0].health+"/readyz"))
			}
			select {
			case err := <-failed:
				t.Error(err)
			default:
			}
		})
	}
	t.Run("ten thousand requests that are none", func(t *testing.T) {
		const all, workers = 10000, 16
		do := target{}.expect(http.MethodPost, "/inject", "application/json", "none", 400)
		var wg sync.WaitGroup
		errs := make(chan error, workers)
		for range workers {
			wg.Go(func() {
				client := goal.client()
				defer client.CloseIdleConnections()
				for range all / workers {
					if err := goal.send(t.Context(), client, http.MethodPost, "/inject", "application/json", "none", 400); err != nil {
						errs <- err
						return
					}
				}
			})
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			t.Error(err)
		}
		must(t, do(t.Context(), goal))
		must(t, goal.injects(t.Context(), goal.client()))
	})
	peak := in.replicas[0].peakMemory(t)
	t.Logf("at most %d MiB resident", peak>>10)
	if peak > memoryLimit {
		t.Errorf("%d KiB resident, more than the chart's limit of %d", peak, memoryLimit)
	}
}

// target is a replica's port.
type target struct {
	address string
	conf    *tls.Config
}

func (in *installation) target(r *replica) target {
	roots := x509.NewCertPool()
	for _, c := range in.bundle() {
		roots.AddCert(c)
	}
	return target{r.webhook, &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS13}}
}

func (g target) client() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: g.conf.Clone()}}
}

func review(uid string) string {
	pod, err := json.Marshal(endpointPod("abuse"))
	if err != nil {
		panic(err) // impossible: a pod can be marshalled
	}
	return `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"` + uid + `","resource":{"version":"v1","resource":"pods"},` +
		`"namespace":"abuse","operation":"CREATE","dryRun":true,"object":` + string(pod) + `}}`
}

// injects sends a good review and wants a patch.
func (g target) injects(ctx context.Context, client *http.Client) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+g.address+"/inject?timeout=10s", strings.NewReader(review("good")))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer struct {
		Response struct {
			Allowed bool
			Patch   []byte
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err
	}
	if !answer.Response.Allowed || len(answer.Response.Patch) == 0 {
		return fmt.Errorf("%s without a patch", resp.Status)
	}
	return nil
}

// send wants a status.
func (g target) send(ctx context.Context, client *http.Client, method, path, contentType, body string, want int) error {
	req, err := http.NewRequestWithContext(ctx, method, "https://"+g.address+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := client.Do(req)
	switch {
	case err != nil && len(body) > 1<<20:
		return nil // the server may hang up before it was told everything
	case err != nil:
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != want {
		return fmt.Errorf("%s %s: %s, want %d", method, path, resp.Status, want)
	}
	return nil
}

// expect sends one request on a connection of its own.
func (target) expect(method, path, contentType, body string, want int) func(context.Context, target) error {
	return func(ctx context.Context, g target) error {
		client := g.client()
		defer client.CloseIdleConnections()
		return g.send(ctx, client, method, path, contentType, body, want)
	}
}

// abuser holds connections from an address of its own, as another pod would. Their ports are chosen on connecting: ones
// that are bound before would be taken from whoever listens next, for as long as the connections linger.
var abuser = &net.Dialer{
	LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)},
	Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if failed := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) }); failed != nil {
			return failed
		}
		return err
	},
}

// hold does something with a connection until the server closes it or the context ends. That either happens is no error.
func (g target) hold(ctx context.Context, secure bool, use func(net.Conn) error) error {
	var dialer interface {
		DialContext(ctx context.Context, network, address string) (net.Conn, error)
	} = abuser
	if secure {
		dialer = &tls.Dialer{NetDialer: abuser, Config: g.conf}
	}
	conn, err := dialer.DialContext(ctx, "tcp", g.address)
	if err != nil {
		return nil // refused: there are too many
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_ = use(conn)
	return nil
}

// drip sends some bytes and then one now and then.
func drip(first string) func(net.Conn) error {
	return func(conn net.Conn) error {
		if _, err := io.WriteString(conn, first); err != nil {
			return err
		}
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if _, err := io.WriteString(conn, "x"); err != nil {
				return err
			}
		}
		return nil
	}
}

func header(length int) string {
	return "POST /inject?timeout=10s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(length) + "\r\n"
}

func (target) slowHeader(ctx context.Context, g target) error {
	return g.hold(ctx, true, drip(header(10)+"X-Slow: "))
}

func (target) slowBody(ctx context.Context, g target) error {
	return g.hold(ctx, true, drip(header(60000)+"\r\n{"))
}

func (target) slowGiant(ctx context.Context, g target) error {
	return g.hold(ctx, true, drip(header(3<<20)+"\r\n"+strings.Repeat(" ", 100<<10)))
}

func (target) silence(ctx context.Context, g target) error {
	return g.hold(ctx, false, func(conn net.Conn) error {
		_, err := conn.Read(make([]byte, 1))
		return err
	})
}

func (target) halfHandshake(ctx context.Context, g target) error {
	return g.hold(ctx, false, func(conn net.Conn) error {
		_, err := conn.Write([]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}) // the beginning of a ClientHello
		return err
	})
}

func (target) giantHeader(ctx context.Context, g target) error {
	return g.hold(ctx, true, func(conn net.Conn) error {
		go func() { _, _ = io.WriteString(conn, header(10)+"X-Giant: "+strings.Repeat("x", 1<<20)+"\r\n\r\n") }()
		_, err := io.Copy(io.Discard, conn)
		return err
	})
}

// http2 must not be spoken: an API server does not, and its floods are many.
func (target) http2(ctx context.Context, g target) error {
	conf := g.conf.Clone()
	conf.NextProtos = []string{"h2"}
	if conn, err := (&tls.Dialer{Config: conf}).DialContext(ctx, "tcp", g.address); err == nil {
		conn.Close()
		return errors.New("the server agreed to speak HTTP/2")
	}
	conn, err := (&tls.Dialer{Config: g.conf}).DialContext(ctx, "tcp", g.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	if err == nil && bytes.HasPrefix(answer, []byte("HTTP/1.1 200")) {
		return fmt.Errorf("HTTP/2 was answered: %q", answer)
	}
	return nil
}

// peakMemory is the most that was resident, in KiB.
func (r *replica) peakMemory(t *testing.T) int {
	t.Helper()
	f, err := os.Open("/proc/" + strconv.Itoa(r.cmd.Process.Pid) + "/status")
	if err != nil {
		t.Skip("no /proc: memory is not looked at")
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			must(t, err)
			return n
		}
	}
	t.Fatal("no VmHWM")
	return 0
}
