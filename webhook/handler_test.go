// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/go-logr/logr"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/inject"
)

// pod is an endpoint of model-engine's kind, as the API server sends it.
const pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"llama-","labels":{"managed-by":"model-engine","endpoint_name":"llama"},` +
	`"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"llama","uid":"1234","controller":true}]},` +
	`"spec":{"containers":[{"name":"main","image":"example.test/vllm:0.17.0","command":["/bin/bash","-c","python -m vllm_server --model m --port 5005"],` +
	`"resources":{"limits":{"nvidia.com/gpu":"1","cpu":"2","memory":"4Gi"}}}]}}`

func reviewOf(object string) string {
	return `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u-1","kind":{"group":"","version":"v1","kind":"Pod"},` +
		`"resource":{"group":"","version":"v1","resource":"pods"},"namespace":"ns","operation":"CREATE","userInfo":{"username":"x"},"object":` +
		object + `,"oldObject":null,"dryRun":false,"options":{}}}`
}

func testPolicy() *config.Policy {
	p := config.Default()
	p.OTLP.Endpoint, p.Wrapper.Image = "http://collector.test:4317", "example.test/wrapper:1"
	return p
}

func newTestHandler(t testing.TB, change func(*Config)) *Handler {
	t.Helper()
	c := Config{
		Version: "test", Log: logr.Discard(), Policy: testPolicy,
		Namespace:    func(string) map[string]string { return nil },
		ImageVolumes: func() bool { return true },
	}
	if change != nil {
		change(&c)
	}
	h, err := NewHandler(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

type response struct {
	Response struct {
		UID              string
		Allowed          bool
		PatchType        string
		Patch            string
		Warnings         []string
		AuditAnnotations map[string]string
	}
}

func post(t testing.TB, h http.Handler, body io.Reader) (int, response) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, Path+"?timeout=2s", body)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var got response
	if w.Code == http.StatusOK {
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatalf("%v: %s", err, w.Body)
		}
	}
	return w.Code, got
}

func TestAnEndpointPodGetsAPatch(t *testing.T) {
	var observed []inject.Decision
	h := newTestHandler(t, func(c *Config) {
		c.Observe = func(s *Candidate, d *inject.Decision) {
			observed = append(observed, *d)
			if s.Owner.Kind != "ReplicaSet" || s.Pod != "llama-" || s.Namespace != "ns" {
				t.Errorf("candidate %+v", s)
			}
		}
	})
	code, got := post(t, h, strings.NewReader(reviewOf(pod)))
	r := got.Response
	if code != http.StatusOK || !r.Allowed || r.UID != "u-1" || r.PatchType != "JSONPatch" {
		t.Fatalf("%d %+v", code, r)
	}
	raw, err := base64.StdEncoding.DecodeString(r.Patch)
	if err != nil {
		t.Fatal(err)
	}
	var ops []map[string]any
	if err := json.Unmarshal(raw, &ops); err != nil || len(ops) == 0 {
		t.Fatalf("%v: %s", err, raw)
	}
	if len(observed) != 1 || observed[0].Outcome != inject.Injected || r.AuditAnnotations["outcome"] != "injected" {
		t.Errorf("observed %+v, audit %v", observed, r.AuditAnnotations)
	}
}

func TestADryRunIsNotObserved(t *testing.T) {
	h := newTestHandler(t, func(c *Config) {
		c.Observe = func(*Candidate, *inject.Decision) { t.Error("observed") }
	})
	_, got := post(t, h, strings.NewReader(strings.Replace(reviewOf(pod), `"dryRun":false`, `"dryRun":true`, 1)))
	if got.Response.Patch == "" {
		t.Error("a dry run must show the patch")
	}
}

func TestWhateverGoesWrongAdmitsThePodUnchanged(t *testing.T) {
	never := make(chan struct{})
	huge := reviewOf(strings.Replace(pod, `"generateName"`, `"annotations":{"x":"`+strings.Repeat("y", 1<<20)+`"},"generateName"`, 1))
	cases := map[string]struct {
		change func(*Config)
		body   string
		reason inject.Reason
	}{
		"a panic": {
			change: func(c *Config) { c.Policy = func() *config.Policy { panic("secret") } },
			body:   reviewOf(pod), reason: inject.ReasonPanic,
		},
		"a policy that is nil": {
			change: func(c *Config) { c.Policy = func() *config.Policy { return nil } },
			body:   reviewOf(pod), reason: inject.ReasonPanic,
		},
		"a body over the limit": {
			change: func(c *Config) { c.MaxBodyBytes = 1 << 20 },
			body:   huge, reason: inject.ReasonTooLarge,
		},
		"a pod with a field of another type": {
			body: reviewOf(strings.Replace(pod, `"image":"example.test/vllm:0.17.0"`, `"image":{}`, 1)), reason: inject.ReasonUnreadable,
		},
		"a body that ends too soon": {
			body: reviewOf(pod)[:500], reason: inject.ReasonUnreadable,
		},
		"a start that doesn't end": {
			change: func(c *Config) { c.Started, c.Timeout = never, time.Millisecond },
			body:   reviewOf(pod), reason: inject.ReasonStarting,
		},
		"a decision that takes too long": {
			change: func(c *Config) {
				c.Timeout = time.Nanosecond
			},
			body: reviewOf(pod), reason: inject.ReasonDeadline,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var reasons []inject.Note
			h := newTestHandler(t, func(config *Config) {
				if c.change != nil {
					c.change(config)
				}
				config.Observe = func(_ *Candidate, d *inject.Decision) {
					if d.Outcome == inject.Failed {
						reasons = d.Notes
					}
				}
			})
			code, got := post(t, h, strings.NewReader(c.body))
			r := got.Response
			if code != http.StatusOK || !r.Allowed || r.UID != "u-1" || r.Patch != "" {
				t.Fatalf("%d %+v", code, r)
			}
			if len(reasons) != 1 || reasons[0].Reason != c.reason || r.AuditAnnotations["reasons"] != string(c.reason) {
				t.Errorf("reasons %v, audit %v; want %s", reasons, r.AuditAnnotations, c.reason)
			}
			if len(r.Warnings) != 1 || strings.Contains(r.Warnings[0], "secret") {
				t.Errorf("warnings %q", r.Warnings)
			}
		})
	}
}

