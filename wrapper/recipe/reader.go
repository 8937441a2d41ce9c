// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bytes"
	"time"
)

// maxLine is how much of a line is looked at: no text of a recipe stands further in than a process prefix, a logger's
// head and a path.
const maxLine = 16 << 10

// Reader applies a recipe to the output of one process tree. It is not safe for concurrent use.
type Reader struct {
	recipe  *Recipe
	options Options
	start   *launch
	hits    []uint16
	done    []uint64 // by rule: the last pass that it was applied in
	pass    uint64
	raised  uint64    // the last pass whose line named an exception
	buf     []byte    // of a line without its colours
	latest  time.Time // of the last line, by its stamp where Options.Embedded
	late    time.Time // of the last that Ray repeated, so
	matched int       // lines that an engine's own text matched

	open   map[string]bool // ranks in the middle of a Python traceback
	opened int             // lines since one of them was last opened
	record string          // the rank of the last of them, if further lines don't say it
}

// NewReader starts reading. One Reader serves one start of a container, with all launches in it.
func (r *Recipe) NewReader(o Options) *Reader {
	r.prepare.Do(func() {
		texts := make([]string, len(r.rules))
		for i := range r.rules {
			texts[i] = r.rules[i].literal()
			texts[i] = texts[i][:min(len(texts[i]), searched)]
		}
		r.literal = newLiterals(texts)
	})
	if o.Location == nil {
		o.Location = time.Local
	}
	return &Reader{recipe: r, options: o, start: newLaunch(), open: map[string]bool{}, done: make([]uint64, len(r.rules))}
}

// Line reads one line, without its terminator. A line that says nothing costs one pass over it and no memory.
func (r *Reader) Line(at time.Time, _ int, raw []byte) {
	if len(raw) > maxLine {
		raw = raw[:maxLine]
	}
	if coloured(raw) {
		r.buf = clean(r.buf, raw)
		raw = r.buf
	}
	r.hits = r.recipe.literal.in(raw, r.hits[:0])
	if len(r.hits) == 0 && len(r.open) == 0 && !r.options.Embedded && !r.start.first.IsZero() {
		return
	}
	r.read(at, bytes.Trim(raw, "\r\n"))
}

// read is for lines that may say something.
func (r *Reader) read(at time.Time, text []byte) {
	if len(text) == 0 {
		return
	}
	h := parse(text)
	at, own := r.time(at, h, text)
	s := r.start
	if timed := own || !r.latest.IsZero(); timed && (h.stamp != nil || len(r.hits) > 0 || s.first.IsZero() && logged(text)) {
		s.seen(at, h)
	}
	r.pass++
	r.traceback(at, h, text)
	if h.stamp != nil && !bytes.Contains(h.rank, []byte("pid=")) && s.server != "" && s.over() && s.prompt.at.IsZero() {
		s.prompt = prompt{at, string(h.stamp)} // a server's processes have names once they are past their imports
	}
	before := r.start
	for _, hit := range r.hits {
		if r.done[hit] == r.pass {
			continue // the text is there twice
		}
		r.done[hit] = r.pass
		r.apply(line{at: at, own: own, head: h, text: text}, &r.recipe.rules[hit])
	}
	if r.start != before { // the line began another launch
		r.start.seen(at, h)
		clear(r.open)
	}
	if h.stamp != nil && r.start.ready.IsZero() {
		r.start.lastStamp = string(h.stamp)
	}
}

// line is one that may say something.
type line struct {
	at  time.Time
	own bool // at is the line's own, not that of one before it
	head
	text []byte // the whole line, clean
}

// time is when the line was written, as well as can be told, and whether it says so itself.
func (r *Reader) time(at time.Time, h head, text []byte) (time.Time, bool) {
	if !r.options.Embedded {
		if h.ray { // Ray collects and repeats its workers' lines, seconds to minutes late
			if t, ok := stamped(text[barEnd(text):], at, r.options.Location); ok && at.Sub(t) > 2*time.Second && at.Sub(t) < time.Hour {
				return t, true
			}
		}
		return at, true
	}
	latest := r.options.Now
	if latest.IsZero() {
		latest = at
	}
	if t, ok := stamped(text[barEnd(text):], latest, r.options.Location); ok {
		if h.ray {
			r.late = t
		} else {
			r.latest = t
		}
		return t, true
	}
	if r.latest.IsZero() {
		return at, false
	}
	return r.latest, false
}

