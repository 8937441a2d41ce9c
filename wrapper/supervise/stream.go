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

	"github.com/coldtrace/coldtrace/wrapper/rawsys"
)

// pipeSize is what a pipe may hold without privileges; with it splice reaches the speed of no wrapper at all.
const pipeSize = 1 << 20

// A flood is so many moves in a row of at least half of what a pipe holds by default (64 KiB).
const (
	floodMove  = 32 << 10
	floodMoves = 16
)

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
	pipe    bool   // out is a pipe: moving there waits for nothing
	splice  bool   // false: out takes no splice, e.g. a file opened for appending
	memory  []byte // for that case
	pending []byte // in it, read but not written
	flood   int    // large moves in a row; pipes have grown at floodMoves

	tap    atomic.Int32 // the observer's pipe plus one; 0: nobody observes
	gap    bool         // the observer missed bytes
	broken bool         // a pipe had no reader, for which this thread was sent SIGPIPE
	credit credit       // for waiting for the observer
	ration ration       // of bytes for it

	over atomic.Bool // the command has ended
	done chan struct{}
	left bool // after done: somebody else still holds the pipe's other end
}

// newStream makes the stream of a pipe, which is its own from here on.
func newStream(in, out int) *stream {
	return &stream{in: in, out: out, pipe: isPipe(out), splice: true, done: make(chan struct{}), credit: newCredit(), ration: newRation()}
}

// open makes the pipe one that is waited for. It is called once the command runs, which shall not wait for that.
func (s *stream) open() {
	_ = unix.SetNonblock(s.in, true)
	s.file = os.NewFile(uintptr(s.in), "output") //nolint:gosec // fds are small
	if s.file.SetReadDeadline(time.Time{}) != nil {
		return // Go's poller does not take it
	}
	if conn, err := s.file.SyscallConn(); err == nil {
		s.conn = conn
		s.ready = func(uintptr) bool { return rawsys.Readable(s.in) } // once, or each line would leave one for the collector
	}
}

// finish says that the command has ended. Whoever else writes to the pipe writes on without us.
func (s *stream) finish() {
	s.over.Store(true)
	_ = s.file.SetReadDeadline(time.Unix(1, 0)) // long over: nothing is waited for any more
}

func (s *stream) observe(fd int) { s.tap.Store(int32(fd) + 1) } //nolint:gosec // fds are small

// blind ends observation. The pipe is closed by the copying goroutine, the only one that uses it.
func (s *stream) blind() { s.tap.CompareAndSwap(s.tap.Load(), 0) }

