// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	"sigs.k8s.io/yaml"

	"github.com/coldtrace/coldtrace/webhook/certificate"
)

// benchBody is an admission review of one of the golden pods, about as large as a real one.
func benchBody(b *testing.B) []byte {
	b.Helper()
	text, err := os.ReadFile("../inject/testdata/streaming-vllm.yaml")
	if err != nil {
		b.Skipf("no pod to send: %v", err)
	}
	object, err := yaml.YAMLToJSON(text)
	if err != nil {
		b.Fatal(err)
	}
	return []byte(reviewOf(string(object)))
}

// allow is controller-runtime's handler that only says allowed: the least that the usual way costs.
func allow() http.Handler {
	return &admission.Webhook{Handler: admission.HandlerFunc(func(context.Context, admission.Request) admission.Response {
		return admission.Allowed("")
	})}
}

// usual decodes, changes, marshals and diffs, as most webhooks do.
func usual() http.Handler {
	decoder := admission.NewDecoder(runtime.NewScheme())
	return &admission.Webhook{Handler: admission.HandlerFunc(func(_ context.Context, r admission.Request) admission.Response {
		var pod corev1.Pod
		if err := decoder.DecodeRaw(r.Object, &pod); err != nil {
			return admission.Errored(http.StatusBadRequest, err)
		}
		pod.Annotations = map[string]string{"a": "b"}
		c := &pod.Spec.Containers[len(pod.Spec.Containers)-1]
		c.Env = append(c.Env, corev1.EnvVar{Name: "A", Value: "b"})
		c.Command = append([]string{"/coldtrace/coldtrace-wrapper", "run", "--"}, c.Command...)
		changed, err := json.Marshal(&pod)
		if err != nil {
			return admission.Errored(http.StatusInternalServerError, err)
		}
		return admission.PatchResponseFromRaw(r.Object.Raw, changed)
	})}
}

// BenchmarkAdmissionOverHTTPS is the whole round trip on controller-runtime's server, with 1, 8 and 64 clients that keep
// their connections, as an API server does. cpu-us/op is what client and server cost together; the client is the same.
func BenchmarkAdmissionOverHTTPS(b *testing.B) {
	body := benchBody(b)
	server := serveTLS(b, map[string]http.Handler{
		"/allow": allow(), "/usual": usual(), Path: newTestHandler(b, nil), "/bare": http.HandlerFunc(bare),
	})
	for _, path := range []string{"/bare", "/allow", "/usual", Path} {
		for _, clients := range []int{1, 8, 64} {
			b.Run(path[1:]+"/"+strconv.Itoa(clients), func(b *testing.B) { server.drive(b, path, clients, body) })
		}
	}
}

func bare(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	_, _ = w.Write([]byte("ok"))
}

type tlsServer struct {
	url    string
	client *http.Client
}

func serveTLS(b *testing.B, handlers map[string]http.Handler) tlsServer {
	b.Helper()
	ca, err := certificate.NewCA("bench", time.Now(), time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	leaf, err := ca.Leaf([]string{"localhost"}, time.Now(), time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it listens on TCP
	l.Close()
	s := ctrlwebhook.NewServer(ctrlwebhook.Options{Host: "127.0.0.1", Port: port, TLSOpts: []func(*tls.Config){func(c *tls.Config) {
		c.MinVersion, c.NextProtos = tls.VersionTLS13, []string{"http/1.1"}
		c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return leaf, nil }
	}}})
	for path, h := range handlers {
		s.Register(path, h)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Start(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	for s.StartedChecker()(nil) != nil {
		time.Sleep(time.Millisecond)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Cert)
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"http/1.1"}},
		MaxIdleConnsPerHost: 128,
	}
	b.Cleanup(transport.CloseIdleConnections)
	return tlsServer{url: "https://127.0.0.1:" + strconv.Itoa(port), client: &http.Client{Transport: transport}}
}

func (s tlsServer) drive(b *testing.B, path string, clients int, body []byte) {
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan error, clients)
	b.ReportAllocs()
	before := cpuTime(b)
	b.ResetTimer()
	for range clients {
		go func() {
			for left.Add(-1) >= 0 {
				if err := s.send(path, body); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
}

func (s tlsServer) send(path string, body []byte) error {
	resp, err := s.client.Post(s.url+path+"?timeout=2s", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAdmission is the handler alone.
func BenchmarkAdmission(b *testing.B) {
	body, h := benchBody(b), newTestHandler(b, nil)
	deadline := time.Now().Add(time.Hour)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	mem := &scratch{}
	for b.Loop() {
		a, ok := h.review(body, "", false, deadline)
		if !ok {
			b.Fatal("no review")
		}
		if _, n, err := a.encode(mem); err != nil || n == 0 {
			b.Fatal("no patch", err)
		}
	}
}

// BenchmarkDecode is the part of it that reads the review.
func BenchmarkDecode(b *testing.B) {
	body := benchBody(b)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decode(body); err != nil {
			b.Fatal(err)
		}
	}
}
