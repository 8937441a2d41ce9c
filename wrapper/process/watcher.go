// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coldtrace/coldtrace/startup/container"
	"github.com/coldtrace/coldtrace/wrapper/rawsys"
)

// How often is looked. A start is read from /proc and an end is told by a pidfd, whenever that is; a tick bounds how late
// is seen that a process has become another program. Each look costs one read of 30 bytes, and a listing only if
// somebody was born.
const (
	tick      = 50 * time.Millisecond
	quietTick = 100 * time.Millisecond // while nobody is young, a shell or watched
	soonTick  = 10 * time.Millisecond  // after an end: a shell becomes its last command right after the one before it
	youngFor  = 500 * time.Millisecond // a process that young may be about to exec
	laterLook = time.Second            // how often an older one is asked whether it has become another,
	laterMany = 20                     // and less often by as many times as there are so many
	maxFiles  = 64                     // of as many processes files are held open, and of as many the counters
)

// Process is one descendant.
type Process struct {
	container.Process

	seen    time.Time
	comm    string
	ticks   uint64
	stack   uint64
	checked time.Time
	shell   bool
	present bool

	pidfd, statfd, iofd int // negative: not open
}

// Watcher watches the descendants of one process, itself included.
type Watcher struct {
	// Became is called when a descendant is first seen and when it has become another program; Ended when it has ended.
	// Both are called by Run.
	Became func(*Process)
	Ended  func(*Process)
	// Guard is held while a Process that was handed out changes: whoever reads one outside of the two calls holds it as
	// well.
	Guard sync.Locker
	// Clock tells the time of what is seen. It is time.Now unless it is set before Run.
	Clock func() time.Time

	root    string
	top     int // the process
	reaper  int // who inherits orphans
	procs   map[int]*Process
	unborn  []int        // numbers that were given, but to nobody who could be seen yet
	quiet   bool         // nobody is looked at more often than once a second
	last    int          // the number given last; negative: everybody is to be listed
	loadavg int          // an open file, or negative
	iofds   int          // open files of counters
	poll    *rawsys.Poll // for the ends of processes, and the next look
	buf     []byte
	dirents []byte
}

// New makes a watcher of a process and its descendants. Orphans among them are children of reaper, a process that is
// not reported itself.
func New(pid, reaper int) *Watcher {
	return &Watcher{
		Guard: &sync.Mutex{}, Clock: time.Now, root: "/proc", top: pid, reaper: reaper, loadavg: -1,
		procs: map[int]*Process{}, last: -1,
		buf: make([]byte, 16<<10), dirents: make([]byte, 8<<10),
	}
}

// Run watches until ctx ends. It returns an error at once if there is no /proc to look into, or the process can't be
// seen in it.
func (w *Watcher) Run(ctx context.Context) error {
	defer w.close()
	if err := w.visible(); err != nil {
		return err
	}
	var err error
	if w.poll, err = rawsys.NewPoll(); err != nil {
		return fmt.Errorf("wait for processes: %w", err)
	}
	if err := w.look(w.Clock()); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, w.poll.Stop)()
	for w.sleep() {
		if err := w.look(w.Clock()); err != nil {
			return err
		}
	}
	return nil
}

// visible returns an error where watching would see nothing, or the processes of others: no /proc, one of another PID
// namespace, one that hides the processes of other users.
func (w *Watcher) visible() error {
	self := w.root + "/self"
	buf := make([]byte, 16)
	n, err := unix.Readlink(self, buf)
	if err != nil {
		return &os.PathError{Op: "readlink", Path: self, Err: err}
	}
	if pid := string(buf[:n]); pid != strconv.Itoa(os.Getpid()) {
		return fmt.Errorf("find processes: %s knows this process as %s, it is %d: another PID namespace", w.root, pid, os.Getpid())
	}
	err = unix.Access(w.path(w.top, "/stat"), unix.R_OK)
	if err != nil && unix.Kill(w.top, 0) != unix.ESRCH { // it may have ended already
		return fmt.Errorf("find process %d: %w", w.top, err)
	}
	return nil
}

func (w *Watcher) close() {
	rawsys.Close(&w.loadavg)
	for _, p := range w.procs {
		w.release(p)
	}
	if w.poll != nil {
		w.poll.Close()
	}
}

