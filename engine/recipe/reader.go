// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bytes"
	"cmp"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// maxLine is how much of a line is looked at: no text of a recipe stands further in than a process prefix, a logger's
// head and a path.
const maxLine = 16 << 10

// Reader applies a recipe to the output of one process tree. It is not safe for concurrent use.
type Reader struct {
	recipe     *Recipe
	options    Options
	start      *launch
	hits       []uint16
	done       []uint64 // by rule: the last pass that it was applied in
	pass       uint64
	raised     uint64 // the last pass whose line named an exception
	buf        []byte // of a line without its colours
	clock      *clock
	earlier    []Launch        // launches before this one
	matched    int             // lines that an engine's own text matched
	client     bool            // a client of the engine's wrote them
	containers map[string]bool // that said something of the engine's: what others die of is none of its failures
	working    time.Time       // when the engine was first seen to be past its imports, see Working

	open   map[string]bool // ranks in the middle of a Python traceback
	aside  map[string]mark // by rank: of whom the next one is
	beside mark            // of whom the last is that was opened; empty: of the program
	opened int             // lines since one of them was last opened
	record string          // the rank of the last of them, if further lines don't say it
}

// NewReader starts reading. One Reader serves one start of a container, with all launches in it.
func (r *Recipe) NewReader(o Options) *Reader {
	r.prepare.Do(func() {
		texts := make([]string, len(r.rules))
		for i := range r.rules {
			texts[i] = r.rules[i].sought()
		}
		r.literal = newLiterals(texts)
	})
	if o.Location == nil {
		o.Location = time.Local
	}
	return &Reader{
		recipe: r, options: o, clock: &clock{options: o}, start: newLaunch(), open: map[string]bool{}, containers: map[string]bool{}, aside: map[string]mark{}, done: make([]uint64, len(r.rules)),
	}
}

// Line reads one line, without its terminator. A line that says nothing costs one pass over it and no memory.
func (r *Reader) Line(at time.Time, raw []byte) {
	text := tidy(&r.buf, raw)
	r.hits = r.recipe.literal.in(text, r.hits[:0])
	if len(r.hits) == 0 && len(r.open) == 0 && !r.options.Embedded && !r.start.first.IsZero() {
		r.start.hush.heard(at, nil, false)
		return
	}
	if len(text) == 0 {
		return
	}
	r.read(r.clock.line(at, text, len(r.hits) > 0))
}

// tidy is the part of a line that is looked at, without colours, which are taken off in buf.
func tidy(buf *[]byte, raw []byte) []byte {
	if len(raw) > maxLine {
		raw = raw[:maxLine]
	}
	if coloured(raw) {
		*buf = clean(*buf, raw)
		raw = *buf
	}
	return bytes.Trim(raw, "\r\n")
}

// read is for lines that may say something; r.hits are the texts in it.
func (r *Reader) read(l line) {
	s, h, text := r.start, l.head, l.text
	if l.early {
		l.at = l.at.Add(s.stated)
		l.by = l.at
	}
	switch {
	case h.stamp == nil && len(r.hits) > 0 && drawn(text):
		s.drew = s.drew || s.first.IsZero()
	case !l.early && (h.stamp != nil || len(r.hits) > 0 || s.first.IsZero() && logged(text)):
		s.seen(&l, r.options.Embedded && (h.stamp != nil || len(r.hits) > 0))
	}
	l.since = s.hush.last
	if l.own {
		s.hush.heard(l.at, text, r.options.Embedded)
	}
	r.pass++
	foreign := len(l.container) > 0 && len(r.containers) > 0 && !r.containers[string(l.container)]
	if !foreign {
		r.traceback(&l)
	}
	if s.prompt.at.IsZero() && s.server != "" && h.stamp != nil && !hasPID(h.rank) && s.over() {
		s.prompt = prompt{at: l.at, stamp: string(h.stamp), since: l.since} // a server's processes have names once they are past their imports
	}
	for _, hit := range r.hits {
		if r.done[hit] == r.pass {
			continue // the text is there twice
		}
		r.done[hit] = r.pass
		rule := &r.recipe.rules[hit]
		if rule.Mark == markReady && !s.ready.IsZero() && s.exit == nil {
			continue // a server says so with each answer
		}
		if !foreign || !rule.shared || rule.Mark == markExited {
			r.apply(l, rule)
		}
	}
	if r.start != s { // the line began another launch
		r.start.lentFirst = !l.own
		r.start.seen(&l, r.options.Embedded)
		clear(r.open)
	}
	if s = r.start; h.stamp != nil && s.ready.IsZero() && s.lastStamp != string(h.stamp) {
		s.lastStamp = string(h.stamp)
	}
}

