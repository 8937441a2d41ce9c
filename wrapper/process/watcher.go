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
)

// How often is looked. A start is read from /proc and an end is told by a pidfd, whenever that is; a tick bounds how late
// is seen that a process has become another program. Each look costs one read of 30 bytes, and a listing only if
// somebody was born.
const (
	tick      = 50 * time.Millisecond
	soonTick  = 10 * time.Millisecond  // after an end: a shell becomes its last command right after the one before it
	youngFor  = 500 * time.Millisecond // a process that young may be about to exec
	laterLook = time.Second            // how often an older one is asked whether it has become another,
	laterMany = 20                     // and less often by as many times as there are so many
	maxPidfds = 64
)

// Process is one descendant.
type Process struct {
	PID     int
	Parent  int
	Argv    []string
	Start   time.Time // of the process or, if it became this program later, of that
	End     time.Time // zero while it lives
	IO      IO        // sampled while it lives
	Watched bool      // whoever receives it may set it: IO is then sampled at each look

	seen    time.Time
	comm    string
	ticks   uint64
	checked time.Time
	shell   bool
	pidfd   int
	present bool
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
	foreign map[int]bool // processes that are no descendants
	last    string
	loadavg int // an open file, or negative
	buf     []byte
	dirents []byte
	fds     []unix.PollFd // of sleep, kept for their memory
	who     []*Process
}

// New makes a watcher of a process and its descendants. Orphans among them are children of reaper, a process that is
// not reported itself.
func New(pid, reaper int) *Watcher {
	return &Watcher{
		Guard: &sync.Mutex{}, Clock: time.Now, root: "/proc", top: pid, reaper: reaper, loadavg: -1,
		procs: map[int]*Process{}, foreign: map[int]bool{},
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
	if err := w.look(w.Clock()); err != nil {
		return err
	}
	for {
		w.sleep()
		if ctx.Err() != nil {
			return nil
		}
		if err := w.look(w.Clock()); err != nil {
			return err
		}
	}
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
	if w.loadavg >= 0 {
		_ = unix.Close(w.loadavg)
	}
	for _, p := range w.procs {
		if p.pidfd >= 0 {
			_ = unix.Close(p.pidfd)
		}
	}
}

// sleep waits for the next look; a process that ends meanwhile is reported at once.
func (w *Watcher) sleep() {
	for end := time.Now().Add(tick); ; {
		left := time.Until(end)
		if left <= 0 {
			return
		}
		fds, who := w.fds[:0], w.who[:0]
		for _, p := range w.procs {
			if p.pidfd >= 0 {
				fds = append(fds, unix.PollFd{Fd: int32(p.pidfd), Events: unix.POLLIN}) //nolint:gosec // fds are small
				who = append(who, p)
			}
		}
		w.fds, w.who = fds, who
		if len(fds) == 0 {
			time.Sleep(left)
			return
		}
		if n, err := unix.Poll(fds, int(left/time.Millisecond)+1); err != nil || n == 0 {
			continue
		}
		for i := range fds {
			if fds[i].Revents != 0 {
				w.sample(who[i])
				w.end(who[i])
				if soon := time.Now().Add(soonTick); soon.Before(end) {
					end = soon
				}
			}
		}
	}
}

// look finds who is new, who has become another program and who is gone.
func (w *Watcher) look(now time.Time) error {
	last, ok := w.lastPID()
	if !ok || last != w.last {
		if err := w.scan(now); err != nil {
			return err
		}
		w.last = last
	}
	for _, p := range w.procs {
		w.check(p, now)
	}
	return nil
}

// scan lists all processes. A child may be listed before its parent is known, so strangers are asked again until
// nobody new turns out to be ours.
func (w *Watcher) scan(now time.Time) error {
	var strangers []int
	for _, p := range w.procs {
		p.present = false
	}
	foreign := make(map[int]bool, len(w.foreign))
	err := w.list(func(pid int) {
		if p := w.procs[pid]; p != nil {
			p.present = true
		} else if w.foreign[pid] || pid == w.reaper {
			foreign[pid] = true
		} else {
			strangers = append(strangers, pid)
		}
	})
	if err != nil {
		return err
	}
	w.foreign = foreign
	for _, p := range w.procs {
		if !p.present {
			w.end(p)
		}
	}
	slices.Sort(strangers)
	stats := make(map[int]stat, len(strangers))
	for _, pid := range strangers {
		if s, ok := w.stat(pid); ok {
			stats[pid] = s
		}
	}
	for found := true; found; {
		found = false
		for _, pid := range strangers {
			s, ok := stats[pid]
			// The dead wait for their parent to ask for them, some for ever. They are nobody.
			if ok && s.state != 'Z' && s.state != 'X' && (pid == w.top || s.ppid == w.reaper || w.procs[s.ppid] != nil) {
				delete(stats, pid)
				w.add(pid, s, now)
				found = true
			}
		}
	}
	for pid := range stats {
		w.foreign[pid] = true
	}
	return nil
}

func (w *Watcher) add(pid int, s stat, now time.Time) {
	p := &Process{PID: pid, Parent: s.ppid, comm: s.comm, ticks: s.start, seen: now, checked: now, pidfd: -1, present: true}
	p.Start = started(s.start, w.Clock())
	if p.Start.IsZero() || p.Start.After(now) || s.start == 0 {
		p.Start = now
	}
	w.procs[pid] = p
	w.program(p)
	w.Became(p)
}

// program reads what the process runs.
func (w *Watcher) program(p *Process) {
	p.Argv = w.argv(p.PID)
	p.shell = shells[p.comm]
	if len(w.procs) > maxPidfds {
		return // its end is seen at the next look but one
	}
	if fd, err := unix.PidfdOpen(p.PID, 0); err == nil {
		p.pidfd = fd
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
	if !young && !p.shell && now.Sub(p.checked) < laterLook*time.Duration(1+len(w.procs)/laterMany) {
		return
	}
	p.checked = now
	s, ok := w.stat(p.PID)
	if !ok || s.start != p.ticks || s.state == 'Z' || s.state == 'X' {
		w.end(p)
		return
	}
	if !young && s.comm == p.comm {
		return
	}
	argv := w.argv(p.PID)
	if argv == nil || slices.Equal(argv, p.Argv) {
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
	if io, ok := w.io(p.PID); ok && io.Read+io.Written >= p.IO.Read+p.IO.Written {
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
	w.Guard.Unlock()
	if p.pidfd >= 0 {
		_ = unix.Close(p.pidfd)
		p.pidfd = -1
	}
	delete(w.procs, p.PID)
	w.Ended(p)
}
