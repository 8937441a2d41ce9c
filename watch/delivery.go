// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/otlp"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// work exports what has completed, one start at a time.
func (w *Watcher) work(ctx context.Context) {
	for {
		id, shutdown := w.queue.Get()
		if shutdown {
			return
		}
		if again := w.deliver(ctx, id); again > 0 {
			w.queue.AddAfter(id, again)
		}
		w.queue.Done(id)
	}
}

// parcel is what one export carries.
type parcel struct {
	choice
	subject  startup.Subject
	timeline pod.Timeline // that they are of
	inside   bool         // they tell what happened inside
	compared bool         // and the wrapper tells it, too
	accepted bool         // by the receiver
}

// deliver exports what is complete of one start. It returns after how long there is more to look at, 0 for when there is news.
func (w *Watcher) deliver(ctx context.Context, id types.UID) time.Duration {
	if strings.HasPrefix(string(id), groupItem) {
		return w.tellGroup(id)
	}
	shed := w.begun(id)
	if shed { // what was shed for want of memory stays out of it while the receiver is away
		if wait, ok := w.gate.enter(); !ok {
			return wait
		}
	}
	err := w.prepare(ctx, id)
	var (
		p     *parcel
		again = time.Second
	)
	if err == nil {
		p, again = w.pick(id)
	} else {
		w.cfg.Log.Error(err, "A start could not be looked up; trying again.", "uid", id)
	}
	if p == nil {
		if shed {
			w.gate.retreat()
		}
		return again
	}
	defer w.unpick(id)
	if !shed {
		if wait, ok := w.gate.enter(); !ok {
			return wait
		}
	}
	if !w.export(ctx, id, p) {
		return firstPause // the gate knows better by then
	}
	w.delivered(id, p)
	return again
}

// export makes one attempt, and reports whether the spans are done with.
func (w *Watcher) export(ctx context.Context, id types.UID, p *parcel) bool {
	to := w.cfg.Exporter
	if p.inside {
		to = w.cfg.Inside
	}
	err := to.ExportSpans(context.WithoutCancel(ctx), p.subject, p.spans)
	if w.gate.leave(err == nil || otlp.Permanent(err)) {
		w.lookAtAll()
	}
	switch {
	case err == nil:
		w.metrics.exported(p, w.cfg.Clock.Now(), w.began)
		p.accepted = true
	case otlp.Permanent(err):
		// No repetition can help, and the start must not be held for ever.
		w.cfg.Log.Error(err, "The receiver refused spans for good; dropping them.", "uid", id, "spans", len(p.spans))
		w.metrics.spans.WithLabelValues("refused").Add(float64(len(p.spans)))
	default:
		w.metrics.retries.Inc()
		return false
	}
	return true
}

// delivered marks what the receiver has accepted, and measures it: a checkpoint has both or neither.
func (w *Watcher) delivered(id types.UID, p *parcel) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.accepted && !p.compared {
		box := &w.outbox
		if p.inside {
			box = &w.inbox
		}
		for i := range p.spans {
			box.measure(w, startup.Measurements(p.subject, p.spans[i]))
		}
	}
	s := w.starts[id]
	if s == nil {
		return
	}
	w.dirty = true
	w.notify(s, p)
	if p.whole {
		w.metrics.seenInside(s, &p.timeline)
		w.remember(id, s)
		w.finish(id, s)
		return
	}
	for i := range p.spans {
		s.delivered = append(s.delivered, hashKey(p.spans[i].Key))
	}
}

// unpick lets go of what pick gave.
func (w *Watcher) unpick(id types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.starts[id]; s != nil {
		s.picked = false
	}
}

// lookAtAll is for when the receiver is back: nobody should wait out a pause.
func (w *Watcher) lookAtAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.starts {
		w.queue.Add(id)
	}
}

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
