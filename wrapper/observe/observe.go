// SPDX-License-Identifier: Apache-2.0

// Package observe is the process beside the wrapped command that watches its start and tells it: it reads copies of the
// command's output, looks at its processes and asks for its health, and sends what it found as spans and metrics. It
// ends when the start is told.
package observe

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"golang.org/x/sys/unix"

	engines "github.com/coldtrace/coldtrace/engine"
	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/otlp"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/container"
	"github.com/coldtrace/coldtrace/wrapper/attempt"
	"github.com/coldtrace/coldtrace/wrapper/process"
	"github.com/coldtrace/coldtrace/wrapper/supervise"
)

// observer is the shell around a story: it feeds it from processes, output, health and the wrapper.
type observer struct {
	cfg    config
	start  supervise.Start
	clock  clock
	began  time.Time // the wrapper's start, by that clock
	queue  *otlp.Queue
	urgent chan struct{} // health should be asked now; capacity 1
	over   chan struct{} // closed when the story is told
	ended  chan struct{} // closed when the wrapper has ended, or is about to

	outputs []*output
	reading sync.WaitGroup // of outputs

	mu    sync.Mutex
	story *container.Story
	given engines.Address   // where the server is to be asked; empty: nobody said so
	own   []engines.Address // where it will answer, by its command line
	ranOn bool              // the command did, after its start was told
	tree  map[int]bool      // the command's processes, by PID; nil: they cannot be seen
	live  *live
}

// Run observes until the start is told and returns the exit code, which nobody minds.
func Run(version string) int {
	// Bounds what a burst of output can make the collector keep around.
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(24 << 20)
	// Signals are for the command. This process ends when the wrapper does.
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE)

	_ = unix.SetNonblock(supervise.ControlFD, true) // or a thread would block in it
	control := bufio.NewReader(os.NewFile(supervise.ControlFD, "control"))
	var start supervise.Start
	line, err := control.ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &start) != nil {
		return 1
	}
	cfg := fromEnv()
	if cfg.subject.GPUType == "" {
		cfg.subject.GPUType = start.GPUType
	}
	exporter, err := otlp.NewExporter(context.Background(), otlp.ExporterConfig{
		Version: version, Service: startup.ServiceWrapper, ClusterName: cfg.subject.ClusterName,
	})
	if err != nil {
		return 1
	}
	o := &observer{
		cfg: cfg, start: start, tree: map[int]bool{}, urgent: make(chan struct{}, 1), over: make(chan struct{}), ended: make(chan struct{}),
	}
	o.clock, o.began = newClock(start.Wrapper, time.Now())
	o.live = newLive(cfg.statusFile, o.began)
	o.queue = otlp.NewQueue(exporter, o.live.drop)
	o.observe(control)
	return o.drain()
}

// drain stays until the receiver has everything, or for a while after the wrapper's end.
func (o *observer) drain() int {
	late, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	go func() {
		select {
		case <-o.ended:
			cancel()
		case <-late.Done():
		}
	}()
	_ = o.queue.Wait(late) // what is left is said below
	ctx, stop := context.WithTimeout(context.Background(), o.patience())
	defer stop()
	left := o.queue.Close(ctx)
	o.live.close()
	if o.cfg.startupz != "" {
		// Somebody asks as long as the container lives: a kubelet that was restarted probes again.
		debug.FreeOSMemory()
		<-o.ended
	}
	if left != nil {
		return 1
	}
	return 0
}

// patience is how long the command's end may wait for what the receiver has not taken. That of a server which was ready, and
// whose start it has had time to take since, waits a tenth: a receiver that is away is no reason to hold up a scale-down.
func (o *observer) patience() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ranOn {
		return o.cfg.flush / 10
	}
	return o.cfg.flush
}

// drainTimeout bounds how long telemetry is kept after a start for a collector that is not there. After a failed start
// the wrapper waits less for us, see its flush time-out.
const drainTimeout = 15 * time.Minute

// settleEvery is how often the story is asked what has not changed for a while.
const settleEvery = 2 * time.Second

func (o *observer) observe(control *bufio.Reader) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var named *recipe.Recipe
	if o.cfg.engine != "" {
		named = recipe.ByName(o.cfg.engine)
	}
	n := attempt.Count(attempt.Dir, o.cfg.subject.PodUID, o.cfg.subject.Container)
	o.story = container.New(container.Begin{At: o.began, Role: o.cfg.role, Attempt: n, Engine: named}, o.tell)
	o.story.Measure = o.measure
	if a, err := engines.ParseAddress(o.cfg.healthURL); err == nil { // else by the command line
		o.given = a
	}
	o.openOutputs()
	go o.watch(ctx)
	go o.control(control)
	go o.health(ctx)
	if o.cfg.startupz != "" {
		go o.live.serve(o.cfg.startupz)
	}
	timeout := time.NewTimer(o.cfg.timeout - time.Since(o.began))
	defer timeout.Stop()
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for {
		select {
		case <-o.over:
			o.forget()
			return
		case now := <-tick.C:
			o.do(func(s *container.Story) { s.Settle(o.clock.at(now)) })
		case now := <-timeout.C:
			o.do(func(s *container.Story) { s.End(o.clock.at(now), nil, startup.ReasonTimedOut) })
		}
	}
}

