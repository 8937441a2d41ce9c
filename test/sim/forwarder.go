// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// forward is model-engine's http-forwarder sidecar: it asks the main container's health route once a second, and is
// ready from the first good answer on.
func forward(args []string) int {
	p := parser{program: "http_forwarder.py", options: map[string]option{
		"--config": {takes: one}, "--port": {takes: one, number: true}, "--host": {takes: one},
		"--num-workers": {takes: one, number: true}, "--set": {takes: one},
		"--graceful-timeout": {takes: one, number: true},
	}}
	sets := settings(args)
	given, err := p.parse(args)
	if err != nil {
		p.complain(os.Stderr, err)
		return 2
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	url := os.Getenv("SIM_FORWARD_URL")
	if url == "" {
		url = "http://localhost:" + sets.get("forwarder.sync.user_port", "5005") + sets.get("forwarder.sync.healthcheck_route", "/health")
	}
	var ready atomic.Bool
	go await(ctx, url, &ready)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	server := http.Server{
		Addr: net.JoinHostPort("", given.get("--port", "5000")), Handler: mux, ReadHeaderTimeout: 10 * time.Second,
	}
	go func() {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(stop); err != nil {
			fmt.Fprintln(os.Stderr, "sim:", err)
		}
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, "sim:", err)
		return 1
	}
	return 0
}

// await polls until the first good answer.
func await(ctx context.Context, url string, ready *atomic.Bool) {
	fmt.Println("Waiting for user-defined service to be ready...")
	client := http.Client{Timeout: 2 * time.Second}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if healthy(ctx, &client, url) {
			ready.Store(true)
			fmt.Println("Ready to serve")
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func healthy(ctx context.Context, client *http.Client, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	answer, err := client.Do(request)
	if err != nil {
		return false // not there yet
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// settings are the values of --set KEY=VALUE, which may be given often.
func settings(args []string) arguments {
	out := arguments{}
	for i, word := range args {
		if word == "--set" && i+1 < len(args) {
			if key, value, ok := strings.Cut(args[i+1], "="); ok {
				out[key] = []string{value}
			}
		}
	}
	return out
}
