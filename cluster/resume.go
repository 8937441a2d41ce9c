// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/coldtrace/coldtrace/podlog"
	"github.com/coldtrace/coldtrace/startup/container"
)

// Progress is how far logs were read. Its zero value is of none.
type Progress struct {
	mu       sync.Mutex
	readings map[string]*reading
}

// reading is how far a log was read.
type reading struct {
	podlog.Reading
	skew  time.Duration
	bytes int64
	spent bool // its story was told as far as it went, since the log could not be read on
}

// reading is where to go on in the log of a run: at its begin, unless it was read of.
func (p *Progress) reading(t *podlog.Target, run container.Run, previous bool, skew time.Duration) *reading {
	g := &reading{skew: skew}
	if p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		key := fmt.Sprintf("%s/%s/%s/%s/%d/%v", t.Namespace, t.Pod, t.Container, run.At, run.Attempt, previous)
		if known := p.readings[key]; known != nil && !known.spent && known.skew == skew && known.Log.Fits(run) {
			g = known
		}
		if p.readings == nil {
			p.readings = map[string]*reading{}
		}
		p.readings[key] = g
	}
	g.Begin(run)
	return g
}

// read reads on, no more than MaxLogBytes in all.
func (g *reading) read(ctx context.Context, t *podlog.Target, r *Reader, of podlog.Request) (podlog.Answer, error) {
	if g.Log.Done() {
		return podlog.Answer{}, nil
	}
	if of.MaxBytes = r.MaxLogBytes; of.MaxBytes > 0 {
		if of.MaxBytes -= g.bytes; of.MaxBytes <= 0 {
			return podlog.Answer{Cut: true}, nil
		}
	}
	answer, err := g.On(ctx, r.Client, t, of)
	g.bytes += answer.Bytes
	return answer, err //nolint:wrapcheck // told by what it is, see unread
}
