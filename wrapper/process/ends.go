// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ends waits for the ends of processes: an epoll of their pidfds and of a timer, which is itself waited for by Go's own
// poller.
//
// A poll(2) would do the same at several times the cost. A thread that blocks in a system call makes the Go scheduler
// wake a second one to watch over it, which then sleeps in slices of 20 µs until all is quiet again, at each look. A
// deadline of Go's costs two threads and four wake-ups, since it is waited for in whole milliseconds; the kernel's timer
// costs one.
type ends struct {
	fd     int
	timer  int
	file   *os.File
	raw    syscall.RawConn
	events [16]unix.EpollEvent
}

// timerPID stands for the timer among the PIDs: nobody has that number.
const timerPID = 0

func newEnds() (*ends, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("wait for processes: %w", err)
	}
	err = unix.SetNonblock(fd, true)
	e := &ends{fd: fd, timer: -1, file: os.NewFile(uintptr(fd), "pidfds")} //nolint:gosec // fds are small
	if err == nil {
		e.raw, err = e.file.SyscallConn()
	}
	if err == nil {
		err = e.file.SetReadDeadline(time.Time{}) // fails if Go's poller does not take it
	}
	if err == nil {
		e.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	}
	if err == nil && !epollAdd(fd, e.timer, timerPID) {
		err = errors.New("no timer in an epoll")
	}
	if err != nil {
		e.close()
		return nil, fmt.Errorf("wait for processes: %w", err)
	}
	return e, nil
}

// add opens the pidfd of a process and includes it. Closing it ends that. It is negative if there is none.
func (e *ends) add(pid int) int {
	fd := pidfdOpen(pid)
	if fd >= 0 && !epollAdd(e.fd, fd, pid) {
		closeAll(&fd)
	}
	return fd
}

// wake sets when wait returns without an end. It takes back a time that was set before, even if that has passed.
func (e *ends) wake(after time.Duration) { timerfdSet(e.timer, after) }

// wait returns the PIDs of those that have ended, or none when it is time. They are valid until the next call.
func (e *ends) wait() []unix.EpollEvent {
	n := 0
	err := e.raw.Read(func(uintptr) bool {
		n = epollNow(e.fd, e.events[:])
		return n != 0
	})
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(e.events[:n], func(ev unix.EpollEvent) bool { return ev.Fd == timerPID })
}

func (e *ends) close() {
	closeAll(&e.timer)
	_ = e.file.Close()
}
