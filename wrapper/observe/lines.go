// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"bytes"
	"time"
)

// maxLine bounds what is kept of one line. What follows is skipped to its end.
const maxLine = 16 << 10

// splitter cuts a stream into lines at \n and at \r, with which progress bars redraw. Its memory is bounded, whatever
// comes.
type splitter struct {
	rest []byte    // the begin of a line whose end has not come
	at   time.Time // when the last of rest came
	long bool      // its limit is reached
}

// write passes complete lines on, without their ends and with the time at which the last of them came: a progress bar
// ends its line only when it draws the next one. They are valid during the call.
func (s *splitter) write(b []byte, now time.Time, line func([]byte, time.Time)) {
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if r := bytes.IndexByte(b[:cut(i, len(b))], '\r'); r >= 0 {
			i = r
		}
		if i < 0 {
			s.keep(b, now)
			return
		}
		switch {
		case len(s.rest) > 0:
			if i > 0 {
				s.keep(b[:i], now)
			}
			line(s.rest, s.at)
			s.rest = s.rest[:0]
		case i > 0:
			line(b[:min(i, maxLine)], now)
		}
		s.long = false
		b = b[i+1:]
	}
}

func cut(i, n int) int {
	if i < 0 {
		return n
	}
	return i
}

func (s *splitter) keep(b []byte, now time.Time) {
	s.at = now
	if s.long {
		return
	}
	room := maxLine - len(s.rest)
	if len(b) >= room {
		b, s.long = b[:room], true
	}
	s.rest = append(s.rest, b...)
}

// flush passes on a last line without an end.
func (s *splitter) flush(line func([]byte, time.Time)) {
	if len(s.rest) > 0 {
		line(s.rest, s.at)
		s.rest = nil
	}
}

// backlog keeps the latest lines from before it is known whose they are: a process is recognised a moment after it
// began to talk.
type backlog struct {
	ring     []heard // maxBacklogLines of them, which are used again
	first, n int
	size     int // of n texts
}

type heard struct {
	at     time.Time
	stream int
	text   []byte
}

const (
	maxBacklog      = 512 << 10 // bytes
	maxBacklogLines = 2000
	keptText        = 256 // bytes: a longer text's memory is not used again
)

func (l *backlog) add(at time.Time, stream int, text []byte) {
	if l.ring == nil {
		l.ring = make([]heard, maxBacklogLines)
	}
	for l.n == len(l.ring) || l.n > 0 && l.size+len(text) > maxBacklog {
		l.drop()
	}
	h := l.at(l.n)
	h.at, h.stream, h.text = at, stream, append(h.text[:0], text...)
	l.n++
	l.size += len(text)
}

func (l *backlog) at(i int) *heard { return &l.ring[(l.first+i)%len(l.ring)] }

// drop forgets the oldest.
func (l *backlog) drop() {
	h := l.at(0)
	l.size -= len(h.text)
	if cap(h.text) > keptText {
		h.text = nil
	}
	l.first = (l.first + 1) % len(l.ring)
	l.n--
}

// since passes the lines from a time on to f and forgets all.
func (l *backlog) since(t time.Time, f func(heard)) {
	for i := range l.n {
		if h := l.at(i); !h.at.Before(t) {
			f(*h)
		}
	}
	*l = backlog{}
}