// line is one that may say something.
type line struct {
	at    time.Time
	by    time.Time // when it was written at the earliest: at, or later where a bar was drawn since
	since time.Time // of the line before
	own   bool      // at is the line's own, not that of one before it
	early bool      // no line before it had a time, nor has it
	bar   bool      // it is a progress bar's
	lent  bool      // at is that of a line before it that has none of its own either, and told of a stage
	head
	text []byte // the whole line, clean
}

// known is a time of the line's, if it has any.
func (l *line) known(at time.Time) time.Time {
	if l.early {
		return time.Time{}
	}
	return at
}

// tells says whether a line shows that the engine's logger says how far it is: not a bar, a complaint, or a line of
// others that only counts because of what was said before.
func (r *rule) tells(l line) bool {
	return !r.shared && !l.bar && r.Fails == "" && r.Needs == "" && (len(l.level) == 0 || l.level[0] == 'I' || l.level[0] == 'D')
}

// introduces says whether a line may as well be of a launch that begins.
func (r *rule) introduces() bool {
	switch r.Mark {
	case "", markPrompt, markLaunch, markEngineSeen:
		return r.Phase == "" && r.Figures == nil && (r.Opens == "" || r.Opens == startup.SpanEngineConfig || r.Opens == startup.SpanWorkerLaunch)
	}
	return false
}

// apply takes one text's meaning, if the line is really it.
func (r *Reader) apply(l line, rule *rule) {
	c, ok := r.means(&l, rule)
	if !ok {
		return
	}
	if rule.Mark == markExited {
		r.exited(&l, rule, c)
		return
	}
	if ready := r.start.ready; !ready.IsZero() && l.at.Sub(ready) > coarse && rule.Fails == "" && !r.anew(&l, rule.Mark) {
		return // a server's work: weights that are loaded anew, engines that are added
	}
	r.marked(l, rule, c)
	s := r.start
	if !rule.shared && !l.bar {
		r.matched++
	}
	s.spoke = s.spoke || rule.tells(l)
	if v := c.text("version"); v != "" && (s.version == "" || rule.Mark != "") {
		s.version = v
	}
	if rule.Phase != "" || rule.Figures != nil {
		s.measured = startup.Later(s.measured, l.at)
	}
	if !rule.shared {
		s.container = string(l.container)
		if len(l.container) > 0 && !l.bar && !r.containers[s.container] && len(r.containers) < maxRanks {
			r.containers[s.container] = true
		}
		if !rule.introduces() {
			s.exit, s.prompt.last = nil, false // it was another program's: this one goes on
			if rule.Fails == "" {
				s.outliveThreads()
			}
		}
	}
	rank := string(l.rank)
	if rank == "" && l.text[0] == '{' {
		rank = rankWithin(l.text)
	}
	if stated := c.text("rank"); stated != "" {
		rank = stated
	}
	s.measures(rule, rank, c)
	if stated, _ := c.seconds(); rule.Mark == markEngineReady {
		s.loaded("", true, l.at.Add(-time.Duration(stated*float64(time.Second))))
		if isLoading(s.stage().name) { // it said nothing of what came between
			s.enter(startup.SpanMemoryProfiling, startup.Later(s.stage().at, l.at.Add(-time.Duration(stated*float64(time.Second)))))
		}
	}
	s.edge(l, rank, rule, c, r.options.Embedded)
	switch {
	case rule.Fails != "":
		r.complained(l, rank, rule, c)
	case rule.Phase == "" || l.bar:
	case rule.Edge == "begin":
		s.goesOn(rank)
	default:
		s.progressed(rank)
	}
}

// means says whether a line that has a text's literal is that text, and what its placeholders held. It gives the line its rank and
// says whether it is a bar.
func (r *Reader) means(l *line, rule *rule) (c capture, ok bool) {
	from := bytes.Index(l.text, []byte(rule.literal()))
	if from < 0 { // only the part of it that is searched for is there
		return c, false
	}
	if l.rank == nil {
		l.rank = rankBefore(l.text[:from])
	}
	if rule.But != "" && bytes.Contains(l.text, []byte(rule.But)) || rule.Starts && !bytes.HasPrefix(l.message, []byte(rule.literal())) ||
		!r.start.saidBy(rule.By, string(l.rank), l.text[:from]) {
		return c, false
	}
	c, ok = rule.match(l.text[from:])
	if !ok || !r.start.passed(rule.Needs) || rule.Unless != "" && r.start.passed(rule.Unless) {
		return c, false
	}
	l.bar = drawn(l.text[from:])
	return c, rule.applies(cmp.Or(r.start.version, c.text("version")))
}