func TestABodyThatStopsComingAdmitsThePodUnchanged(t *testing.T) {
	body := io.MultiReader(strings.NewReader(reviewOf(pod)[:300]), iotest.ErrReader(os.ErrDeadlineExceeded))
	code, got := post(t, newTestHandler(t, nil), body)
	r := got.Response
	if code != http.StatusOK || !r.Allowed || r.UID != "u-1" || r.AuditAnnotations["reasons"] != string(inject.ReasonDeadline) {
		t.Errorf("%d %+v", code, r)
	}
}

func TestTooManyAtATimeAreAdmittedUnchanged(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	h := newTestHandler(t, func(c *Config) {
		c.MaxConcurrent = 1
		c.Timeout = 50 * time.Millisecond
		c.Policy = func() *config.Policy {
			close(inside)
			<-leave
			return testPolicy()
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		post(t, h, strings.NewReader(reviewOf(pod)))
	}()
	<-inside
	code, got := post(t, h, strings.NewReader(reviewOf(pod)))
	if code != http.StatusOK || got.Response.AuditAnnotations["reasons"] != string(inject.ReasonOverloaded) {
		t.Errorf("%d %+v", code, got)
	}
	close(leave)
	<-done
}

func TestWhatTheAPIServerWouldNotSendIsRefused(t *testing.T) {
	cases := map[string]struct {
		method, contentType, body string
		status                    int
	}{
		"another method":                 {http.MethodGet, "application/json", "", http.StatusMethodNotAllowed},
		"another content type":           {http.MethodPost, "text/plain", reviewOf(pod), http.StatusUnsupportedMediaType},
		"no content type":                {http.MethodPost, "", reviewOf(pod), http.StatusUnsupportedMediaType},
		"garbage":                        {http.MethodPost, "application/json", "\x00\x01", http.StatusBadRequest},
		"JSON that is no review":         {http.MethodPost, "application/json", `{"a":1}`, http.StatusBadRequest},
		"an endless body without a uid":  {http.MethodPost, "application/json", strings.Repeat("x", 5<<20), http.StatusRequestEntityTooLarge},
		"an older version of the review": {http.MethodPost, "application/json", strings.Replace(reviewOf(pod), "/v1", "/v1beta1", 1), http.StatusBadRequest},
		"a charset is fine":              {http.MethodPost, "application/json; charset=utf-8", reviewOf(pod), http.StatusOK},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, Path, strings.NewReader(c.body))
			r.Header.Set("Content-Type", c.contentType)
			w := httptest.NewRecorder()
			newTestHandler(t, nil).ServeHTTP(w, r)
			if w.Code != c.status {
				t.Errorf("%d, want %d", w.Code, c.status)
			}
		})
	}
}

func TestAnotherOperationIsAllowedAsItIs(t *testing.T) {
	body := strings.Replace(reviewOf(pod), `"CREATE"`, `"UPDATE"`, 1)
	if code, got := post(t, newTestHandler(t, nil), strings.NewReader(body)); code != http.StatusOK || !got.Response.Allowed || got.Response.Patch != "" {
		t.Errorf("%d %+v", code, got)
	}
}

func TestShutdownWaitsUntilNoRequestComes(t *testing.T) {
	h := newTestHandler(t, nil)
	ctx, cancel := h.Drain(canceled(t), 50*time.Millisecond, 10*time.Second)
	defer cancel()
	begun := time.Now()
	for range 5 {
		r := httptest.NewRequest(http.MethodPost, Path, bytes.NewReader([]byte(reviewOf(pod))))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		for h.Ready(nil) == nil {
			<-time.After(time.Millisecond) // until the drain has begun
		}
		h.ServeHTTP(w, r)
		if w.Header().Get("Connection") != "close" {
			t.Error("the connection is kept")
		}
	}
	<-ctx.Done()
	if time.Since(begun) < 50*time.Millisecond {
		t.Error("not quiet yet")
	}
}

func ExampleHandler_warnings() {
	for _, w := range warnings(&inject.Decision{Outcome: inject.Skipped, Notes: []inject.Note{{Reason: inject.ReasonNoEndpoint}}}) {
		fmt.Println(w)
	}
	// Output: coldtrace: no-otlp-endpoint: Set `otlp.endpoint` in the policy or `coldtrace.io/otlp-endpoint`.
}
