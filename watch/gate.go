// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"sync"
	"time"
)

// Pauses of a gate.
const (
	firstPause = 400 * time.Millisecond
	lastPause  = 20 * time.Second
)

// gate keeps all workers from a receiver that does not answer: after a failure one of them tries at a time, after pauses
// that double.
type gate struct {
	mu      sync.Mutex
	pause   time.Duration // 0: open
	until   time.Time
	probing bool
}

// reset opens the gate.
func (g *gate) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pause, g.until, g.probing = 0, time.Time{}, false
}

// enter waits until the caller may try. It reports false if the context ended.
func (g *gate) enter(ctx context.Context) bool {
	for ctx.Err() == nil {
		g.mu.Lock()
		wait := time.Until(g.until)
		switch {
		case g.pause == 0:
			g.mu.Unlock()
			return true
		case wait <= 0 && !g.probing:
			g.probing = true
			g.mu.Unlock()
			return true
		}
		g.mu.Unlock()
		sleep(ctx, min(max(wait, 10*time.Millisecond), 250*time.Millisecond))
	}
	return false
}

// leave takes the outcome of a try.
func (g *gate) leave(ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.probing = false
	if ok {
		g.pause = 0
		return
	}
	if time.Now().Before(g.until) {
		return // one of those that were under way when the first one failed
	}
	g.pause = min(max(2*g.pause, firstPause), lastPause)
	g.until = time.Now().Add(g.pause)
}