// measures takes the figures that a line states.
func (s *launch) measures(rule *rule, rank string, c capture) {
	for group, figure := range rule.Figures {
		v, ok := c.number(group)
		if !ok {
			continue
		}
		if group == "duration" {
			v, _ = c.seconds()
		}
		if rule.Times != 0 {
			v *= rule.Times
		}
		if rule.Fallback {
			figure = fallback + figure
		}
		if rule.Tentative {
			figure = fallback + fallback + figure
		}
		s.figure(figure, rank, v)
	}
}

// complained takes what a line says that the start failed of.
func (r *Reader) complained(l line, rank string, rule *rule, c capture) {
	if string(l.level) == "WARNING" {
		return // it goes on without
	}
	if rule.Fails == startup.ReasonEngineFailed && r.raised == r.pass {
		r.start.unraise(rank) // the server's exception says no more than that
	}
	f := failure{reason: rule.Fails, rank: rank, at: l.by, class: typed, hard: rule.Hard}
	if signal, ok := c.number("signal"); ok && died[int(signal)] != "" {
		f.reason, f.hard = died[int(signal)], true
	}
	r.start.fail(l.at, f)
}

// Recognised says whether any line was one of the engine's: false for silenced or foreign logging, and for what a client quotes.
func (r *Reader) Recognised() bool { return r.matched > 0 && !r.client }

// EngineReady is when the engine was initialised, and whether it is.
func (r *Reader) EngineReady() (time.Time, bool) {
	t := r.start.engineTime()
	return t, !t.IsZero()
}

// settled is after how long nothing more is expected of other ranks.
const settled = 10 * time.Second

// Initialised is when all that is known of the engine was initialised, and whether it is by now.
func (r *Reader) Initialised(now time.Time) (time.Time, bool) {
	t := r.start.engineTime()
	certain := !r.start.strong.IsZero() || !r.start.weak.IsZero()
	return t, !t.IsZero() && !r.start.partsMissing() && (certain || now.Sub(t) >= settled)
}

// Awaits says whether more may be said of a phase: a process is known that has not said yet that it is through with it, as
// others may have, or none has said so, and it is known only by what came before and after.
func (r *Reader) Awaits(p *startup.Span) bool {
	t := r.start.tracks[p.Name]
	switch {
	case t == nil, p.Attributes == nil:
		return early[p.Name] == 0
	case len(t.open) == 0 && t.stretches[""] != nil:
		return false // one for all
	}
	ranks := 0
	for _, other := range r.start.tracks {
		ranks = max(ranks, len(other.stretches)+len(other.open))
	}
	return len(t.open) > 0 || len(t.stretches) < ranks
}

// Headless says that the log tells of a part of an engine that serves nothing: it is ready when it is initialised.
func (r *Reader) Headless() bool {
	return r.start.passed(markHeadless) || r.start.expected["engines"] > 0
}

// Ready is when the server said that it serves: the fallback where health can't be asked.
func (r *Reader) Ready() (time.Time, bool) { return r.start.ready, !r.start.ready.IsZero() }

// Explained tells that a text names what the start failed of, which nothing that comes later replaces.
func (r *Reader) Explained() bool {
	cause, ok := r.start.cause()
	return ok && cause.class == typed
}

// MayServe says whether a healthy answer can be the engine's by now: the recipe needs no marker of its own, it was seen,
// or the engine's log does not speak and there is nothing to wait for.
func (r *Reader) MayServe() bool {
	s := r.start
	switch {
	case r.recipe.serveMarker == "" || !s.ready.IsZero():
		return true
	case !s.spoke && s.engineTime().IsZero():
		return true
	case r.recipe.serveMarker == markReady || len(s.serving) > 0 && s.unserved() > 0:
		return false
	}
	return !s.engineTime().IsZero()
}

// Working tells the reader that the engine was seen to be past its imports at that time, though its log may be silent.
func (r *Reader) Working(at time.Time) {
	if r.working.IsZero() || at.Before(r.working) {
		r.working = at
	}
}

// died are the reasons of processes that were ended by a signal.
var died = map[int]startup.Reason{4: "illegal_instruction", 6: "aborted", 7: "bus_error", 9: startup.ReasonKilled, 11: "segmentation_fault"}

// Died tells the reader that a process of the engine's was ended by a signal. Where it is the first to complain and the
// start does not go on, that is the cause: what the others say of it names none.
func (r *Reader) Died(at time.Time, signal int) {
	if reason, fatal := died[signal]; fatal && len(r.start.failures) == 0 {
		r.start.fail(at, failure{reason: reason, class: typed})
	}
}

// Served tells the reader that health was answered: the start is ready whatever the log says.
func (r *Reader) Served(at time.Time) {
	r.start.engineUp(at)
	if r.start.ready.IsZero() {
		r.start.ready, r.start.readyStamp = at, r.start.lastStamp
	}
}
