// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"sync"
	"time"
)

// Pauses of a gate.
const (
	firstPause = 400 * time.Millisecond
	lastPause  = 20 * time.Second
)

// gate keeps all workers from a receiver that does not answer: after a failure one of them tries at a time, after pauses
// that double. Nobody waits at it, since there is other work: to tell what has ended and what memory has room for.
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

// enter tells whether the caller may try, and if not, after how long to ask again. Who may must call leave or retreat.
func (g *gate) enter() (time.Duration, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	left := time.Until(g.until)
	switch {
	case g.pause == 0:
		return 0, true
	case left <= 0 && !g.probing:
		g.probing = true
		return 0, true
	}
	return max(left, firstPause), false
}

// retreat gives back what enter gave, without a try.
func (g *gate) retreat() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.probing = false
}

// leave takes the outcome of a try, and reports whether the gate has just opened.
func (g *gate) leave(ok bool) (opened bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.probing = false
	if ok {
		opened, g.pause = g.pause > 0, 0
		return opened
	}
	if time.Now().Before(g.until) {
		return false // one of those that were under way when the first one failed
	}
	g.pause = min(max(2*g.pause, firstPause), lastPause)
	g.until = time.Now().Add(g.pause)
	return false
}
