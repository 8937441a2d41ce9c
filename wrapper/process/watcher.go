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
	maxFiles  = 64                     // of as many processes files are held open
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

	pidfd int // negative: not open
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

	root   string
	top    int // the process
	reaper int // who inherits orphans
	procs  map[int]*Process
	unborn []int // numbers that were given, but to nobody who could be seen yet
	quiet  bool  // nobody is looked at more often than once a second
	last   int   // the number given last; negative: everybody is to be listed
	buf    []byte
}

// New makes a watcher of a process and its descendants. Orphans among them are children of reaper, a process that is
// not reported itself.
func New(pid, reaper int) *Watcher {
	return &Watcher{
		Guard: &sync.Mutex{}, Clock: time.Now, root: "/proc", top: pid, reaper: reaper,
		procs: map[int]*Process{}, last: -1,
		buf: make([]byte, 16<<10),
	}
}

// Run watches until ctx ends. It returns an error at once if there is no /proc to look into, or the process can't be
// seen in it.
func (w *Watcher) Run(ctx context.Context) error {
	defer w.close()
	if err := w.visible(); err != nil {
		return err
	}
	stop, stopper, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("wait for processes: %w", err)
	}
	defer stop.Close()
	defer stopper.Close()
	if err := w.look(w.Clock()); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { stopper.Close() })()
	for w.sleep(int32(stop.Fd())) { //nolint:gosec // fds are small
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
	for _, p := range w.procs {
		p.release()
	}
}

// sleep waits for the next look, and reports whether there is to be one: not once the file stop is at its end. A process
// that ends meanwhile is reported at once.
func (w *Watcher) sleep(stop int32) bool {
	wait := tick
	if w.quiet {
		wait = quietTick
	}
	for until := time.Now().Add(wait); ; {
		fds, procs := []unix.PollFd{{Fd: stop, Events: unix.POLLIN}}, []*Process{nil}
		for _, p := range w.procs {
			if p.pidfd >= 0 {
				fds, procs = append(fds, unix.PollFd{Fd: int32(p.pidfd), Events: unix.POLLIN}), append(procs, p) //nolint:gosec // fds are small
			}
		}
		left := unix.NsecToTimespec(max(0, time.Until(until)).Nanoseconds())
		n, err := unix.Ppoll(fds, &left, nil)
		switch {
		case err == unix.EINTR:
			continue
		case n <= 0 || fds[0].Revents != 0:
			return n <= 0
		}
		for i, p := range procs[1:] {
			if fds[i+1].Revents == 0 {
				continue
			}
			if p.Watched {
				w.sample(p)
			}
			w.end(p)
		}
		if soon := time.Now().Add(soonTick); soon.Before(until) {
			until = soon
		}
	}
}

func (w *Watcher) add(pid int, s stat, now time.Time) {
	p := &Process{Process: container.Process{PID: pid, Parent: s.ppid}, comm: s.comm, ticks: s.start, stack: s.stack, seen: now, checked: now, present: true, pidfd: -1}
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
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			p.pidfd = fd
		}
	}
	w.Became(p)
}

// release closes the file that is open of a process.
func (p *Process) release() {
	if p.pidfd >= 0 {
		_ = unix.Close(p.pidfd)
		p.pidfd = -1
	}
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
	s, ok := w.stat(p.PID)
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

// reapedBy is the signal that ended a process whose parent has asked for its status already. 0: none, or the kernel does not
// say (before 6.15).
func reapedBy(pidfd int) int {
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	if pidfd < 0 || unix.IoctlPidfdInfo(pidfd, &info) != nil || info.Mask&unix.PIDFD_INFO_EXIT == 0 {
		return 0
	}
	return int(info.Exit_code) & 0x7f
}

func (w *Watcher) end(p *Process) {
	if w.procs[p.PID] != p {
		return
	}
	w.Guard.Lock()
	p.End = w.Clock() // not when the look began, before which it was there
	if s, ok := w.stat(p.PID); ok && s.start == p.ticks && s.state == 'Z' {
		p.Signal = s.status & 0x7f
	} else {
		p.Signal = reapedBy(p.pidfd)
	}
	w.Guard.Unlock()
	p.release()
	delete(w.procs, p.PID)
	w.Ended(p)
}