// run copies until the pipe's other end is closed everywhere, or the command has ended and what it wrote is copied.
func (s *stream) run() {
	tap, rest := -1, -1 // rest: what to copy after the command has ended; a survivor may write on forever
	for {
		s.await()
		if s.over.Load() && rest < 0 {
			rest = max(0, s.waiting(0))
		}
		if rest == 0 {
			s.left = !s.hungUp()
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
		s.grow(moved)
	}
	if tap = s.tapped(tap); tap >= 0 { // even if there was never anything to show
		_ = unix.Close(tap)
	}
}

// pass copies what there is, to the observer first. A SIGPIPE that our own writing causes is this thread's; it is taken
// here, and never for one that somebody sent and that is to be forwarded.
func (s *stream) pass(tap int) (moved int, err error) {
	runtime.LockOSThread()
	before := rawsys.Block(unix.SIGPIPE)
	defer func() {
		if s.broken {
			rawsys.Take(unix.SIGPIPE)
			s.broken = false
		}
		rawsys.Unblock(before)
		runtime.UnlockOSThread()
	}()
	n := chunk
	if tap >= 0 {
		if n = s.tee(tap); n < 0 {
			return 0, errEmpty
		}
	}
	return s.move(n)
}

// grow gives a flood larger pipes, on both sides: through one of 64 KiB it would be three times slower than without us.
// What the pipes of one user may hold on a node together is bounded (fs.pipe-user-pages-soft, 64 MiB, for who lacks
// CAP_SYS_RESOURCE), and beyond it everybody's new pipes shrink: a log that is no flood gets no more than it had.
func (s *stream) grow(moved int) {
	switch {
	case s.flood == floodMoves:
	case moved < floodMove:
		s.flood = 0
	default:
		if s.flood++; s.flood == floodMoves {
			_, _ = unix.FcntlInt(uintptr(s.in), unix.F_SETPIPE_SZ, pipeSize)
			_, _ = unix.FcntlInt(uintptr(s.out), unix.F_SETPIPE_SZ, pipeSize) // if it is a pipe
		}
	}
}

// errEmpty says that there is nothing to copy now.
var errEmpty = errors.New("the pipe is empty")

// tapped closes the observer's pipe after it was blinded, and takes up a new one.
func (s *stream) tapped(tap int) int {
	now := int(s.tap.Load()) - 1
	if tap >= 0 && now != tap {
		_ = unix.Close(tap)
	}
	return now
}

// await blocks until there is something to copy (or the end of it), or the command has ended.
func (s *stream) await() {
	if s.conn == nil {
		fds := []unix.PollFd{{Fd: int32(s.in), Events: unix.POLLIN}} //nolint:gosec // fds are small
		_, _ = unix.Poll(fds, 100)
		return
	}
	_ = s.conn.Read(s.ready)
}

// tee copies what is in the pipe to the observer without consuming it, and says how much may be consumed before the
// next call: what was copied or, when the observer has no room, what it misses. Negative: the pipe is empty.
func (s *stream) tee(tap int) int {
	if s.ration.used() {
		s.gap = true
		return s.waiting(chunk)
	}
	if s.gap {
		// The observer must not read the end of one line joined to that of another.
		if n, err := unix.Write(tap, []byte{'\n'}); n != 1 || err != nil {
			s.noReader(err)
			return s.waiting(chunk)
		}
		s.gap = false
	}
	for {
		n, err := retried(func() (int, error) { return rawsys.Tee(s.in, tap, chunk) })
		switch {
		case err == nil && n > 0:
			s.ration.left -= int64(n)
			return n
		case err == nil:
			return chunk // end of file
		case errors.Is(err, unix.EAGAIN) && s.waiting(0) == 0 && !s.hungUp():
			return -1
		case errors.Is(err, unix.EAGAIN) && s.credit.wait(tap):
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

// hungUp tells whether nobody can write to the pipe any more.
func (s *stream) hungUp() bool {
	fds := []unix.PollFd{{Fd: int32(s.in)}} //nolint:gosec // fds are small
	_, err := unix.Poll(fds, 0)
	return err == nil && fds[0].Revents&unix.POLLHUP != 0
}

// move consumes bytes and writes them where they belong: exactly n, or what is there if n is chunk. It returns 0 at the
// end of file, and an error if nobody reads any more.
func (s *stream) move(n int) (int, error) {
	for moved := 0; ; {
		m, err := s.transfer(n - moved)
		moved += m
		if errors.Is(err, unix.EAGAIN) {
			if len(s.pending) == 0 && n == chunk && s.waiting(0) == 0 && !s.hungUp() {
				return moved, errEmpty
			}
			s.awaitRoom()
			continue
		}
		if err != nil || m == 0 || moved >= n || n == chunk {
			return moved, err
		}
	}
}

// transfer moves up to n bytes, within the kernel if the destination takes that. EAGAIN: the destination is full.
//
// A destination that fails otherwise, as a full disk does, loses bytes: the command would have been told, but might not
// have minded; ending its output for that could end it.
func (s *stream) transfer(n int) (int, error) {
	if !s.splice {
		return s.copy(n)
	}
	m, err := retried(func() (int, error) {
		if s.pipe {
			return rawsys.Splice(s.in, s.out, n)
		}
		m, err := unix.Splice(s.in, nil, s.out, nil, n, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK) // a disk may be waited for
		return int(m), err
	})
	switch {
	case err == nil:
		return m, nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM), errors.Is(err, unix.EBADF):
		s.splice = false
		return s.copy(n)
	case s.noReader(err), errors.Is(err, unix.EAGAIN):
		return 0, err
	}
	b := s.buffer()
	lost, err := retried(func() (int, error) { return unix.Read(s.in, b[:min(n, len(b))]) })
	return max(0, lost), err
}

// copy is transfer through memory.
func (s *stream) copy(n int) (int, error) {
	if len(s.pending) == 0 {
		b := s.buffer()
		m, err := retried(func() (int, error) { return unix.Read(s.in, b[:min(n, len(b))]) })
		if m <= 0 || err != nil {
			return 0, err
		}
		s.pending = b[:m]
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

// isPipe tells whether a descriptor is one of a pipe.
func isPipe(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
}

// noReader tells whether writing failed because nobody reads, and remembers it: pass has a signal to take.
func (s *stream) noReader(err error) bool {
	gone := errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET)
	s.broken = s.broken || gone
	return gone
}

// buffer is for destinations that take no splice.
func (s *stream) buffer() []byte {
	if s.memory == nil {
		s.memory = make([]byte, 64<<10)
	}
	return s.memory
}

// awaitRoom blocks until the destination takes more: this is the command's own backpressure.
func (s *stream) awaitRoom() {
	fds := []unix.PollFd{{Fd: int32(s.out), Events: unix.POLLOUT}} //nolint:gosec // fds are small
	_, _ = unix.Poll(fds, 1000)
}

// retried repeats a system call that a signal interrupted; the Go scheduler sends them.
func retried(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
