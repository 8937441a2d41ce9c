// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"
)

// collected undoes what a container runtime does to the lines of a log that was taken from the node's disk: containerd
// writes "DATE stdout F line", Docker {"log":"line\n","stream":"stdout","time":"DATE"}. Both cut long lines. Each line
// comes back behind its date, as kubectl logs --timestamps prints it. Of an export from where a cloud keeps logs the lines come
// back as they were written, see exported; any other log comes back as it is. The time is that of an export's first line, once it was read.
func collected(in *bufio.Reader) (io.Reader, *time.Time) {
	sample, _ := in.Peek(sampled) // less is all of it
	first := firstLine(bytes.TrimLeft(sample, " \t\r\n"))
	x := &export{}
	c := &collector{in: in, cut: map[string][]byte{}}
	switch {
	case is(containerd(first)):
		c.take = c.unwrap(containerd)
	case is(docker(first)):
		c.take = c.unwrap(docker)
	case listed(sample):
		return x.whole(in, true), &x.first
	case spread(sample), x.backwards(sample):
		return x.whole(in, false), &x.first
	case is(exported(first)):
		c.take = func(line []byte) { x.line(&c.out, line) }
	default:
		return in, &x.first
	}
	return c, &x.first
}

func is[T any](_ T, ok bool) bool { return ok }

// collector reads what take makes of each line.
type collector struct {
	in   *bufio.Reader
	take func(line []byte)
	out  bytes.Buffer
	cut  map[string][]byte // by stream: what of a line has come
	err  error
}

// Read implements io.Reader.
func (c *collector) Read(to []byte) (int, error) {
	for c.out.Len() == 0 && c.err == nil {
		var line []byte
		if line, c.err = c.in.ReadSlice('\n'); errors.Is(c.err, bufio.ErrBufferFull) {
			c.err = nil // it is looked at in pieces
		}
		if len(line) > 0 {
			c.take(bytes.TrimRight(line, "\r\n"))
		}
		if c.err != nil {
			for _, rest := range c.cut {
				c.write(rest)
			}
		}
	}
	if c.out.Len() == 0 {
		return 0, c.err
	}
	return c.out.Read(to) //nolint:wrapcheck // there is something
}

func (c *collector) write(line []byte) {
	c.out.Write(line)
	c.out.WriteByte('\n')
}

func (c *collector) unwrap(of func([]byte) (entry, bool)) func([]byte) {
	return func(line []byte) {
		e, ok := of(line)
		if !ok {
			c.write(line)
			return
		}
		whole := c.cut[e.stream]
		if whole == nil {
			whole = append(append(whole, e.date...), ' ')
		}
		whole = append(whole, e.text...)
		if e.partial && len(whole) < maxLine {
			c.cut[e.stream] = whole
			return
		}
		c.write(whole)
		delete(c.cut, e.stream)
	}
}

// entry is one of a runtime's lines.
type entry struct {
	date, stream, text string
	partial            bool
}

func firstLine(log []byte) []byte {
	if end := bytes.IndexByte(log, '\n'); end >= 0 {
		return log[:end]
	}
	return log
}

func containerd(line []byte) (entry, bool) {
	if !shaped(line, "0000-00-00T00:00:00") {
		return entry{}, false
	}
	date, rest, ok := bytes.Cut(line, []byte(" "))
	stream, rest, ok2 := bytes.Cut(rest, []byte(" "))
	tag, text, _ := bytes.Cut(rest, []byte(" "))
	if !ok || !ok2 || string(stream) != "stdout" && string(stream) != "stderr" || len(tag) == 0 || tag[0] != 'F' && tag[0] != 'P' {
		return entry{}, false
	}
	return entry{date: string(date), stream: string(stream), text: string(text), partial: tag[0] == 'P'}, true
}

func docker(line []byte) (entry, bool) {
	if !bytes.HasPrefix(line, []byte(`{"log":`)) {
		return entry{}, false
	}
	var e struct{ Log, Stream, Time string }
	if err := json.Unmarshal(line, &e); err != nil || e.Stream == "" || e.Time == "" {
		return entry{}, false
	}
	text := bytes.TrimRight([]byte(e.Log), "\n")
	return entry{date: e.Time, stream: e.Stream, text: string(text), partial: len(text) == len(e.Log)}, true
}
