// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/inject"
)

// Path is where the API server sends pods.
const Path = "/inject"

// Config is what a Handler needs. Nothing in it but Entrypoint may call anything.
type Config struct {
	Version string
	Log     logr.Logger
	Policy  func() *config.Policy
	// Namespace gives a namespace's annotations.
	Namespace func(name string) map[string]string
	// ImageVolumes tells if the API server and every GPU node can mount an image as a volume.
	ImageVolumes func() bool
	// Entrypoint, if set, tells an image's ENTRYPOINT and CMD under a policy with registryLookup, nil if it can't before the
	// context ends.
	Entrypoint func(ctx context.Context, namespace string, pod *endpoint.Pod, image string) (entrypoint, cmd []string)
	// NoWrapper, if set, tells why a pod must go without the wrapper; empty: it need not.
	NoWrapper func(*Candidate) inject.Reason
	// NoImageVolume, if set, tells why no image can be mounted in pods of a namespace; empty: it can.
	NoImageVolume func(namespace string) inject.Reason
	// Observe, if set, hears of every decision that is not a dry run. It must not block.
	Observe func(*Candidate, *inject.Decision)
	// Tracer, if set, gets a span of each admission that it samples.
	Tracer trace.Tracer
	// Connected, if set, tells when the last connection came: a request may follow.
	Connected func() time.Time
	// Started is closed when the first request may be answered.
	Started <-chan struct{}

	MaxBodyBytes  int64         // 4 MiB if 0: the API server's own limit for a request is 3 MiB
	MaxConcurrent int           // 64 if 0
	Timeout       time.Duration // 1.5 s if 0: below the 2 s that the API server is told to wait
}

// Candidate is whom a decision is about.
type Candidate struct {
	Namespace string
	Pod       string // its name, or its generated name's beginning
	DryRun    bool
	Owner     Owner
	Labels    map[string]string
	Policy    string // the digest of the policy that decided
}

// Owner is the controller of a pod, empty for a bare one.
type Owner struct{ APIVersion, Kind, Name, UID string }

// Handler answers admission reviews.
type Handler struct {
	config   Config
	slots    chan struct{} // one for each review that is worked on
	large    chan struct{} // one for each long body that is being read
	draining atomic.Bool
	served   atomic.Int64 // unix nanoseconds of the last request
}

// NewHandler makes a handler.
func NewHandler(c Config) (*Handler, error) {
	switch {
	case c.Policy == nil || c.Namespace == nil || c.ImageVolumes == nil:
		return nil, errors.New("webhook: policy, namespace and image volumes are needed")
	case c.MaxBodyBytes < 0 || c.MaxConcurrent < 0 || c.Timeout < 0:
		return nil, errors.New("webhook: limits can't be negative")
	}
	c.MaxBodyBytes = cmp.Or(c.MaxBodyBytes, 4<<20)
	c.MaxConcurrent = cmp.Or(c.MaxConcurrent, 64)
	c.Timeout = cmp.Or(c.Timeout, 1500*time.Millisecond)
	if c.Tracer == nil {
		c.Tracer = noop.NewTracerProvider().Tracer("")
	}
	if c.Started == nil {
		started := make(chan struct{})
		close(started)
		c.Started = started
	}
	return &Handler{config: c, slots: make(chan struct{}, c.MaxConcurrent), large: make(chan struct{}, largeSlots)}, nil
}

// ServeHTTP reads a review, decides and answers.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	h.served.Store(begun.UnixNano())
	if status := refuse(r); status != 0 {
		http.Error(w, http.StatusText(status), status)
		return
	}
	deadline := begun.Add(h.timeout(r))
	// A client that sends its body slowly is not waited for longer than the API server would wait.
	_ = http.NewResponseController(w).SetReadDeadline(deadline) // a test's recorder has no deadlines

	var buf bytes.Buffer
	tooLarge, late, err := h.read(&buf, r, deadline)
	if err != nil && late == "" {
		late = inject.ReasonDeadline // a body that came too slowly, or not whole: what came may tell whom to answer
	}
	ctx, span := h.trace(r.Context(), begun)
	a, ok := h.review(ctx, buf.Bytes(), late, tooLarge, deadline)
	if !ok {
		finish(span, &a)
		status := http.StatusBadRequest
		if tooLarge {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, "the body is no admission review", status)
		return
	}
	h.respond(ctx, w, &a, begun)
	finish(span, &a)
}