// forget gives back what observing took. What is left to do is to send what was told, which may take minutes.
func (o *observer) forget() {
	o.closeOutputs()
	o.mu.Lock()
	o.story = o.story.Forgotten()
	o.mu.Unlock()
	debug.FreeOSMemory()
}

// do changes the story and looks whether it is told.
func (o *observer) do(f func(*container.Story)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(o.story)
	o.live.update(o.story.State())
	if o.story.Done() {
		o.closeOver()
	}
}

// tell queues finished phases, or parts of a phase that is not finished. The start as a whole comes last: it says what was lost before.
func (o *observer) tell(spans []startup.Span) {
	for i := range spans {
		if n := o.live.dropped(); n > 0 && spans[i].Name == startup.SpanStartup {
			spans[i].Attributes = append(slices.Clip(spans[i].Attributes), attribute.Int(startup.AttrTelemetryDropped, n))
		}
	}
	o.queue.Spans(o.cfg.subject, spans...)
}

// measure queues the values of finished phases.
func (o *observer) measure(spans []startup.Span) {
	var ms []startup.Measurement
	for _, sp := range spans {
		ms = append(ms, startup.Measurements(o.cfg.subject, sp)...)
	}
	o.queue.Measurements(ms...)
}

func (o *observer) lines(each func(func([]byte, time.Time))) {
	o.mu.Lock()
	before := o.milestones()
	each(func(line []byte, at time.Time) { o.story.Line(at, line) })
	after := o.milestones()
	if o.story.Done() {
		o.closeOver()
	}
	if before != after {
		o.live.update(o.story.State())
	}
	o.mu.Unlock()
	if before != after {
		o.hurry()
	}
}

// closeOver ends observation, once. The caller holds mu.
func (o *observer) closeOver() {
	if !o.done() {
		close(o.over)
		o.hasten()
	}
}

// milestones counts what should make health be asked. The caller holds mu.
func (o *observer) milestones() (n int) {
	initialised, ready := o.story.Heard()
	if !initialised.IsZero() {
		n++
	}
	if !ready.IsZero() {
		n++
	}
	return n
}

func (o *observer) hurry() {
	select {
	case o.urgent <- struct{}{}:
	default:
	}
}

// watch follows the command's processes. Without /proc the command's own arguments must do.
func (o *observer) watch(ctx context.Context) {
	w := process.New(o.start.PID, os.Getppid())
	w.Guard, w.Clock = &o.mu, o.clock.now
	w.Became = func(p *process.Process) {
		if p.PID == os.Getpid() {
			return
		}
		addresses := addressesOf(p.Argv, p.PID)
		o.do(func(s *container.Story) { o.tree[p.PID] = true; s.Became(&p.Process); o.answersAt(addresses) })
	}
	w.Ended = func(p *process.Process) {
		o.do(func(s *container.Story) { delete(o.tree, p.PID); s.Exited(&p.Process) })
	}
	if err := w.Run(ctx); err != nil {
		o.do(func(s *container.Story) {
			o.tree = nil
			s.Unobserved(o.start.Argv, o.began.Add(o.start.Command.Sub(o.start.Wrapper)))
			o.answersAt(addressesOf(o.start.Argv, os.Getpid()))
		})
	}
}

// control takes what the wrapper knows: signals and the command's end. Its own end is ours.
func (o *observer) control(from *bufio.Reader) {
	defer close(o.ended)
	for {
		line, err := from.ReadBytes('\n')
		var n supervise.Note
		if json.Unmarshal(line, &n) == nil {
			o.note(n)
		}
		if err != nil {
			// Without a word the wrapper was killed, and so is its container.
			o.do(func(s *container.Story) { s.End(o.clock.now(), nil, "killed") })
			return
		}
	}
}

func (o *observer) note(n supervise.Note) {
	// The wrapper counts from its start, too, and not with a clock that may have been set.
	n.At = o.began.Add(n.At.Sub(o.start.Wrapper))
	if n.Exit != nil || n.Killed != 0 {
		o.mu.Lock()
		o.ranOn = o.story.Done()
		o.mu.Unlock()
		o.hasten()
		o.reading.Wait() // the wrapper has closed both
	}
	switch {
	case n.Exit != nil:
		o.do(func(s *container.Story) { s.End(n.At, &recipe.Exit{Code: *n.Exit}, "") })
	case n.Killed != 0:
		o.do(func(s *container.Story) { s.End(n.At, &recipe.Exit{Signal: n.Killed}, "") })
	case n.Signal != 0:
		o.do(func(s *container.Story) { s.Interrupted(n.At, n.Signal) })
	}
}
