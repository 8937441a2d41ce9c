// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/coldtrace/coldtrace/wrapper/recipe"
	"github.com/coldtrace/coldtrace/wrapper/supervise"
)

// readPause is the least time between two reads of an output that trickles: each is a wake-up of this process, and a
// chatty start has thousands of lines a second. A line's time is late by that much at most; the pipe holds a mebibyte.
const readPause = 10 * time.Millisecond

// openPipe makes a file of a descriptor that came with this program, and that Go's poller waits for: a thread that
// blocks in a system call costs several wake-ups of the Go scheduler's own, see package process.
func openPipe(fd int, name string) *os.File {
	_ = unix.SetNonblock(fd, true)       // /dev/null in a pipe's place doesn't care
	return os.NewFile(uintptr(fd), name) //nolint:gosec // fds are small
}

// openOutputs starts to read the copies of the command's outputs.
func (o *observer) openOutputs() {
	for fd, stream := range map[int]int{supervise.StdoutFD: recipe.Stdout, supervise.StderrFD: recipe.Stderr} {
		f := openPipe(fd, "output")
		o.files = append(o.files, f)
		o.output.Add(1)
		go o.read(f, stream)
	}
}

// closeOutputs ends that: for the wrapper, writing to them fails from here on, and it copies nothing more.
func (o *observer) closeOutputs() {
	for _, f := range o.files {
		_ = f.Close()
	}
}

// read passes the lines of one output to the story until its end.
func (o *observer) read(f *os.File, stream int) {
	defer o.output.Done()
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	var (
		split splitter
		buf   = make([]byte, 64<<10)
		pause = time.NewTimer(0)
	)
	defer pause.Stop()
	for {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			n = readNow(fd, buf)
			return n >= 0
		})
		now := o.clock.now()
		if n > 0 {
			o.lines(func(line func([]byte, time.Time)) { split.write(buf[:n], now, line) }, stream)
		}
		if err != nil || n <= 0 {
			o.lines(split.flush, stream)
			return
		}
		if n == len(buf) {
			continue
		}
		pause.Reset(readPause)
		select {
		case <-pause.C:
		case <-o.last: // nothing more is coming: the wrapper waits
		case <-o.over:
		}
	}
}

// readNow reads what there is: 0 at the end, negative if there is nothing yet. The Go scheduler need not know of a call
// that doesn't block.
func readNow(fd uintptr, buf []byte) int {
	for {
		//nolint:gosec // the address of a buffer
		n, _, err := syscall.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
		switch err {
		case 0:
			return int(n)
		case unix.EINTR:
		case unix.EAGAIN:
			return -1
		default:
			return 0
		}
	}
}
