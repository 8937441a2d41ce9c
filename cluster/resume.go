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
	log   *container.Log
	skew  time.Duration
	place podlog.Place
	bytes int64
	spent bool // its story was told as far as it went, since the log could not be read on
}

// stampLength is that of what stands before and behind a line.
const stampLength = int64(len("2006-01-02T15:04:05.000000000Z \n"))

// reading is where to go on in the log of a run: at its begin, unless it was read of.
func (p *Progress) reading(t *podlog.Target, run container.Run, previous bool, skew time.Duration) *reading {
	fresh := &reading{log: container.NewLog(run), skew: skew}
	if p == nil {
		return fresh
	}
	key := fmt.Sprintf("%s/%s/%s/%s/%d/%v", t.Namespace, t.Pod, t.Container, run.At, run.Attempt, previous)
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.readings[key]
	if known != nil && !known.spent && known.skew == skew && known.log.Fits(run) {
		known.log.Over(run)
		return known
	}
	if p.readings == nil {
		p.readings = map[string]*reading{}
	}
	p.readings[key] = fresh
	return fresh
}

// read reads on, no more than MaxLogBytes in all.
func (g *reading) read(ctx context.Context, t *podlog.Target, r *Reader, of podlog.Request) (podlog.Answer, error) {
	if g.log.Done() {
		return podlog.Answer{}, nil
	}
	if of.MaxBytes = r.MaxLogBytes; of.MaxBytes > 0 {
		if of.MaxBytes -= g.bytes; of.MaxBytes <= 0 {
			return podlog.Answer{Cut: true}, nil
		}
	}
	of.After = g.place
	answer, err := t.Read(ctx, r.Client, of, func(at time.Time, text []byte) bool {
		g.bytes += stampLength + int64(len(text))
		return g.log.Line(at, text)
	})
	g.place = answer.Place
	return answer, err //nolint:wrapcheck // told by what it is, see unread
}
