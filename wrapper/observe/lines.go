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
