// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/DataDog/agent-payload/v5/gogen"
	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"
	"github.com/klauspost/compress/zstd"
)

// apiKey is what the intake lets in; it has the form of one.
const apiKey = "00112233445566778899aabbccddeeff"

// intake is Datadog's on loopback: it takes what the exporter sends, decodes it, and keeps what the tests look at.
type intake struct {
	url string

	mu       sync.Mutex
	spans    []*ddSpan
	sketches []gogen.SketchPayload_Sketch
	series   []point
	problems []string // requests that could not be read, or that no intake has
}

// ddSpan is a span with what its chunk and payload say of it.
type ddSpan struct {
	*pb.Span
	priority int32
	host     string
}

// point is one value of a series.
type point struct {
	metric string
	tags   []string
	value  float64
}

func newIntake(t *testing.T) *intake {
	t.Helper()
	in := &intake{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/validate", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"valid":true}`) })
	mux.HandleFunc("POST /api/v0.2/traces", in.take(in.traces))
	mux.HandleFunc("POST /api/beta/sketches", in.take(in.distributions))
	mux.HandleFunc("POST /api/v2/series", in.take(in.counts))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		in.problem(r.Method + " " + r.URL.Path)
		http.NotFound(w, r)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	in.url = server.URL
	return in
}

// take reads a request's body for one of the readers.
func (in *intake) take(read func([]byte, http.Header) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if key := r.Header.Get("DD-Api-Key"); key != apiKey {
			in.problem(r.URL.Path + ": another API key")
		}
		body, err := body(r)
		if err == nil {
			in.mu.Lock()
			err = read(body, r.Header)
			in.mu.Unlock()
		}
		if err != nil {
			in.problem(fmt.Sprintf("%s (%s, %s): %v", r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("Content-Encoding"), err))
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"status":"ok","rate_by_service":{}}`)
	}
}

func body(r *http.Request) ([]byte, error) {
	var (
		from io.Reader = r.Body
		err  error
	)
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		from, err = gzip.NewReader(r.Body)
	case "deflate":
		from, err = zlib.NewReader(r.Body)
	case "zstd":
		from, err = zstd.NewReader(r.Body)
	default:
		err = fmt.Errorf("encoding %q", encoding)
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(from)
}

func (in *intake) problem(what string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.problems = append(in.problems, what)
}

func (in *intake) traces(body []byte, _ http.Header) error {
	var payload pb.AgentPayload
	if err := payload.UnmarshalVT(body); err != nil {
		return err
	}
	if len(payload.IdxTracerPayloads) > 0 {
		return fmt.Errorf("%d payloads of a form that is not looked at", len(payload.IdxTracerPayloads))
	}
	for _, t := range payload.TracerPayloads {
		for _, chunk := range t.Chunks {
			for _, s := range chunk.Spans {
				host := t.Hostname
				if host == "" {
					host = payload.HostName
				}
				in.spans = append(in.spans, &ddSpan{s, chunk.Priority, host})
			}
		}
	}
	return nil
}

func (in *intake) distributions(body []byte, _ http.Header) error {
	var payload gogen.SketchPayload
	if err := payload.Unmarshal(body); err != nil {
		return err
	}
	in.sketches = append(in.sketches, payload.Sketches...)
	return nil
}

func (in *intake) counts(body []byte, h http.Header) error {
	if strings.HasPrefix(h.Get("Content-Type"), "application/json") {
		var payload struct {
			Series []struct {
				Metric string
				Tags   []string
				Points []struct{ Value float64 }
			}
		}
		if err := json.NewDecoder(bytes.NewReader(body)).Decode(&payload); err != nil {
			return err
		}
		for _, s := range payload.Series {
			for _, p := range s.Points {
				in.series = append(in.series, point{s.Metric, s.Tags, p.Value})
			}
		}
		return nil
	}
	var payload gogen.MetricPayload
	if err := payload.Unmarshal(body); err != nil {
		return err
	}
	for _, s := range payload.Series {
		for _, p := range s.Points {
			in.series = append(in.series, point{s.Metric, s.Tags, p.Value})
		}
	}
	return nil
}

// look calls f while nothing changes.
func (in *intake) look(f func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	f()
}

// find are the spans that match.
func (in *intake) find(match func(*ddSpan) bool) []*ddSpan {
	var found []*ddSpan
	in.look(func() {
		for _, s := range in.spans {
			if match(s) {
				found = append(found, s)
			}
		}
	})
	return found
}

// observations is how many values the distributions of a metric with all of the tags hold.
func (in *intake) observations(metric string, tags ...string) int64 {
	var n int64
	in.look(func() {
		for i := range in.sketches {
			if s := &in.sketches[i]; s.Metric == metric && holdsAll(s.Tags, tags) {
				for j := range s.Dogsketches {
					n += s.Dogsketches[j].Cnt
				}
			}
		}
	})
	return n
}

// sum is of the values of a count with all of the tags.
func (in *intake) sum(metric string, tags ...string) float64 {
	var sum float64
	in.look(func() {
		for _, p := range in.series {
			if p.metric == metric && holdsAll(p.tags, tags) {
				sum += p.value
			}
		}
	})
	return sum
}

func holdsAll(have, want []string) bool {
	return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(have, w) })
}
