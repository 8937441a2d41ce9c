// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"maps"
	"time"

	engines "github.com/coldtrace/coldtrace/engine"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/container"
	"github.com/coldtrace/coldtrace/wrapper/process"
)

// answersAt takes where the server that was started last will answer. The caller holds mu.
func (o *observer) answersAt(own []engines.Address) {
	if len(own) > 0 {
		o.own = own
		o.hurry()
	}
}

// asks are the addresses to ask, the given one first. The caller holds mu.
func (o *observer) asks() []engines.Address {
	switch {
	case o.cfg.role != startup.RoleServer:
		return nil
	case o.given == engines.Address{}:
		return o.own
	}
	return append([]engines.Address{o.given}, o.own...)
}

// health asks until the story is told.
func (o *observer) health(ctx context.Context) {
	var (
		probers = map[engines.Address]*prober{}
		began   = time.Now()
		since   time.Time // the log has said that the engine is initialised
	)
	for {
		o.mu.Lock()
		asks := o.asks()
		engine, server := o.story.Heard()
		o.mu.Unlock()
		initialised, logged := !engine.IsZero(), !server.IsZero()
		if initialised && since.IsZero() {
			since = time.Now()
		}
		for _, a := range asks {
			if probers[a] == nil {
				probers[a] = newProber(a)
			}
		}
		switch got := o.asked(ctx, asks, probers); {
		case got.healthy:
			now := o.clock.now()
			unseen := ""
			if got.owner == process.Unknown {
				unseen = container.Sockets
			}
			o.do(func(s *container.Story) { s.Answered(now, unseen) })
		case logged && (len(asks) == 0 || time.Since(since) > logFallback):
			o.do(func(s *container.Story) {
				if _, t := s.Heard(); !t.IsZero() && o.cfg.role == startup.RoleServer {
					s.Ready(t)
				}
			})
		}
		wait := pace(time.Since(began), time.Since(since), initialised)
		if len(asks) == 0 {
			wait = logFallback // whatever there is to ask, or to hear, hurries
		}
		t := time.NewTimer(wait)
		select {
		case <-o.over:
			t.Stop()
			return
		case <-o.urgent:
			t.Stop()
		case <-t.C:
		}
	}
}

// asked asks at the given address; where somebody else answers there, such as a sidecar for the whole pod, or a secret is asked
// for, where the command line says.
func (o *observer) asked(ctx context.Context, asks []engines.Address, probers map[engines.Address]*prober) (got answer) {
	if !o.counts(process.Ours) {
		return got // nobody's answer would count: the engine says that it is not up
	}
	for _, a := range asks {
		got = probers[a].ask(ctx, o.processes, o.counts)
		if got.healthy || a == o.given && got.owner != process.Others && !got.denied {
			break
		}
	}
	return got
}

// processes are the command's now.
func (o *observer) processes() map[int]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.tree)
}

// counts tells whether the answer of that socket's owner would count now. If not, there is no question: each leaves a line in
// the server's access log.
func (o *observer) counts(owner process.Owner) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return owner != process.Others && o.story.MayAnswer()
}

// logFallback is how long the log's word waits for health's: a server may listen where we cannot ask.
const logFallback = 10 * time.Second
