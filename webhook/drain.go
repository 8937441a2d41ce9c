// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Drain gives a context that ends some time after its parent: readiness is off at once and every answer asks the API
// server to open its next connection elsewhere, but requests are served until neither one nor a connection has come for
// the quiet period, or the most time has passed.
func (h *Handler) Drain(parent context.Context, quiet, most time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	go func() {
		defer cancel()
		select {
		case <-ctx.Done():
			return
		case <-parent.Done():
		}
		h.draining.Store(true)
		begun := time.Now()
		end := begun.Add(most)
		for {
			// The endpoint goes out of every node's rules a while after the pod is told to stop, so the quiet period
			// counts from then at the earliest.
			last := time.Unix(0, max(h.served.Load(), begun.UnixNano()))
			if h.config.Connected != nil && h.config.Connected().After(last) {
				last = h.config.Connected()
			}
			wait := min(time.Until(last.Add(quiet)), time.Until(end))
			if wait <= 0 {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
		}
	}()
	return ctx, cancel
}

// Ready is a readiness check: nil unless shutting down.
func (h *Handler) Ready(*http.Request) error {
	if h.draining.Load() {
		return errors.New("shutting down")
	}
	return nil
}
