// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// Bounds of a Queue.
const (
	QueueCapacity = 4000      // spans and measurements together
	maxAge        = time.Hour // of a batch that nobody takes

	firstRetry = 400 * time.Millisecond
	lastRetry  = 20 * time.Second

	maxRetryAfter = time.Minute // what a receiver may ask for
)

// errBadBatch is one whose export panicked.
var errBadBatch = errors.New("bad batch")

// Queue exports in the background and in order, so that nobody waits for a collector. A batch that failed goes to the
// end of the line and is tried again until the receiver takes it, calls it bad, or it is too old. What does not fit is
// dropped. All methods are safe for concurrent use.
type Queue struct {
	exporter *Exporter
	dropped  func(items int)
	wake     chan struct{} // capacity 1
	stop     context.CancelFunc
	done     chan struct{}

	mu       sync.Mutex
	batches  []batch
	size     int           // spans and measurements in batches and in flight
	flushers int           // while positive, retries come quickly
	idle     chan struct{} // closed when size becomes 0; nil: nobody waits
	closed   bool
}

type batch struct {
	subject  startup.Subject
	spans    []startup.Span
	measures []startup.Measurement
	since    time.Time
}

func (b batch) items() int { return len(b.spans) + len(b.measures) }

// NewQueue starts a queue before an exporter. Close ends it; the exporter stays the caller's. dropped is called for each batch that
// is given up, with the number of its items. It must not wait for anything.
func NewQueue(e *Exporter, dropped func(items int)) *Queue {
	ctx, cancel := context.WithCancel(context.Background())
	q := &Queue{exporter: e, dropped: dropped, wake: make(chan struct{}, 1), stop: cancel, done: make(chan struct{})}
	go q.work(ctx)
	return q
}

// Spans queues spans of one subject and reports whether they fit.
func (q *Queue) Spans(subject startup.Subject, spans ...startup.Span) bool {
	return q.put(batch{subject: subject, spans: spans, since: time.Now()})
}

// Measurements queues measurements and reports whether they fit.
func (q *Queue) Measurements(ms ...startup.Measurement) bool {
	return q.put(batch{measures: ms, since: time.Now()})
}

// Len is the number of spans and measurements that wait or are in flight.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.size
}

func (q *Queue) put(b batch) bool {
	n := b.items()
	if n == 0 {
		return true
	}
	q.mu.Lock()
	full := q.closed || q.size+n > QueueCapacity
	if !full {
		q.batches = append(q.batches, b)
		q.size += n
	}
	q.mu.Unlock()
	if full {
		q.dropped(n)
		return false
	}
	q.nudge()
	return true
}

func (q *Queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Flush waits until nothing is left or ctx ends; meanwhile failed batches are tried again quickly.
func (q *Queue) Flush(ctx context.Context) error {
	q.mu.Lock()
	q.flushers++
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		q.flushers--
		q.mu.Unlock()
	}()
	q.nudge()
	return q.Wait(ctx)
}

// Wait waits until nothing is left or ctx ends, at the queue's own pace.
func (q *Queue) Wait(ctx context.Context) error {
	q.mu.Lock()
	if q.size == 0 {
		q.mu.Unlock()
		return nil
	}
	if q.idle == nil {
		q.idle = make(chan struct{})
	}
	idle := q.idle
	q.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("flush the export queue: %d spans and measurements left: %w", q.Len(), ctx.Err())
	}
}

// Close flushes until ctx ends, drops the rest and ends the worker.
func (q *Queue) Close(ctx context.Context) error {
	err := q.Flush(ctx)
	q.mu.Lock()
	q.closed = true
	left := q.size
	q.batches, q.size = nil, 0
	q.mu.Unlock()
	q.stop()
	<-q.done
	if left > 0 {
		q.dropped(left)
	}
	return err
}

// work exports batch after batch. Between a failure and the next attempt lies a pause that doubles up to lastRetry.
func (q *Queue) work(ctx context.Context) {
	defer close(q.done)
	pause := time.Duration(0)
	for {
		b, ok := q.take()
		if !ok {
			select {
			case <-q.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		err := q.export(ctx, b)
		switch {
		case err == nil:
			pause = 0
			q.finish(b, false)
			continue
		case Permanent(err) || time.Since(b.since) > maxAge:
			q.finish(b, true)
			continue
		}
		q.putBack(b)
		pause = longer(pause)
		if !q.sleep(ctx, pause, min(pauseAsked(err), maxRetryAfter)) {
			return
		}
	}
}

// longer is the pause after one more failure.
func longer(pause time.Duration) time.Duration { return min(max(2*pause, firstRetry), lastRetry) }

// export turns a panic into an error, so that no batch ends the worker.
func (q *Queue) export(ctx context.Context, b batch) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("export panicked: %v: %w", r, errBadBatch)
		}
	}()
	if len(b.spans) > 0 {
		return q.exporter.ExportSpans(ctx, b.subject, b.spans)
	}
	return q.exporter.ExportMeasurements(ctx, b.measures)
}

func (q *Queue) take() (b batch, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.batches) > 0 {
		b, ok = q.batches[0], true
		q.batches = slices.Delete(q.batches, 0, 1)
	}
	return b, ok
}

func (q *Queue) putBack(b batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.batches = append(q.batches, b)
	}
}

func (q *Queue) finish(b batch, drop bool) {
	q.mu.Lock()
	drop = drop && !q.closed // Close has told of it
	if !q.closed {
		q.size -= b.items()
	}
	if q.size == 0 && q.idle != nil {
		close(q.idle)
		q.idle = nil
	}
	q.mu.Unlock()
	if drop {
		q.dropped(b.items())
	}
}

// sleep waits d with jitter, less while somebody waits in Flush, but never less than the receiver asked for. It reports
// whether the queue goes on.
func (q *Queue) sleep(ctx context.Context, d, asked time.Duration) bool {
	now := time.Now()
	end := now.Add(max(asked, d/2+rand.N(d/2+1))) //nolint:gosec // jitter is no secret
	for {
		q.mu.Lock()
		hurry := q.flushers > 0
		q.mu.Unlock()
		left := time.Until(end)
		if hurry {
			left = max(min(left, firstRetry/2), time.Until(now.Add(asked)))
		}
		if left <= 0 {
			return true
		}
		t := time.NewTimer(left)
		select {
		case <-ctx.Done():
			t.Stop()
			return false
		case <-t.C:
			return true
		case <-q.wake: // new work, or somebody flushes: look again
			t.Stop()
		}
	}
}