// sleep waits for the next look, and reports whether there is to be one. A process that ends meanwhile is reported at once.
func (w *Watcher) sleep() bool {
	wait := tick
	if w.quiet {
		wait = quietTick
	}
	until := time.Now().Add(wait)
	w.poll.After(wait)
	for {
		gone := 0
		stopped := w.poll.Wait(func(pid int) {
			gone++
			if p := w.procs[pid]; p != nil {
				if p.Watched {
					w.sample(p)
				}
				w.end(p)
			}
		})
		if gone == 0 || stopped {
			return !stopped
		}
		if soon := time.Now().Add(soonTick); soon.Before(until) {
			until = soon
		}
		w.poll.After(time.Until(until)) // it may have been time already: that is told once
	}
}

func (w *Watcher) add(pid int, s stat, now time.Time) {
	p := &Process{Process: container.Process{PID: pid, Parent: s.ppid}, comm: s.comm, ticks: s.start, stack: s.stack, seen: now, checked: now, present: true, pidfd: -1, statfd: -1, iofd: -1}
	p.Start = started(s.start, w.Clock())
	if p.Start.IsZero() || p.Start.After(now) || s.start == 0 {
		p.Start = now
	}
	w.procs[pid] = p
	p.Argv, p.shell = w.argv(pid), shells[p.comm]
	if p.Argv == nil { // amid an exec
		p.stack = 0
	}
	if len(w.procs) <= maxFiles { // of others the end is seen at the next look but one
		if p.pidfd = rawsys.PidfdOpen(pid); p.pidfd >= 0 && !w.poll.Add(p.pidfd, pid) {
			rawsys.Close(&p.pidfd)
		}
		p.statfd = rawsys.Open(w.path(pid, "/stat")) // negative: it is opened each time
	}
	w.Became(p)
}

// release closes the files that are open of a process.
func (w *Watcher) release(p *Process) {
	if p.iofd >= 0 {
		w.iofds--
	}
	rawsys.Close(&p.pidfd, &p.statfd, &p.iofd)
}

// shells run other programs in their own place now and then: `bash -c 'a; b'` becomes b.
var shells = map[string]bool{
	"sh": true, "bash": true, "dash": true, "ash": true, "busybox": true, "zsh": true, "ksh": true,
	"tini": true, "dumb-init": true, "env": true, "nohup": true, "setsid": true, "timeout": true, "entrypoint.sh": true,
}

// check looks at one process again: at each look while it is young, a shell or watched, else once a second.
func (w *Watcher) check(p *Process, now time.Time) {
	if p.Watched {
		w.sample(p)
	}
	young := now.Sub(p.Start) < youngFor || now.Sub(p.seen) < youngFor
	if young || p.shell || p.Watched {
		w.quiet = false
	}
	if !young && !p.shell && now.Sub(p.checked) < laterLook*time.Duration(1+len(w.procs)/laterMany) {
		return
	}
	p.checked = now
	s, ok := w.statOf(p)
	if !ok || s.start != p.ticks || s.state == 'Z' || s.state == 'X' {
		w.end(p)
		return
	}
	if s.comm == p.comm && s.stack == p.stack && (!young || s.stack != 0) {
		return // no exec
	}
	argv := w.argv(p.PID)
	if argv == nil { // amid an exec
		return
	}
	p.stack = s.stack
	if slices.Equal(argv, p.Argv) {
		p.comm = s.comm
		return
	}
	// A fork that ran its parent's program until now was forked for this one. Anything else became it between the last
	// look and this one.
	w.Guard.Lock()
	if parent := w.procs[p.Parent]; parent == nil || !slices.Equal(parent.Argv, p.Argv) {
		p.Start = w.Clock()
	}
	p.comm, p.Argv, p.shell = s.comm, argv, shells[s.comm]
	p.Watched = false
	w.Guard.Unlock()
	w.Became(p)
}

func (w *Watcher) sample(p *Process) {
	if io, ok := w.io(p); ok && io.Read+io.Written >= p.IO.Read+p.IO.Written {
		w.Guard.Lock()
		p.IO = io
		w.Guard.Unlock()
	}
}

func (w *Watcher) end(p *Process) {
	if w.procs[p.PID] != p {
		return
	}
	w.Guard.Lock()
	p.End = w.Clock() // not when the look began, before which it was there
	if s, ok := w.statOf(p); ok && s.start == p.ticks && s.state == 'Z' {
		p.Signal = s.status & 0x7f
	}
	w.Guard.Unlock()
	w.release(p)
	delete(w.procs, p.PID)
	w.Ended(p)
}