// refuse tells what is wrong with a request that the API server would not send; 0: nothing.
func refuse(r *http.Request) int {
	if r.Method != http.MethodPost {
		return http.StatusMethodNotAllowed
	}
	contentType := r.Header.Get("Content-Type")
	if contentType != "application/json" {
		if t, _, err := mime.ParseMediaType(contentType); err != nil || t != "application/json" {
			return http.StatusUnsupportedMediaType
		}
	}
	return 0
}

// timeout is a little less than the API server waits, which it says in the query.
func (h *Handler) timeout(r *http.Request) time.Duration {
	const margin = 200 * time.Millisecond
	if r.URL.RawQuery == "" {
		return h.config.Timeout
	}
	asked, err := time.ParseDuration(r.URL.Query().Get("timeout"))
	if err != nil || asked <= 2*margin {
		return h.config.Timeout
	}
	return min(h.config.Timeout, asked-margin)
}

// acquire waits for the start and for a slot; a reason means that it was in vain.
func (h *Handler) acquire(ctx context.Context, slots chan struct{}, deadline time.Time) inject.Reason {
	select {
	case <-h.config.Started:
		select {
		case slots <- struct{}{}:
			return ""
		default:
		}
	default:
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-h.config.Started:
	case <-timer.C:
		return inject.ReasonStarting
	case <-ctx.Done():
		return inject.ReasonStarting
	}
	select {
	case slots <- struct{}{}:
		return ""
	case <-timer.C:
		return inject.ReasonOverloaded
	case <-ctx.Done():
		return inject.ReasonOverloaded
	}
}

// usualBytes is more than nearly all reviews have. Only longer ones take a slot to be read, one of their own kind, so that
// clients that send slowly hold neither much memory nor what other pods need.
const (
	usualBytes = 64 << 10
	largeSlots = 8
)

// read takes the body, up to the limit.
func (h *Handler) read(buf *bytes.Buffer, r *http.Request, deadline time.Time) (tooLarge bool, late inject.Reason, err error) {
	if n := r.ContentLength; n > 0 {
		buf.Grow(int(min(n, usualBytes)) + bytes.MinRead)
	}
	first := min(usualBytes, h.config.MaxBodyBytes+1)
	n, err := buf.ReadFrom(io.LimitReader(r.Body, first))
	if err != nil || n < first {
		return false, "", err
	}
	if late := h.acquire(r.Context(), h.large, deadline); late != "" {
		return false, late, nil
	}
	defer func() { <-h.large }()
	if rest := r.ContentLength - n; rest > 0 && r.ContentLength <= h.config.MaxBodyBytes {
		buf.Grow(int(rest) + bytes.MinRead)
	}
	more, err := buf.ReadFrom(io.LimitReader(r.Body, h.config.MaxBodyBytes+1-n))
	return n+more > h.config.MaxBodyBytes, "", err
}

