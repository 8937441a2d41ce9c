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

// asker asks the server whether it is ready.
type asker struct {
	*observer
	probers map[engines.Address]*prober
	began   time.Time
	since   time.Time // the log has said that the engine is initialised
}

// health asks until the story is told.
func (o *observer) health(ctx context.Context) {
	a := asker{observer: o, probers: map[engines.Address]*prober{}, began: time.Now()}
	for o.rest(a.turn(ctx)) {
	}
}

// rest waits, less if there is a hurry. False: the story is told.
func (o *observer) rest(wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-o.over:
		return false
	case <-o.urgent:
	case <-t.C:
	}
	return true
}

// turn asks once, tells the story what that brought, and says how long to wait before the next.
func (a *asker) turn(ctx context.Context) time.Duration {
	a.mu.Lock()
	asks := a.asks()
	engine, server := a.story.Heard()
	a.mu.Unlock()
	if !engine.IsZero() && a.since.IsZero() {
		a.since = time.Now()
	}
	switch got := a.ask(ctx, asks); {
	case got.healthy:
		a.answered(got.owner)
	case !server.IsZero() && (len(asks) == 0 || time.Since(a.since) > logFallback):
		a.ready()
	}
	if len(asks) == 0 {
		return logFallback // whatever there is to ask, or to hear, hurries
	}
	return pace(time.Since(a.began), time.Since(a.since), !engine.IsZero())
}

// ask asks at the given address; where somebody else answers there, such as a sidecar for the whole pod, or a secret is asked
// for, where the command line says.
func (a *asker) ask(ctx context.Context, asks []engines.Address) (got answer) {
	if !a.counts(process.Ours) {
		return got // nobody's answer would count: the engine says that it is not up
	}
	for _, at := range asks {
		if a.probers[at] == nil {
			a.probers[at] = newProber(at)
		}
		got = a.probers[at].ask(ctx, a.processes, a.counts)
		if got.healthy || at == a.given && got.owner != process.Others && !got.denied {
			break
		}
	}
	return got
}

// answered tells the story of a good answer.
func (o *observer) answered(owner process.Owner) {
	now := o.clock.now()
	unseen := ""
	if owner == process.Unknown {
		unseen = container.Sockets
	}
	o.do(func(s *container.Story) { s.Answered(now, unseen) })
}

// ready takes the log's word for it.
func (o *observer) ready() {
	o.do(func(s *container.Story) {
		if _, t := s.Heard(); !t.IsZero() && o.cfg.role == startup.RoleServer {
			s.Ready(t)
		}
	})
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
