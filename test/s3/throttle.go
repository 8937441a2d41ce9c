// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"time"

	"golang.org/x/time/rate"
)

// chunk is how much passes the limiter at a time, in bytes.
const chunk = 64 << 10

// throttle makes a network of a known speed: bytesPerSecond for all answers together (0: no limit), each beginning after
// latency.
func throttle(next http.Handler, bytesPerSecond int64, latency time.Duration) http.Handler {
	limiter := rate.NewLimiter(rate.Inf, chunk)
	if bytesPerSecond > 0 {
		limiter = rate.NewLimiter(rate.Limit(bytesPerSecond), chunk)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if latency > 0 {
			select {
			case <-time.After(latency):
			case <-r.Context().Done():
				return
			}
		}
		next.ServeHTTP(&throttled{ResponseWriter: w, request: r, limiter: limiter}, r)
	})
}

type throttled struct {
	http.ResponseWriter
	request *http.Request
	limiter *rate.Limiter
}

// Write waits for the limiter, or until the client is gone.
func (t *throttled) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		part := p[:min(len(p), chunk)]
		if err := t.limiter.WaitN(t.request.Context(), len(part)); err != nil {
			return written, fmt.Errorf("wait for bandwidth: %w", err)
		}
		n, err := t.ResponseWriter.Write(part)
		written += n
		if err != nil {
			return written, err //nolint:wrapcheck // the server asks for this very error
		}
		p = p[n:]
	}
	return written, nil
}
