// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// LogOptions say how a captured log is to be read.
type LogOptions struct {
	Engine   string // a recipe's name; empty: the one that recognises most
	Exit     *Exit  // if it is known
	Ended    bool   // the container has ended, nobody knows how
	Now      time.Time
	Location *time.Location
}

// errNoEngine is returned for a log in which no recipe recognises anything.
var errNoEngine = errors.New("no engine's start-up log")

// ReadLog reads a captured log: times are those in the lines, and a log that simply ends is judged by how it ends.
func ReadLog(from io.Reader, o LogOptions) (Result, error) {
	named := ByName(o.Engine)
	if o.Engine != "" && named == nil {
		return Result{}, fmt.Errorf("unknown engine %q; there are: %s", o.Engine, strings.Join(names(), ", "))
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	in, err := Plain(from)
	if err != nil {
		return Result{}, fmt.Errorf("read log: %w", err)
	}
	text, year := collected(in)
	in = bufio.NewReaderSize(text, sampled)
	sample, _ := in.Peek(sampled) // less is all of it
	o.Now = written(sample, *year, o)
	var (
		p     = newPage(named, Options{Embedded: true, Now: o.Now, Location: o.Location})
		lines = splitter{in: in, width: wrapWidth(sample)}
	)
	for line, ok := lines.next(); ok; line, ok = lines.next() {
		p.line(o.Now, line)
	}
	cut := errors.Is(lines.err, io.ErrUnexpectedEOF) // of what it was packed in: what came before is a log
	if lines.err != nil && !cut {
		return Result{}, fmt.Errorf("read log: %w", lines.err)
	}
	best := Best(p.readers)
	if !best.Recognised() && (o.Engine == "" || len(best.start.failures) == 0 && best.start.exit == nil) {
		return Result{}, errors.Join(errNoEngine, lines.err)
	}
	out := best.concluded(o.Exit, p.clock.end(), o.Ended)
	out.Cut = cut
	return out, nil
}

// written is a time not long after that at which a log was: stamps without a year are of the year that brings them
// nearest to the first that has one, or to year, which is of an export. It is now where there is none.
func written(log []byte, year time.Time, o LogOptions) time.Time {
	zone := o.Location
	if zone == nil {
		zone = time.Local
	}
	for line := range bytes.Lines(log) {
		if !year.IsZero() {
			break
		}
		// What has no year is read as of 1970.
		if t, ok := stamped(line, time.Unix(0, 0), zone); ok && t.Year() > 2000 && t.Before(o.Now) {
			year = t
		}
	}
	if year.IsZero() {
		return o.Now
	}
	return startup.Earlier(year.AddDate(0, 6, 0), o.Now)
}

// score counts what makes a log an engine's; an introduction outweighs lines that engines share by borrowing code.
func (r *Reader) score() int {
	if r.client {
		return 0
	}
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
func (r *Reader) concluded(status *Exit, end time.Time, ended bool) Result {
	s := r.start
	if status == nil && !ended && s.passed(markWaiting) { // its last word is that it goes on
		s.forget("")
	}
	if ended && s.exit == nil {
		s.exit = &exit{}
	}
	out := r.Result(status, end)
	if s.firstStamp != "" {
		out.Figures["first_stamp"] = s.firstStamp
	}
	if s.readyStamp != "" {
		out.Figures["ready_stamp"] = s.readyStamp[len("01-02 "):]
	} else if !s.ready.IsZero() && !r.clock.latest.IsZero() {
		out.Figures["ready_stamp"] = s.ready.Format(time.TimeOnly)
	}
	return out
}
