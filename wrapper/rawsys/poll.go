// SPDX-License-Identifier: Apache-2.0

package rawsys

import (
	"errors"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Poll lets one goroutine wait for files and for a time: an epoll with a timer in it, which is itself waited for by Go's
// own poller.
//
// Files in Go's poller wake a thread whenever there is something, whether or not anybody waits for it; and a deadline
// there costs two threads and four wake-ups, since it is waited for in whole milliseconds. Here it is one.
type Poll struct {
	fd     int
	timer  int
	file   *os.File
	conn   syscall.RawConn
	events [16]unix.EpollEvent
	n      int // of events
	ready  func(uintptr) bool
}

// timerNumber stands for the timer among the numbers of files.
const timerNumber = -1

// NewPoll makes one, which is to be closed.
func NewPoll() (*Poll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	err = unix.SetNonblock(fd, true)
	p := &Poll{fd: fd, timer: -1, file: os.NewFile(uintptr(fd), "poll")} //nolint:gosec // fds are small
	p.ready = func(uintptr) bool {                                       // once, or each wait would leave one for the collector
		p.n = p.now()
		return p.n > 0
	}
	if err == nil {
		p.conn, err = p.file.SyscallConn()
	}
	if err == nil {
		err = p.file.SetReadDeadline(time.Time{}) // fails if Go's poller does not take it
	}
	if err == nil {
		p.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	}
	if err == nil && !p.control(unix.EPOLL_CTL_ADD, p.timer, unix.EPOLLIN|unix.EPOLLET, timerNumber) {
		err = errors.New("an epoll takes no timer")
	}
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Add includes a file, which Wait tells by a number from 0 on as long as there is something to read. Closing it ends that.
func (p *Poll) Add(fd, number int) bool {
	return p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN, number)
}

// AddOnce is Add of a file that is told once, and again after Again.
func (p *Poll) AddOnce(fd, number int) bool {
	return p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLONESHOT, number)
}

// Again lets a file be told once more.
func (p *Poll) Again(fd, number int) {
	p.control(unix.EPOLL_CTL_MOD, fd, unix.EPOLLIN|unix.EPOLLONESHOT, number)
}

func (p *Poll) control(op, fd int, events uint32, number int) bool {
	event := unix.EpollEvent{Events: events, Fd: int32(number)} //nolint:gosec // PIDs and fds fit
	//nolint:gosec // the kernel's own struct
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.fd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&event)), 0, 0)
	return errno == 0
}

// After sets when Wait returns although there is nothing to read. It takes back a time that was set before.
func (p *Poll) After(d time.Duration) {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(1, d.Nanoseconds()))}
	//nolint:gosec // the kernel's own struct
	_, _, _ = syscall.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(p.timer), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
}

// Wait blocks until there is something to read, it is time, or Stop. It calls f for each file to read. That it is time
// is told once, and may be at the same time.
func (p *Poll) Wait(f func(number int)) (stopped bool) {
	p.n = 0
	err := p.conn.Read(p.ready)
	for _, e := range p.events[:p.n] {
		if e.Fd != timerNumber {
			f(int(e.Fd))
		}
	}
	return err != nil
}

// now fills events with what has happened by now and says how many.
func (p *Poll) now() int {
	//nolint:gosec // the address of an array, and its length
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// Stop makes Wait return at once, now and from here on. Any goroutine may call it.
func (p *Poll) Stop() { _ = p.file.SetReadDeadline(time.Unix(1, 0)) }

// Close is to be called when nobody waits.
func (p *Poll) Close() {
	Close(&p.timer)
	_ = p.file.Close()
}
