// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coldtrace/coldtrace/wrapper/supervise"
)

// readPause is the least time between two reads of an output that trickles: each is a wake-up of this process, and a
// chatty start has thousands of lines a second. A line's time is late by that much at most; the pipe holds a mebibyte.
//
// A flood fills that pipe sooner, and would wait for its reader.
const (
	readPause  = 10 * time.Millisecond
	floodPause = time.Millisecond
	floodBytes = 256 << 10 // within a pause
)

// output is the copy of one of the command's outputs.
type output struct {
	fd   int
	file *os.File
}

// openOutputs starts to read the copies of the command's outputs.
func (o *observer) openOutputs() {
	for _, fd := range [...]int{supervise.StdoutFD, supervise.StderrFD} {
		_ = unix.SetNonblock(fd, true) // /dev/null in a pipe's place doesn't care
		o.outputs = append(o.outputs, &output{fd, os.NewFile(uintptr(fd), "output")})
	}
	for _, out := range o.outputs {
		o.reading.Go(func() { o.read(out) })
	}
}

// hasten ends all waiting: nothing more is coming, or nobody wants it.
func (o *observer) hasten() {
	for _, out := range o.outputs {
		_ = out.file.SetReadDeadline(time.Unix(1, 0))
	}
}

// closeOutputs is called when the story is told: for the wrapper, writing to them fails from here on, and it copies
// nothing more.
func (o *observer) closeOutputs() {
	o.reading.Wait()
	for _, out := range o.outputs {
		_ = out.file.Close()
	}
}

// read passes the lines of one output to the story until its end.
func (o *observer) read(out *output) {
	var (
		split splitter
		buf   = make([]byte, 64<<10)
		since int // bytes since the last pause
	)
	for !o.done() {
		n, err := out.file.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) { // hastened: what is there is all
			n, err = unix.Read(out.fd, buf)
		}
		if n > 0 {
			now := o.clock.now()
			o.lines(func(line func([]byte, time.Time)) { split.write(buf[:n], now, line) })
			since += n
		}
		switch {
		case n <= 0 && !errors.Is(err, unix.EINTR):
			o.lines(split.flush)
			return
		case n == len(buf):
		case since < floodBytes:
			time.Sleep(readPause)
			since = 0
		default:
			time.Sleep(floodPause)
			since = 0
		}
	}
}

// done reports whether the story is told.
func (o *observer) done() bool {
	select {
	case <-o.over:
		return true
	default:
		return false
	}
}
