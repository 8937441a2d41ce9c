// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bytes"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// clock tells when the lines of a log were written.
type clock struct {
	options Options
	latest  time.Time // of the last line, by its stamp where Options.Embedded
	late    time.Time // of the last that Ray repeated, so
	fine    bool      // stamps have fractions of a second
	form    form      // of the last stamp
	own     form      // of the first line that said something of an engine
	foreign bool      // stamps of other forms are by another clock: a runner's, in another zone
	lead    string    // what stands before the heads of lines
	bar     bar
}

// bar is a progress bar that is drawn since the last stamp. None of its lines has a time, but each says how long it has been drawn:
//
//	INFO 03-01 12:00:10 Starting to load model
//	Loading checkpoint shards:   0% Completed | 0/9 [00:00<?, ?it/s]
//	Loading checkpoint shards:  44% Completed | 4/9 [08:20<10:25, 125s/it]      12:08:30 at the earliest
type bar struct {
	seen, full  bool // one is; it is at 100 %
	label       string
	since, last time.Duration // for how long by its own word: when it was seen first, and now
	passed      time.Duration // for how long others were drawn before it
	several     bool          // of one label: nobody knows whose a line is, and none counts
}

// draws takes a line without a stamp of its own. Whatever is said next may stand behind a bar.
func (c *clock) draws(text []byte) {
	if bytes.IndexByte(text, '%') < 0 || c.bar.several {
		return
	}
	at := drawnAt(text)
	if at < 0 {
		return
	}
	label := bytes.TrimRight(text[bytes.LastIndexByte(text[:at], ']')+1:at], "0123456789 ") // the returns between a bar's updates may be lost
	if varies := bytes.LastIndex(label, []byte(" (")); varies > 0 && !bytes.Contains(label[varies:], []byte("pid=")) {
		label = label[:varies] // "Capturing batches (bs=8 avail_mem=9.1 GB):"
	}
	now, full := drawnFor(text[at:]), bytes.HasSuffix(text[:at], []byte("100"))
	switch b := &c.bar; {
	case !b.seen || string(label) != b.label || now < b.last && b.full:
		*b = bar{seen: true, full: full, label: string(label), since: min(drawnFor(text), now), last: now, passed: b.length()}
	case now < b.last:
		*b = bar{several: true}
	default:
		b.last, b.full = now, full
	}
}

func (b *bar) length() time.Duration { return b.passed + b.last - b.since }

// end is when a log ends at the earliest.
func (c *clock) end() time.Time {
	if c.timed() {
		return c.reached().Add(c.bar.length())
	}
	return c.options.Now
}

// Between lines of one program: a longer step is by another clock, or what came before it was another program.
const (
	stepBack  = 2 * time.Minute
	stepAhead = 14 * time.Minute
)

// apart says whether a line can't be of the same program, or not by the same clock, as one before it.
func apart(before, at time.Time) bool {
	step := at.Sub(before)
	return !before.IsZero() && (step < -stepBack || step > stepAhead)
}

// line takes the next line apart, and tells when it was. telling: it says something of an engine.
func (c *clock) line(at time.Time, text []byte, telling bool) line {
	h := parse(text, c.lead)
	if len(h.lead) > 0 {
		c.lead = h.led(c.lead)
	}
	at, own := c.of(at, h, text, telling)
	l := line{at: at, by: at, own: own, early: !own && !c.timed(), head: h, text: text}
	if !own && c.timed() {
		c.draws(text)
		l.by = c.end()
	}
	return l
}

// of is when a line was written, as well as can be told, and whether it says so itself.
func (c *clock) of(at time.Time, h head, text []byte, telling bool) (time.Time, bool) {
	text = text[h.bar:]
	if !c.options.Embedded {
		if h.ray { // Ray collects and repeats its workers' lines, seconds to minutes late
			if t, ok := stamped(text, at, c.options.Location); ok && at.Sub(t) > 2*time.Second && at.Sub(t) < time.Hour {
				return t, true
			}
		}
		return at, true
	}
	t, of := stampOf(text, startup.Later(c.options.Now, at), c.options.Location)
	if of == formSpace && t.Nanosecond() == 0 && len(h.stamp) > 0 { // whoever collected the line wrote when, no finer than the engine
		if own, form := stampOf(h.stamp, startup.Later(c.options.Now, at), c.options.Location); form == formYearless {
			t, of = own, form
		}
	}
	if c.own == formNone && telling {
		c.own = of
	}
	if of != c.form && apart(c.latest, t) {
		if of == c.own {
			c.foreign = true
		} else if c.foreign {
			of = formNone
		}
	}
	switch {
	case of == formNone && !c.timed():
		return at, false
	case of == formNone:
		return c.reached(), false
	case h.ray:
		c.late = t
	default:
		c.latest, c.form = t, of
	}
	c.bar = bar{}
	c.fine = c.fine || t.Nanosecond() != 0
	return t, true
}

// reached is how far the log has come: what Ray repeats was written before.
func (c *clock) reached() time.Time { return startup.Later(c.latest, c.late) }

// timed says whether any line had a time.
func (c *clock) timed() bool { return !c.latest.IsZero() || !c.late.IsZero() }
