// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"unicode/utf8"
)

// splitter cuts a log at \n and \r, and joins what a terminal of width columns has wrapped. A line that is longer than its
// reader's buffer comes in pieces.
type splitter struct {
	in    *bufio.Reader
	width int // 0: not wrapped
	buf   []byte
	used  int   // of in's buffer, by the line that was cut last
	err   error // of reading
}

// next is the next line, valid until the one after it.
func (s *splitter) next() ([]byte, bool) {
	line, ok := s.cut()
	if !ok || s.width == 0 || columns(line) < s.width*3/4 {
		return line, ok
	}
	s.buf = append(s.buf[:0], line...)
	for ok && len(s.buf) < maxLine && columns(line) >= s.width*3/4 && !headed(s.ahead()) {
		line, ok = s.cut()
		s.buf = append(s.buf, line...)
	}
	return s.buf, true
}

// cut is the next line as it is there.
func (s *splitter) cut() ([]byte, bool) {
	_, _ = s.in.Discard(s.used) // it is in the buffer
	s.used = 0
	for seen := 0; ; {
		window, _ := s.in.Peek(s.in.Buffered())
		end := terminator(window[seen:])
		if end += seen; end >= seen && (window[end] == '\n' || end+1 < len(window)) {
			s.used = end + 1
			if window[end] == '\r' && window[end+1] == '\n' {
				s.used++
			}
			return window[:end], true
		}
		seen = max(0, len(window)-1)              // a \r may be there, before a \n that is not
		window, err := s.in.Peek(len(window) + 1) // which may move what is there
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
				s.err = err
			}
			s.used = len(window)
			return bytes.TrimSuffix(window, []byte("\r")), len(window) > 0
		}
	}
}

// ahead is the begin of what follows the line that was cut last.
func (s *splitter) ahead() []byte {
	window, _ := s.in.Peek(min(s.used+stampReach, s.in.Size())) // less is all that is there
	return window[min(s.used, len(window)):]
}

// terminator is where a line ends, -1: not here. Blocks keep a log that has only one of the two from being searched for the
// other to its end with each line.
func terminator(text []byte) int {
	const block = 256
	for from := 0; from < len(text); from += block {
		part := text[from:min(from+block, len(text))]
		end := bytes.IndexByte(part, '\n')
		if end >= 0 {
			part = part[:end]
		}
		if r := bytes.IndexByte(part, '\r'); r >= 0 {
			end = r
		}
		if end >= 0 {
			return from + end
		}
	}
	return -1
}

// columns is how wide a terminal shows a line: bars are drawn with runes of three bytes, and colours with none.
func columns(line []byte) int {
	if coloured(line) {
		line = clean(nil, line)
	}
	return utf8.RuneCount(line)
}

// headed says whether a log line begins here, rather than the rest of one.
func headed(log []byte) bool {
	log = log[:min(len(log), stampReach)]
	if end := bytes.IndexAny(log, "\r\n"); end >= 0 {
		log = log[:end]
	}
	if coloured(log) {
		log = clean(nil, log)
	}
	h := parse(log, "")
	return len(log) == 0 || h.stamp != nil || log[0] == '{' || logged(log) || len(h.message) < len(bytes.TrimLeft(log, " \t")) || bytes.HasPrefix(log, []byte("INFO:")) ||
		bytes.Contains(log, []byte(" - - [")) // of a server's log of requests
}

// wrapWidth is the width of the terminal that a log was copied from, 0 if it was not: no line of a log that says how
// its engine is configured is short, unless all are.
func wrapWidth(log []byte) int {
	longest, full, wrapped := 0, 0, 0
	for line := range bytes.Lines(log) {
		longest = max(longest, columns(bytes.TrimRight(line, "\r\n")))
	}
	if longest < 60 || longest > 300 {
		return 0
	}
	for rest := log; len(rest) > 0; {
		line := firstLine(rest)
		rest = rest[min(len(line)+1, len(rest)):]
		if columns(line) >= longest*3/4 {
			full++
			if !headed(rest) {
				wrapped++
			}
		}
	}
	if full < 8 || wrapped < full/4 {
		return 0
	}
	return longest
}
