// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/coldtrace/coldtrace/test/freeport"
	"github.com/coldtrace/coldtrace/webhook/certificate"
)

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
	server := benchServer(b)
	for name, body := range benchBodies(b) {
		for _, path := range []string{"/bare", "/allow", "/usual", Path} {
			for _, clients := range []int{1, 8, 64} {
				b.Run(name+path+"/"+strconv.Itoa(clients), func(b *testing.B) { server.drive(b, path, clients, body) })
			}
		}
	}
}

// BenchmarkAdmissionRatios sends the same review to controller-runtime's handler that only allows, to the usual way and
// to ours in turns of a few requests each, so that whatever else the machine does falls on all alike. It tells
// processor time, client included: x-allow is ours by allow's, usual-x by how much ours is below the usual way. Latencies
// are the clients', who wait for one another on a busy machine.
func BenchmarkAdmissionRatios(b *testing.B) {
	const turn = 64
	server := benchServer(b)
	for name, body := range benchBodies(b) {
		for _, clients := range []int{1, 8, 64} {
			b.Run(name+"/"+strconv.Itoa(clients), func(b *testing.B) {
				paths := [...]string{"/allow", "/usual", Path}
				var (
					spent [len(paths)]time.Duration
					took  [len(paths)][]time.Duration
				)
				turns := max(1, b.N/turn)
				for range turns {
					for i, path := range paths {
						before := cpuTime(b)
						took[i] = append(took[i], server.send(b, path, clients, turn, body)...)
						spent[i] += cpuTime(b) - before
					}
				}
				each := func(i int) float64 { return float64(spent[i].Microseconds()) / float64(turns*turn) }
				b.ReportMetric(float64(len(body)), "body-bytes")
				b.ReportMetric(float64(server.patchBytes(b, body)), "patch-bytes")
				for i, name := range []string{"allow", "usual", "inject"} {
					slices.Sort(took[i])
					b.ReportMetric(each(i), name+"-cpu-us")
					b.ReportMetric(float64(took[i][len(took[i])/2].Microseconds()), name+"-p50-us")
					b.ReportMetric(float64(took[i][len(took[i])*99/100].Microseconds()), name+"-p99-us")
				}
				b.ReportMetric(each(2)/each(0), "x-allow")
				b.ReportMetric(each(1)/each(2), "usual-x")
			})
		}
	}
}

func benchServer(b *testing.B) tlsServer {
	b.Helper()
	ctrl.SetLogger(logr.Discard()) // or it says, in the middle of a benchmark's line, that nobody has
	return serveTLS(b, map[string]http.Handler{
		"/allow": allow(), "/usual": usual(), Path: newTestHandler(b, nil), "/bare": http.HandlerFunc(bare),
	})
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
	port, err := freeport.Find()
	if err != nil {
		b.Fatal(err)
	}
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
		select {
		case err := <-ended:
			ended <- err // the cleanup asks, too
			b.Fatalf("the server ended before it served: %v", err)
		case <-time.After(time.Millisecond):
		}
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
	b.ReportAllocs()
	before := cpuTime(b)
	b.ResetTimer()
	s.send(b, path, clients, b.N, body)
	b.StopTimer()
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
}

// send shares out the requests among the clients, waits for every answer and says how long each took.
func (s tlsServer) send(b *testing.B, path string, clients, requests int, body []byte) []time.Duration {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(requests))
	type result struct {
		took []time.Duration
		err  error
	}
	done := make(chan result, clients)
	for range clients {
		go func() {
			var r result
			for r.err == nil && left.Add(-1) >= 0 {
				began := time.Now()
				r.err = s.post(path, body)
				r.took = append(r.took, time.Since(began))
			}
			done <- r
		}()
	}
	var took []time.Duration
	for range clients {
		r := <-done
		if r.err != nil {
			b.Fatal(r.err)
		}
		took = append(took, r.took...)
	}
	return took
}

// patchBytes is the size of the change that ours answers with.
func (s tlsServer) patchBytes(b *testing.B, body []byte) int {
	b.Helper()
	resp, err := s.client.Post(s.url+Path+"?timeout=2s", "application/json", bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(resp.Body).Decode(&review); err != nil {
		b.Fatal(err)
	}
	return len(review.Response.Patch)
}

func (s tlsServer) post(path string, body []byte) error {
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
	for name, body := range benchBodies(b) {
		b.Run(name, func(b *testing.B) {
			h, deadline := newTestHandler(b, nil), time.Now().Add(time.Hour)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				a, ok := h.review(context.Background(), body, "", false, deadline)
				if !ok {
					b.Fatal("no review")
				}
				if _, err := a.encode(); err != nil || len(a.patch) == 0 {
					b.Fatal("no patch", err)
				}
			}
		})
	}
}

// BenchmarkDecode is the part of it that reads the review.
func BenchmarkDecode(b *testing.B) {
	for name, body := range benchBodies(b) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decode(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