// review decides about one body; not ok: it holds no request to answer.
func (h *Handler) review(ctx context.Context, body []byte, late inject.Reason, tooLarge bool, deadline time.Time) (answer, bool) {
	if !tooLarge && late == "" {
		if late = h.acquire(ctx, h.slots, deadline); late == "" {
			defer func() { <-h.slots }() // before the answer is sent: a client that does not read holds none
		}
	}
	if tooLarge || late != "" {
		uid := uidPrefix(body)
		if tooLarge {
			late = inject.ReasonTooLarge
		}
		return h.unchanged(&Candidate{}, uid, late, nil), uid != ""
	}
	end := h.step(ctx, spanDecode)
	req, err := decode(body)
	end()
	if err != nil {
		return h.unchanged(&Candidate{Namespace: req.Namespace}, req.UID, inject.ReasonUnreadable, err), req.UID != ""
	}
	if req.Operation != "CREATE" || req.SubResource != "" || req.Resource.Resource != "pods" {
		return answer{uid: req.UID}, true
	}
	candidate := candidateOf(req)
	end = h.step(ctx, spanDecide)
	patch, decision, err := h.decide(req, &candidate, deadline)
	end()
	if err != nil {
		return h.unchanged(&candidate, req.UID, inject.ReasonPanic, err), true
	}
	if time.Now().After(deadline) {
		return h.unchanged(&candidate, req.UID, inject.ReasonDeadline, nil), true
	}
	h.observe(&candidate, &decision)
	a := answerTo(req.UID, patch, &decision)
	a.policy = candidate.Policy
	return a, true
}

// decide asks package inject for the pod's patch and turns a panic into an error.
func (h *Handler) decide(req *request, candidate *Candidate, deadline time.Time) (patch []byte, d inject.Decision, err error) {
	defer func() {
		if p := recover(); p != nil {
			// The value of a panic may quote the pod; the stack names functions only.
			err = fmt.Errorf("panic (%T) at %s", p, debug.Stack())
		}
	}()
	in := inject.Request{
		Pod:                  &req.Object,
		Namespace:            req.Namespace,
		NamespaceAnnotations: h.config.Namespace(req.Namespace),
		Policy:               h.config.Policy(),
		ImageVolumes:         h.config.ImageVolumes(),
		Version:              h.config.Version,
	}
	if h.config.NoWrapper != nil {
		in.NoWrapper = h.config.NoWrapper(candidate)
	}
	if h.config.NoImageVolume != nil {
		in.NoImageVolume = h.config.NoImageVolume(req.Namespace)
	}
	h.entrypoint(&in, deadline)
	candidate.Policy = in.Policy.Digest
	ops, d := inject.Pod(in)
	if len(ops) > 0 {
		patch, err = json.Marshal(ops)
	}
	return patch, d, err
}

// unchanged admits a pod as it came, with the reason.
func (h *Handler) unchanged(candidate *Candidate, uid string, reason inject.Reason, err error) answer {
	d := inject.Decision{Version: h.config.Version, Outcome: inject.Failed, Notes: []inject.Note{{Reason: reason}}}
	if err != nil {
		h.config.Log.Error(err, "Admitted a pod unchanged", "namespace", candidate.Namespace, "pod", candidate.Pod, "reason", reason)
	}
	h.observe(candidate, &d)
	return answerTo(uid, nil, &d)
}

// respond writes the answer.
func (h *Handler) respond(ctx context.Context, w http.ResponseWriter, a *answer, begun time.Time) {
	end := h.step(ctx, spanPatch)
	out, err := a.encode()
	end()
	if err != nil { // impossible: it is made of texts
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header["Content-Type"] = jsonContentType
	header[PolicyHeader] = []string{a.policy}
	header["Content-Length"] = []string{strconv.Itoa(len(out))}
	if h.draining.Load() {
		header.Set("Connection", "close") // the API server opens its next connection to another replica
	}
	if _, err := w.Write(out); err != nil {
		h.config.Log.V(1).Info("The API server went away", "error", err.Error())
	}
	answered(len(a.patch), time.Since(begun))
}

// PolicyHeader of an answer holds the digest of the policy in force. `coldtrace check` waits for the release's.
const PolicyHeader = "Coldtrace-Policy"

var jsonContentType = []string{"application/json"}

func candidateOf(req *request) Candidate {
	meta := &req.Object.Metadata
	s := Candidate{Namespace: req.Namespace, Pod: cmp.Or(meta.Name, meta.GenerateName), Labels: meta.Labels, DryRun: req.DryRun}
	if o := meta.Controller(); o != nil {
		s.Owner = Owner{APIVersion: o.APIVersion, Kind: o.Kind, Name: o.Name, UID: string(o.UID)}
	}
	return s
}
