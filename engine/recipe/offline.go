// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// LogOptions say how a captured log is to be read.
type LogOptions struct {
	Engine   string // a recipe's name; empty: the one that recognises most
	Exit     *Exit  // if it is known
	Ended    bool   // the container has ended, nobody knows how
	Now      time.Time
	Location *time.Location
}

// ErrNoEngine is returned for a log in which no recipe recognises anything.
var ErrNoEngine = errors.New("no engine's start-up log")

// ReadLog reads a captured log: times are those in the lines, and a log that simply ends is judged by how it ends.
func ReadLog(from io.Reader, o LogOptions) (Result, error) {
	named := ByName(o.Engine)
	if o.Engine != "" && named == nil {
		return Result{}, fmt.Errorf("unknown engine %q", o.Engine)
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	log, err := io.ReadAll(from)
	if err != nil {
		return Result{}, fmt.Errorf("read log: %w", err)
	}
	o.Now = written(log, o)
	readers := Listen(named, Options{Embedded: true, Now: o.Now, Location: o.Location})
	text := collected(log)
	lines := splitter{log: text, width: wrapWidth(text)}
	for line, ok := lines.next(); ok; line, ok = lines.next() {
		for _, r := range readers {
			r.Line(o.Now, Stdout, line)
		}
	}
	best := Best(readers)
	if !best.Recognised() && (o.Engine == "" || len(best.start.failures) == 0) {
		return Result{}, ErrNoEngine
	}
	return best.concluded(o.Exit, cmp.Or(best.latest, best.late, o.Now), o.Ended, !cutOff(log)), nil
}

// cutOff says whether a log ends where whoever copied it stopped, rather than where its writer did.
func cutOff(log []byte) bool {
	if !bytes.HasSuffix(log, []byte("\n")) {
		return true
	}
	last := bytes.TrimSpace(log)
	last = bytes.ToLower(bytes.Trim(last[bytes.LastIndexByte(last, '\n')+1:], "[]()<> \t-"))
	return bytes.HasSuffix(last, []byte("...")) && len(last) < 8 || bytes.HasSuffix(last, []byte("truncated"))
}

// written is a time not long after that at which a log was: stamps without a year are of the year that brings them
// nearest to the first that has one. It is now where there is none.
func written(log []byte, o LogOptions) time.Time {
	zone := o.Location
	if zone == nil {
		zone = time.Local
	}
	for len(log) > 0 {
		line := firstLine(log)
		log = log[min(len(line)+1, len(log)):]
		// What has no year is read as of 1970.
		if t, ok := stamped(line, time.Unix(0, 0), zone); ok && t.Year() > 2000 && t.Before(o.Now) {
			return earlier(t.AddDate(0, 6, 0), o.Now)
		}
	}
	return o.Now
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// score counts what makes a log an engine's; an introduction outweighs lines that engines share by borrowing code.
func (r *Reader) score() int {
	score := r.matched
	if !r.start.ready.IsZero() {
		score += 20
	}
	if !r.start.at[markLaunch].IsZero() {
		score += 50
	}
	return score
}

// concluded is the Result of a log that is all there is. Whether the writer of one that stops in the middle of a start
// was killed, or whoever copied it stopped, can't be told from the text.
func (r *Reader) concluded(exit *Exit, end time.Time, ended, whole bool) Result {
	s := r.start
	if !whole && s.passed(markWaiting) {
		s.forget("")
	}
	if s.outcomeUnknown(exit) && ended {
		s.fail(end, failure{reason: ReasonEndedSilently, class: generic})
	}
	out := r.Result(exit, end)
	if s.firstStamp != "" {
		out.Figures["first_stamp"] = s.firstStamp
	}
	if s.readyStamp != "" {
		out.Figures["ready_stamp"] = s.readyStamp[len("01-02 "):]
	} else if !s.ready.IsZero() && !r.latest.IsZero() {
		out.Figures["ready_stamp"] = s.ready.Format(time.TimeOnly)
	}
	return out
}

func (s *launch) outcomeUnknown(exit *Exit) bool {
	outcome, _ := s.outcome(exit)
	return outcome == OutcomeTruncated
}

// splitter cuts a log at \n and \r, and joins what a terminal of width columns has wrapped.
type splitter struct {
	log   []byte
	width int // 0: not wrapped
	buf   []byte
}

func (s *splitter) next() ([]byte, bool) {
	line, ok := s.cut()
	if !ok || s.width == 0 || columns(line) < s.width*3/4 {
		return line, ok
	}
	s.buf = append(s.buf[:0], line...)
	for len(s.buf) < maxLine && columns(line) >= s.width*3/4 && len(s.log) > 0 && !headed(s.log) {
		line, _ = s.cut()
		s.buf = append(s.buf, line...)
	}
	return s.buf, true
}

// columns is how wide a terminal shows a line: bars are drawn with runes of three bytes, and colours with none.
func columns(line []byte) int {
	if coloured(line) {
		line = clean(nil, line)
	}
	return utf8.RuneCount(line)
}

func (s *splitter) cut() ([]byte, bool) {
	if len(s.log) == 0 {
		return nil, false
	}
	end := bytes.IndexAny(s.log, "\r\n")
	if end < 0 {
		line := s.log
		s.log = nil
		return line, true
	}
	line := s.log[:end]
	if bytes.HasPrefix(s.log[end:], []byte("\r\n")) {
		end++
	}
	s.log = s.log[end+1:]
	return line, true
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
	h := parse(log)
	return len(log) == 0 || h.stamp != nil || log[0] == '{' || logged(log) || len(h.message) < len(bytes.TrimLeft(log, " \t")) || bytes.HasPrefix(log, []byte("INFO:"))
}

// wrapWidth is the width of the terminal that a log was copied from, 0 if it was not: no line of a log that says how
// its engine is configured is short, unless all are.
func wrapWidth(log []byte) int {
	longest, full, wrapped := 0, 0, 0
	lines := bufio.NewScanner(bytes.NewReader(log))
	lines.Buffer(nil, len(log)+1)
	for lines.Scan() {
		longest = max(longest, columns(lines.Bytes()))
	}
	if longest < 60 || longest > 300 {
		return 0
	}
	rest := log
	for len(rest) > 0 {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			break
		}
		if columns(rest[:end]) >= longest*3/4 {
			full++
			if !headed(rest[end+1:]) {
				wrapped++
			}
		}
		rest = rest[end+1:]
	}
	if full < 8 || wrapped < full/4 {
		return 0
	}
	return longest
}
