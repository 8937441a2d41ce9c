// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"errors"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tapSize is what the observer's pipe may hold: as much as one may without privileges.
const tapSize = 1 << 20

// chunk is the most that one splice moves.
const chunk = 1 << 20

// stream copies one output of the command to where it would have gone, and a copy of it to the observer. Bytes move
// within the kernel: tee(2) to the observer, splice(2) to the destination. The destination's pace is the command's, as
// without us; the observer's is not: what it has no room for, it misses.
type stream struct {
	file    *os.File        // the pipe that the command writes to
	conn    syscall.RawConn // to wait for it; nil: Go's poller does not
	ready   func(uintptr) bool
	in      int    // its descriptor
	out     int    // where the output belongs: 1 or 2
	both    bool   // 1 and 2: they are one file
	splices bool   // false: out is no pipe, but a file, say
	memory  []byte // for that case
	pending []byte // in it, read but not written

	tap    atomic.Int32 // the observer's pipe plus one; 0: nobody observes
	copied int          // the end of it that the observer reads; negative: there is none
	gap    bool         // the observer missed bytes
	broken bool         // a pipe had no reader, for which this thread was sent SIGPIPE

	over atomic.Bool // the command has ended
	done chan struct{}
}

// newStream makes the stream of a pipe, which is its own from here on.
func newStream(in, out int) *stream {
	var st unix.Stat_t
	pipe := unix.Fstat(out, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
	return &stream{in: in, out: out, splices: pipe, copied: -1, done: make(chan struct{})}
}

// open makes the pipe one that is waited for. It is called once the command runs, which shall not wait for that.
func (s *stream) open() {
	_ = unix.SetNonblock(s.in, true)
	s.file = os.NewFile(uintptr(s.in), "output") //nolint:gosec // fds are small
	if s.file.SetReadDeadline(time.Time{}) != nil {
		return // Go's poller does not take it
	}
	if conn, err := s.file.SyscallConn(); err == nil {
		s.conn, s.ready = conn, readable
	}
}

// observe makes the observer's pipe. It is there before the observer, so that nothing is missed meanwhile.
func (s *stream) observe() {
	var p [2]int
	if unix.Pipe2(p[:], unix.O_CLOEXEC) != nil {
		return // this output is not observed
	}
	_, _ = unix.FcntlInt(uintptr(p[1]), unix.F_SETPIPE_SZ, tapSize)
	_ = unix.SetNonblock(p[1], true)
	s.copied = p[0]
	s.tap.Store(int32(p[1]) + 1) //nolint:gosec // fds are small
}

// blind ends observation. The pipe is closed by the copying goroutine, the only one that uses it.
func (s *stream) blind() { s.tap.Store(0) }

// finish says that the command has ended. Whoever else writes to the pipe writes on without us.
func (s *stream) finish() {
	s.over.Store(true)
	_ = s.file.SetReadDeadline(time.Unix(1, 0)) // long over: nothing is waited for any more
}

// run copies until the pipe's other end is closed everywhere, or the command has ended and what it wrote is copied.
func (s *stream) run() {
	tap, rest := -1, -1 // rest: what to copy after the command has ended; a survivor may write on forever
	for {
		s.await()
		if s.over.Load() && rest < 0 {
			rest = s.waiting(0)
		}
		if rest == 0 {
			break
		}
		tap = s.tapped(tap)
		moved, err := s.pass(tap)
		if errors.Is(err, errEmpty) {
			continue
		}
		if moved == 0 || err != nil {
			break // end of file, or nobody reads: closing our end tells the command as its own write would have
		}
		if rest > 0 {
			rest = max(0, rest-moved)
		}
	}
	if tap = s.tapped(tap); tap >= 0 { // even if there was never anything to show
		_ = unix.Close(tap)
	}
}

// await blocks until there is something to copy (or the end of it), or the command has ended.
func (s *stream) await() {
	if s.conn == nil {
		poll(s.in, unix.POLLIN, 100)
		return
	}
	_ = s.conn.Read(s.ready)
}

// tapped closes the observer's pipe after it was blinded, and takes up a new one.
func (s *stream) tapped(tap int) int {
	now := int(s.tap.Load()) - 1
	if tap >= 0 && now != tap {
		_ = unix.Close(tap)
	}
	return now
}

// errEmpty says that there is nothing to copy now.
var errEmpty = errors.New("the pipe is empty")

// pass copies what there is, to the observer first. A SIGPIPE that our own writing causes is this thread's; it is taken
// here, and never for one that somebody sent and that is to be forwarded.
func (s *stream) pass(tap int) (moved int, err error) {
	runtime.LockOSThread()
	before := blockSIGPIPE()
	defer func() {
		if s.broken {
			takeSIGPIPE()
			s.broken = false
		}
		unblock(before)
		runtime.UnlockOSThread()
	}()
	n := chunk
	if tap >= 0 {
		if n = s.show(tap); n < 0 {
			return 0, errEmpty
		}
	}
	return s.move(n)
}

// show copies what is in the pipe to the observer without consuming it, and says how much may be consumed before the
// next call: what was copied or, when the observer has no room, what it misses. Negative: the pipe is empty.
func (s *stream) show(tap int) int {
	if s.gap {
		// The observer must not read the end of one line joined to that of another.
		if n, err := unix.Write(tap, []byte{'\n'}); n != 1 || err != nil {
			s.noReader(err)
			return s.waiting(chunk)
		}
		s.gap = false
	}
	for {
		n, err := retried(func() (int, error) { return tee(s.in, tap, chunk) })
		switch {
		case err == nil && n > 0:
			return n
		case err == nil:
			return chunk // end of file
		case errors.Is(err, unix.EAGAIN) && s.empty():
			return -1
		case errors.Is(err, unix.EAGAIN):
			s.gap = true
			return s.waiting(chunk)
		default: // the observer is gone, or this kernel has no tee
			s.noReader(err)
			s.blind()
			return chunk
		}
	}
}

// waiting is the number of bytes in the pipe, or the default if that is unknown: what must be consumed before the next
// tee, so that bytes which come meanwhile are not skipped unseen.
func (s *stream) waiting(otherwise int) int {
	n, err := unix.IoctlGetInt(s.in, unix.TIOCINQ)
	if err != nil || n <= 0 {
		return otherwise
	}
	return n
}

// empty tells that there is nothing in the pipe, and somebody who could write to it.
func (s *stream) empty() bool { return s.waiting(0) == 0 && poll(s.in, 0, 0)&unix.POLLHUP == 0 }

// move consumes bytes and writes them where they belong: exactly n, or what is there if n is chunk. It returns 0 at the
// end of file, and an error if nobody reads any more.
func (s *stream) move(n int) (int, error) {
	for moved := 0; ; {
		m, err := s.transfer(n - moved)
		moved += m
		if errors.Is(err, unix.EAGAIN) {
			if len(s.pending) == 0 && n == chunk && s.empty() {
				return moved, errEmpty
			}
			poll(s.out, unix.POLLOUT, 1000) // this is the command's own backpressure
			continue
		}
		if err != nil || m == 0 || moved >= n || n == chunk {
			return moved, err
		}
	}
}

// transfer moves up to n bytes, within the kernel if the destination takes that. EAGAIN: the destination is full.
func (s *stream) transfer(n int) (int, error) {
	if s.splices {
		m, err := retried(func() (int, error) { return splice(s.in, s.out, n) })
		if err == nil || s.noReader(err) || errors.Is(err, unix.EAGAIN) {
			return m, err
		}
		s.splices = false // this kernel has none
	}
	return s.copy(n)
}

// copy is transfer through memory. A destination that fails, as a full disk does, loses bytes: the command would have
// been told, but might not have minded; ending its output for that could end it.
func (s *stream) copy(n int) (int, error) {
	if s.memory == nil {
		s.memory = make([]byte, 64<<10)
	}
	if len(s.pending) == 0 {
		m, err := retried(func() (int, error) { return unix.Read(s.in, s.memory[:min(n, len(s.memory))]) })
		if m <= 0 || err != nil {
			return 0, err
		}
		s.pending = s.memory[:m]
	}
	total := 0
	for len(s.pending) > 0 {
		m, err := retried(func() (int, error) { return unix.Write(s.out, s.pending) })
		switch {
		case err == nil:
			s.pending, total = s.pending[m:], total+m
		case s.noReader(err), errors.Is(err, unix.EAGAIN):
			return total, err
		default:
			total, s.pending = total+len(s.pending), nil
		}
	}
	return total, nil
}

// noReader tells whether writing failed because nobody reads, and remembers it: pass has a signal to take.
func (s *stream) noReader(err error) bool {
	gone := errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET)
	s.broken = s.broken || gone
	return gone
}

// poll waits for a file at most so many milliseconds and says what there is.
func poll(fd int, events int16, milliseconds int) int16 {
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}} //nolint:gosec // fds are small
	_, _ = unix.Poll(fds, milliseconds)
	return fds[0].Revents
}

// retried repeats a system call that a signal interrupted; the Go scheduler sends them.
func retried(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
