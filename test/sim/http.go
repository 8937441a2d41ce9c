// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// httpServer answers as a model server does, as far as probes and smoke tests look.
type httpServer struct {
	owner   *server
	address string
	healthy atomic.Bool
	server  http.Server
}

func newHTTPServer(s *server, host, port string) *httpServer {
	h := &httpServer{owner: s, address: net.JoinHostPort(orAny(host), port)}
	if host == "::" {
		h.address = net.JoinHostPort("", port) // both families, as a dual-stack socket
	}
	mux := http.NewServeMux()
	health := func(w http.ResponseWriter, _ *http.Request) {
		if !h.healthy.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
	mux.HandleFunc("GET "+s.engine.health, health)
	if s.engine.health != "/health" {
		mux.HandleFunc("GET /health", health)
	}
	mux.HandleFunc("GET /v1/models", h.models)
	mux.HandleFunc("POST /v1/chat/completions", h.complete)
	mux.HandleFunc("POST /v1/completions", h.complete)
	mux.HandleFunc("GET /sim/truth", h.truth)
	h.server = http.Server{Handler: h.logged(mux), ReadHeaderTimeout: 10 * time.Second}
	return h
}

func (h *httpServer) open() error {
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", h.address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	go func() {
		if err := h.server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(os.Stderr, "sim:", err)
		}
	}()
	return nil
}

func (h *httpServer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := h.server.Shutdown(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
	}
}

// logged writes uvicorn's access log, which goes to stdout.
func (h *httpServer) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorded := &statusRecorder{w, http.StatusOK}
		next.ServeHTTP(recorded, r)
		h.owner.player.mutter("out", escape(fmt.Sprintf("INFO:     %s - %q %d %s", r.RemoteAddr,
			r.Method+" "+r.URL.Path+" HTTP/1.1", recorded.status, http.StatusText(recorded.status))))
	})
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets an answer be flushed.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (h *httpServer) name() string {
	return h.owner.given.get("--served-model-name", h.owner.player.values["model"])
}

func (h *httpServer) models(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]any{"object": "list", "data": []any{
		map[string]any{"id": h.name(), "object": "model", "owned_by": h.owner.engine.name},
	}})
}

func (h *httpServer) complete(w http.ResponseWriter, _ *http.Request) {
	if d, err := time.ParseDuration(os.Getenv("SIM_ANSWER")); err == nil { // it begins at once, and takes its time
		if err := http.NewResponseController(w).Flush(); err != nil {
			fmt.Fprintln(os.Stderr, "sim:", err)
		}
		<-time.After(d)
	}
	reply(w, map[string]any{"id": "sim-1", "object": "chat.completion", "model": h.name(), "choices": []any{
		map[string]any{"index": 0, "message": map[string]any{"role": "assistant", "content": "simulated"}, "finish_reason": "stop"},
	}})
}

func (h *httpServer) truth(w http.ResponseWriter, _ *http.Request) {
	raw, err := h.owner.truth.json()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(raw) // the client left
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // the client left
}
