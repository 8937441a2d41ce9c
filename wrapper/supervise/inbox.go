// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxForwarders = 5                      // that are started one after the other, should they die
	goodbye       = 250 * time.Millisecond // for what the command sent at its very end
)

// inbox is a port of the loopback interface for the spans that vLLM makes itself. Whoever passes them on is started when
// the first of them comes: until then there is a socket, and nothing else.
type inbox struct {
	URL     string
	fd      int
	end     int           // our end of the forwarder's standard input; -1: none
	pid     int           // the forwarder's; 0: none runs
	started int           // how many were
	gone    chan struct{} // closed when the forwarder has ended
	knocks  chan struct{}
}

// openInbox is nil where there is no loopback interface to listen on.
func openInbox() *inbox {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if err == nil {
		err = unix.Listen(fd, 64)
	}
	name, nameErr := unix.Getsockname(fd)
	address, ok := name.(*unix.SockaddrInet4)
	if err != nil || nameErr != nil || !ok {
		closeAll(fd)
		return nil
	}
	return &inbox{URL: "http://127.0.0.1:" + strconv.Itoa(address.Port) + "/v1/traces", fd: fd, end: -1, knocks: make(chan struct{}, 1)}
}

// knocked tells that somebody has connected; of no inbox, never.
func (b *inbox) knocked() <-chan struct{} {
	if b == nil {
		return nil
	}
	return b.knocks
}

func (b *inbox) close() {
	if b != nil {
		closeAll(b.fd)
	}
}

// listen waits for the first connection, in Go's poller: no thread is held.
func (b *inbox) listen() {
	if b == nil {
		return
	}
	fd, err := unix.FcntlInt(uintptr(b.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return
	}
	go func() {
		f := os.NewFile(uintptr(fd), "inbox") //nolint:gosec // fds are small
		defer f.Close()
		raw, err := f.SyscallConn()
		if err == nil && raw.Read(readable) == nil {
			b.knocks <- struct{}{}
		}
	}()
}

// passOn starts who passes on. Where that can't be, vLLM is told at once that nobody is there, and need not wait.
func (s *supervisor) passOn() {
	b := s.inbox
	var p [2]int
	if b.started++; b.started > maxForwarders || unix.Pipe2(p[:], unix.O_CLOEXEC) != nil {
		closeAll(b.fd)
		return
	}
	defer closeAll(p[0])
	pid, err := s.spawn(ForwardArg, p[0], b.fd)
	if err != nil {
		closeAll(p[1], b.fd)
		return
	}
	b.pid, b.end, b.gone = pid, p[1], make(chan struct{})
}

// reaped tells whether a process that ended was the forwarder. The next connection starts another.
func (b *inbox) reaped(pid int) bool {
	if b == nil || b.pid == 0 || pid != b.pid {
		return false
	}
	b.pid = 0
	close(b.gone)
	if b.end >= 0 {
		closeAll(b.end)
		b.end = -1
		b.listen()
	}
	return true
}

// alone tells whether the forwarder is the only child that we have left.
func (b *inbox) alone() bool {
	if b == nil || b.pid == 0 {
		return false
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == b.pid {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has just ended
		}
		// 12 (a name) S 1 …
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			return false
		}
	}
	return true
}

// part lets the forwarder end, and waits for it a moment.
func (s *supervisor) part() {
	b := s.inbox
	if b == nil || b.pid == 0 {
		return
	}
	closeAll(b.end)
	b.end = -1
	t := time.NewTimer(goodbye)
	defer t.Stop()
	s.await(b.gone, t.C)
}
