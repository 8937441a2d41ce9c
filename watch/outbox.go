// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
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

// outbox gathers measurements, so that a burst of starts becomes one request.
type outbox struct {
	to      Exporter
	mu      sync.Mutex
	waiting []startup.Measurement
}

func (o *outbox) add(w *Watcher, p *parcel) {
	for _, s := range p.spans {
		o.measure(w, startup.Measurements(p.subject, s))
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

func (o *outbox) run(ctx context.Context, w *Watcher) {
	ticker := w.cfg.Clock.NewTicker(outboxInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
			o.flush(ctx, w)
		}
	}
}

func (o *outbox) flush(ctx context.Context, w *Watcher) {
	o.mu.Lock()
	ms := o.waiting
	o.waiting = nil
	o.mu.Unlock()
	if len(ms) == 0 {
		return
	}
	// The end of the term does not cut it off: the receiver may have taken it all the same, and would take it twice.
	err := o.to.ExportMeasurements(context.WithoutCancel(ctx), ms)
	switch {
	case err == nil:
		w.metrics.measurements.WithLabelValues("exported").Add(float64(len(ms)))
	case otlp.Permanent(err):
		w.cfg.Log.Error(err, "The receiver refused measurements for good; dropping them.", "measurements", len(ms))
		w.metrics.measurements.WithLabelValues("refused").Add(float64(len(ms)))
	default:
		w.metrics.retries.Inc()
		o.mu.Lock()
		o.waiting = append(ms, o.waiting...)
		o.mu.Unlock()
	}
}
