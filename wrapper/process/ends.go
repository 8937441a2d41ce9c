// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ends waits for the ends of processes: an epoll of their pidfds, which is itself waited for by Go's own poller.
//
// A poll(2) would do the same at several times the cost. A thread that blocks in a system call makes the Go scheduler
// wake a second one to watch over it, which then sleeps in slices of 20 µs until all is quiet again, at each look.
type ends struct {
	fd     int
	file   *os.File
	raw    syscall.RawConn
	events [16]unix.EpollEvent
}

func newEnds() (*ends, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("wait for processes: %w", err)
	}
	err = unix.SetNonblock(fd, true)
	e := &ends{fd: fd, file: os.NewFile(uintptr(fd), "pidfds")} //nolint:gosec // fds are small
	if err == nil {
		e.raw, err = e.file.SyscallConn()
	}
	if err == nil {
		err = e.file.SetReadDeadline(time.Time{}) // fails if Go's poller does not take it
	}
	if err != nil {
		_ = e.file.Close()
		return nil, fmt.Errorf("wait for processes: %w", err)
	}
	return e, nil
}

// add opens the pidfd of a process and includes it. Closing it ends that. It is negative if there is none.
func (e *ends) add(pid int) int {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1
	}
	//nolint:gosec // PIDs fit
	if unix.EpollCtl(e.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(pid)}) != nil {
		_ = unix.Close(fd)
		return -1
	}
	return fd
}

// wait returns PIDs of those that have ended, or none at the deadline.
func (e *ends) wait(until time.Time) []unix.EpollEvent {
	n := 0
	err := e.file.SetReadDeadline(until)
	if err == nil {
		err = e.raw.Read(func(uintptr) bool {
			n = e.ready()
			return n != 0
		})
	}
	if err != nil {
		return nil
	}
	return e.events[:n]
}

// ready fills events with those who have ended by now, without the scheduler's knowledge: see pread.
func (e *ends) ready() int {
	//nolint:gosec // the address of an array, and its length
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(e.fd), uintptr(unsafe.Pointer(&e.events[0])), uintptr(len(e.events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

func (e *ends) close() { _ = e.file.Close() }
