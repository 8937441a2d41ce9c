// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"hash/fnv"
	"slices"
	"time"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// keyHash stands for a span's key, of which one pod has few.
type keyHash uint32

func hashKey(key string) keyHash {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return keyHash(h.Sum32())
}

// ledger is what has become of a start's spans.
type ledger struct {
	delivered []keyHash // the receiver accepted them
	settling  []settling
	saved     pod.Witness // what the last checkpoint holds of this process's own clock
}

// settling is a span that waits for events, and since when.
type settling struct {
	key   keyHash
	since time.Time
}

func (l *ledger) isDelivered(k keyHash) bool { return slices.Contains(l.delivered, k) }

// settled tells whether a span has waited long enough for better edges, and if not, how long it still has to.
func (l *ledger) settled(k keyHash, now time.Time) (time.Duration, bool) {
	i := slices.IndexFunc(l.settling, func(x settling) bool { return x.key == k })
	if i < 0 {
		l.settling = append(l.settling, settling{k, now})
		return settle, false
	}
	left := settle - now.Sub(l.settling[i].since)
	return left, left <= 0
}

// choice is what to send of a start now.
type choice struct {
	spans []startup.Span
	whole bool          // it includes all that was left of the start, which is over
	again time.Duration // when there is more to send if nothing happens before; 0: never
	note  bool          // something has to be in the checkpoint before it can be sent
}

// choose decides what of a start can be sent: what has ended, will not get any better and was not sent before; and, of what
// goes on, that it does. While something is unheard of what happened inside, the root waits.
func (l *ledger) choose(t pod.Timeline, witnessed pod.Witness, unheard bool, now time.Time) choice {
	over := t.Outcome != pod.Open
	c := choice{whole: over && !unheard}
	for i := len(t.Spans) - 1; i >= 0; i-- { // the root is the first, and goes last
		span := &t.Spans[i]
		key := hashKey(span.Key)
		if span.Open || i == 0 && !c.whole || l.isDelivered(key) {
			continue
		}
		if span.Witnessed && witnessed != l.saved {
			// A time of this process's own must be in the checkpoint before anybody is told: after a crash nothing else
			// could tell it the same way again. The checkpoint puts the start into the queue.
			c.whole, c.note = false, true
			continue
		}
		if !span.Exact {
			if left, ok := l.settled(key, now); !ok {
				c.whole, c.again = false, max(c.again, left)
				continue
			}
		}
		c.spans = append(c.spans, span.Span)
	}
	if over {
		return c
	}
	open, next := t.InProgress(now)
	for _, s := range open {
		if !l.isDelivered(hashKey(s.Key)) {
			c.spans = append(c.spans, s)
		}
	}
	if c.again == 0 || next > 0 && next < c.again {
		c.again = next
	}
	return c
}
