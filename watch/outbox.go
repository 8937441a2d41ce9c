// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/coldtrace/coldtrace/otlp"
	"github.com/coldtrace/coldtrace/startup"
)

// Bounds of the outbox.
const (
	outboxInterval = 2 * time.Second
	maxOutbox      = 20000
)

// outbox gathers measurements, so that a burst of starts becomes one request. They go once a checkpoint has what they are of, and none
// is sent twice.
type outbox struct {
	to      Exporter
	mu      sync.Mutex
	waiting []startup.Measurement
	gone    int // how many there were before those
	saved   int // how many of all a checkpoint knows of
	known   chan struct{}
	refused bool // the receiver did not take the last ones
}

func newOutbox(to Exporter) outbox { return outbox{to: to, known: make(chan struct{}, 1)} }

// end is how many there were in all.
func (o *outbox) end() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.gone + len(o.waiting)
}

// keep takes that a checkpoint knows of so many, which go at once: the next leader will not tell them.
func (o *outbox) keep(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.saved = n
	select {
	case o.known <- struct{}{}:
	default:
	}
}

func (o *outbox) measure(w *Watcher, ms []startup.Measurement) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting)+len(ms) > maxOutbox {
		w.metrics.measurements.WithLabelValues("dropped").Add(float64(len(ms)))
		return
	}
	o.waiting = append(o.waiting, ms...)
}

func (o *outbox) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting)
}

// stuck tells that the receiver takes no values: what is told now waits in memory, and ends with the process.
func (o *outbox) stuck() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.refused
}

func (o *outbox) run(ctx context.Context, w *Watcher) {
	ticker := w.cfg.Clock.NewTicker(outboxInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.known:
		case <-ticker.C(): // what the receiver did not take
		}
		o.flush(ctx, w)
	}
}

func (o *outbox) flush(ctx context.Context, w *Watcher) {
	o.mu.Lock()
	n := o.saved - o.gone
	ms := slices.Clone(o.waiting[:n])
	o.waiting, o.gone = slices.Delete(o.waiting, 0, n), o.saved
	o.mu.Unlock()
	if len(ms) == 0 {
		return
	}
	// The end of the term does not cut it off: the receiver may have taken it all the same, and would take it twice.
	err := o.to.ExportMeasurements(context.WithoutCancel(ctx), ms)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refused = err != nil && !otlp.Permanent(err)
	switch {
	case err == nil:
		w.metrics.measurements.WithLabelValues("exported").Add(float64(len(ms)))
	case otlp.Permanent(err):
		w.cfg.Log.Error(err, "The receiver refused measurements for good; dropping them.", "measurements", len(ms))
		w.metrics.measurements.WithLabelValues("refused").Add(float64(len(ms)))
	default:
		w.metrics.retries.Inc()
		o.waiting, o.gone = append(ms, o.waiting...), o.gone-n
	}
}