// apply takes one text's meaning, if the line is really it.
func (r *Reader) apply(l line, rule *rule) {
	from := bytes.Index(l.text, []byte(rule.literal()))
	if from < 0 { // only the part of it that is searched for is there
		return
	}
	if l.rank == nil {
		l.rank = rankBefore(l.text[:from])
	}
	if rule.Starts && !bytes.HasPrefix(l.message, []byte(rule.literal())) {
		return
	}
	c, ok := rule.match(l.text[from:])
	if !ok || !r.start.passed(rule.Needs) || rule.Unless != "" && r.start.passed(rule.Unless) || rule.Server && !r.start.serverSays(l.rank) {
		return
	}
	version := r.start.version
	if version == "" {
		version = c.text("version")
	}
	if !rule.applies(version) {
		return
	}
	if !rule.shared {
		r.matched++
	}
	r.marked(l.at, l.head, rule, c)
	s := r.start
	if v := c.text("version"); v != "" && s.version == "" {
		s.version = v
	}
	rank := string(l.rank)
	if stated := c.text("rank"); stated != "" {
		rank = stated
	}
	for group, figure := range rule.Figures {
		if v, ok := c.number(group); ok {
			if group == "duration" {
				v, _ = c.seconds()
			}
			if rule.Times != 0 {
				v *= rule.Times
			}
			s.figure(figure, rank, v)
		}
	}
	s.edge(l, rank, rule, c, r.options.Embedded)
	if rule.Fails != "" {
		if rule.Fails == ReasonEngineFailed && r.raised == r.pass {
			s.unraise() // the server's exception says no more than that
		}
		s.fail(l.at, failure{reason: rule.Fails, rank: rank, class: typed, hard: rule.Hard})
	} else if rule.Phase != "" && rule.Edge != "begin" {
		s.progressed()
	}
}

// marked moves the start past a point, or to a new launch.
func (r *Reader) marked(at time.Time, h head, rule *rule, c capture) {
	s := r.start
	switch rule.Mark {
	case markPrompt:
		if s.ended() {
			r.start = newLaunch()
		} else {
			s.prompt = prompt{at, string(h.stamp)}
		}
	case markLaunch:
		if s.over() || s.begun() {
			r.start = newLaunch()
			if s.over() && !s.prompt.at.IsZero() {
				r.start.first, r.start.firstStamp = s.prompt.at, s.prompt.stamp
			}
		}
		r.start.at[markLaunch] = at
		r.start.server = string(h.rank)
	case markEngine:
		if s.over() || s.engines[string(h.rank)] && s.moved {
			r.start = newLaunch()
		}
		s = r.start
		s.engines[string(h.rank)] = true
		if v := c.text("version"); v != "" && s.version == "" {
			s.version = v
		}
		s.at[markEngine] = at
	case markEngineReady:
		s.engineReady(at)
		s.at[markEngineReady] = at
	case markEngineUp, markWorking, markServing:
		s.engineUp(at)
		s.at[rule.Mark] = at
	case markReady:
		s.engineUp(at)
		s.at[markReady] = at
		if s.ready.IsZero() {
			s.ready, s.prompt = at, prompt{}
			s.readyStamp = s.lastStamp
		}
	case markInterrupted:
		s.interrupt(at, string(h.rank))
	case markException:
		if len(r.open) < maxRanks {
			r.open[string(h.rank)] = true
			r.opened = 0
			r.record = ""
			if h.record {
				r.record = string(h.rank)
			}
		}
	case markChained:
		if len(s.chained) < maxRanks {
			s.chained[string(h.rank)] = true
		}
	case "":
	default:
		s.at[rule.Mark] = at
	}
}

// Recognised says whether any line was one of the engine's: false for silenced or foreign logging.
func (r *Reader) Recognised() bool { return r.matched > 0 }

// EngineReady is when the engine was initialised, and whether it is.
func (r *Reader) EngineReady() (time.Time, bool) {
	t := r.start.engineTime()
	return t, !t.IsZero()
}

// Ready is when the server said that it serves: the fallback where health can't be asked.
func (r *Reader) Ready() (time.Time, bool) { return r.start.ready, !r.start.ready.IsZero() }

// MayServe says whether a healthy answer can be the engine's by now: its marker was seen, the recipe needs none, or
// the log is silent and there is nothing to wait for.
func (r *Reader) MayServe() bool {
	switch {
	case r.recipe.serveMarker == "" || !r.Recognised() || !r.start.ready.IsZero():
		return true
	case r.recipe.serveMarker == markReady:
		return false
	}
	return !r.start.engineTime().IsZero()
}

// Served tells the reader that health was answered: the start is ready whatever the log says.
func (r *Reader) Served(at time.Time) {
	r.start.engineUp(at)
	if r.start.ready.IsZero() {
		r.start.ready, r.start.readyStamp = at, r.start.lastStamp
	}
}
