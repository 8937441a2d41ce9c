// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/wrapper/rawsys"
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
	fd     int
	stream int
	poll   *rawsys.Poll
}

// openOutputs starts to read the copies of the command's outputs.
func (o *observer) openOutputs() {
	for fd, stream := range map[int]int{supervise.StdoutFD: recipe.Stdout, supervise.StderrFD: recipe.Stderr} {
		poll, err := rawsys.NewPoll()
		if err != nil {
			_ = unix.Close(fd) // not observed
			continue
		}
		_ = unix.SetNonblock(fd, true) // /dev/null in a pipe's place doesn't care, here and below
		poll.AddOnce(fd, fd)
		o.outputs = append(o.outputs, &output{fd, stream, poll})
	}
	for _, out := range o.outputs {
		o.reading.Go(func() { o.read(out) })
	}
}

// hasten ends all waiting: nothing more is coming, or nobody wants it.
func (o *observer) hasten() {
	for _, out := range o.outputs {
		out.poll.Stop()
	}
}

// closeOutputs is called when the story is told: for the wrapper, writing to them fails from here on, and it copies
// nothing more.
func (o *observer) closeOutputs() {
	o.reading.Wait()
	for _, out := range o.outputs {
		_ = unix.Close(out.fd)
		out.poll.Close()
	}
}

// read passes the lines of one output to the story until its end.
func (o *observer) read(out *output) {
	var (
		split   splitter
		buf     = make([]byte, 64<<10)
		stopped bool
		since   int // bytes since the last pause
	)
	for !o.told() {
		n := rawsys.Read(out.fd, buf)
		if n > 0 {
			now := o.clock.now()
			o.lines(func(line func([]byte, time.Time)) { split.write(buf[:n], now, line) }, out.stream)
			since += n
		}
		switch {
		case n == 0 || n < 0 && stopped:
			o.lines(split.flush, out.stream)
			return
		case n == len(buf) || stopped:
			continue
		case n < 0:
			out.poll.Again(out.fd, out.fd)
		case since < floodBytes:
			out.poll.After(readPause)
		default:
			out.poll.After(floodPause)
		}
		since = 0
		stopped = out.poll.Wait(func(int) {})
	}
}

// told reports whether the story is.
func (o *observer) told() bool {
	select {
	case <-o.over:
		return true
	default:
		return false
	}
}
