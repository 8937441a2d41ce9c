// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/startup"
)

// Run is what is known of one run of a container beside its log.
type Run struct {
	Begin                  // Engine: the one that its command starts, if that is known
	Command string         // what it runs, as far as the pod says
	Ended   time.Time      // zero: it runs
	Exit    recipe.Exit    // where it ended
	Reason  startup.Reason // why it ended, where its exit does not say: it ran out of memory, the pod was deleted, or given up
	Ready   time.Time      // when the kubelet found it ready; zero: it never did, or nobody knows
	Probed  bool           // it asked: without a probe it finds everything ready that runs
	// StartedBy and EndedBy are where Begin.At, and Ended or Ready, come from.
	StartedBy, EndedBy startup.TimeSource
}

// Over tells that a run has ended or is ready.
func (r *Run) Over() bool { return !r.End().IsZero() }

// End is when a run ended or was ready; zero: it goes on.
func (r *Run) End() time.Time {
	if r.Ready.IsZero() {
		return r.Ended
	}
	return r.Ready
}

// Log tells the story of a run from its log, as the container runtime stamped it. No process is seen: what a download tool
// or an engine writes says that it runs.
//
//	started          cp s3://…    cp s3://…         INFO vLLM …          INFO init engine …    Application startup complete.
//	├─ s5cmd_download ───────────────┤├─ vllm_init ─────────────────────────────┤├─ server_ready ──┤
//	                                  ├─ python_import ─┤
type Log struct {
	run   Run
	story *Story
	ears  []*recipe.Reader // of what may be an engine's; nil: nobody but tools has spoken since
	since time.Time        // whoever speaks next began then
	load  *download        // that speaks
	first time.Time        // line
	last  time.Time        // line: the clock of whoever reads may be behind
	ready time.Time        // by the engine's word
	begun time.Time        // of the run, before a line said better
	older bool             // there are lines from before the run: the log is that of another run, or clocks disagree
	newer bool             // there are lines from after its end
}

// Margins of a log.
const (
	lateWords = time.Second     // after an engine is up it may say more of its start
	readyMiss = 5 * time.Second // more than the kubelet's status, with its whole seconds, may be early
	otherRun  = 2 * time.Second // a line that is older than the run by that much, or younger than its end, is not the run's
	longHead  = 2 * time.Minute // without a word; after that a line that is no introduction says that the head is gone
)

// NewLog begins to read.
func NewLog(run Run) *Log {
	run.Source = startup.TimeLog
	begin := run.Begin
	begin.Engine = nil // the log shows which of its lines are whose
	return &Log{run: run, story: New(begin, func([]startup.Span) {}), since: run.At, begun: run.At}
}

// Line takes a line, by its stamp, and reports whether there is more to be known.
func (l *Log) Line(at time.Time, text []byte) (more bool) {
	switch {
	case l.story.done:
		return false
	case at.Before(l.run.At.Add(-otherRun)):
		l.older = true
		return true
	case l.after(&l.run, at):
		l.newer = true
		return false
	case l.first.IsZero():
		l.first = at
		if at.Before(l.run.At) { // the event follows the start, and the status has whole seconds
			l.run.At, l.story.begin.At, l.since = at, at, at
		}
	case !l.ready.IsZero() && at.Sub(l.ready) > lateWords, l.run.Probed && !l.run.Ready.IsZero() && at.Sub(l.run.Ready) > readyMiss:
		l.Finish(at)
		return false
	}
	before := l.last
	l.last = at
	pieces := bytes.FieldsFunc(text, func(c rune) bool { return c == '\r' || c == '\n' })
	first := firstDrawn(pieces)
	for i, piece := range pieces {
		// A progress bar is one line, which the runtime stamps when it ends. It was first drawn right after what was said before.
		if i <= first && !before.IsZero() {
			l.piece(before, piece)
		} else {
			l.piece(at, piece)
		}
	}
	return !l.story.done
}

// firstDrawn is where a progress bar is drawn for the first of several times, what its process calls itself before it; -1: it is not.
func firstDrawn(pieces [][]byte) int {
	i := slices.IndexFunc(pieces, func(p []byte) bool { return bytes.Contains(p, []byte("%|")) })
	if i == len(pieces)-1 {
		return -1
	}
	return i
}

func (l *Log) piece(at time.Time, text []byte) {
	s := l.story
	if s.engine == nil {
		if t := saying(text, l.run.Command); t != nil {
			l.download(t, at, text)
			return
		}
		if l.ray(at, text) {
			return
		}
	}
	if l.ears == nil {
		l.ears = recipe.Listen(l.run.Engine, recipe.Options{Start: l.since, Location: time.UTC})
	}
	for _, ear := range l.ears {
		ear.Line(at, text)
	}
	if best := recipe.Best(l.ears); best.Recognised() {
		l.engine(at, best)
	}
}

// download takes what a tool says. It began when the one before it ended, and its last word is its end.
func (l *Log) download(t *tool, at time.Time, text []byte) {
	s := l.story
	if l.load == nil || l.load.tool != t {
		l.downloaded()
		p := &Process{PID: 1, Start: l.since}
		l.load = &download{tool: t, proc: p}
		s.loads[p.PID] = l.load
	}
	l.load.line(bytes.TrimLeft(text, " "))
	l.load.proc.End, l.since, l.ears = at, at, nil
}

func (l *Log) downloaded() {
	if l.load != nil {
		l.story.Exited(l.load.proc)
		l.load = nil
	}
}

// rayComplete is what the script of a cluster's head says when all nodes are there (vLLM's example, model-engine's init_ray.sh).
var rayComplete = []byte("ray cluster is initialized")

// ray takes what the setting up of a cluster says, and reports whether that is what the line is.
func (l *Log) ray(at time.Time, text []byte) bool {
	member := l.run.Role == startup.RoleWorker
	if !bytes.Contains(text, rayLine) && !bytes.Contains(text, rayComplete) {
		return false
	}
	if member == bytes.Contains(text, rayComplete) {
		return true // a head has started, and waits for others
	}
	l.downloaded()
	s := l.story
	s.ray = &rayPhase{proc: &Process{}, member: member, start: l.since}
	s.flushDownloads()
	s.rayComplete(at)
	l.since, l.ears = at, nil
	return true
}

// engine takes that an engine speaks, or that it is another one than was thought.
func (l *Log) engine(at time.Time, reader *recipe.Reader) {
	s := l.story
	l.downloaded()
	s.flushDownloads()
	if s.engine == nil || s.engine.reader != reader {
		s.engine = &engine{recipe: reader.Recipe(), start: l.since, before: maps.Clone(s.names), reader: reader}
	}
	if !s.serves(s.engine) {
		s.engineTold(at)
	} else if ready, ok := reader.Ready(); ok && l.ready.IsZero() {
		l.ready = ready
	}
}

// after tells whether a line is the next run's: the container was started again before its log was read.
func (l *Log) after(run *Run, at time.Time) bool {
	return !run.Ended.IsZero() && at.Sub(run.Ended) > otherRun
}

// Fits tells whether all that was read can be the run's, now that more is known of it. Who reads a log while its run goes on
// may have got lines of the next one, before anybody says that it ended.
func (l *Log) Fits(run Run) bool { return l.begun.Equal(run.At) && !l.after(&run, l.last) }

// Over takes how a run ended that went on when its log was begun.
func (l *Log) Over(run Run) {
	l.run.Ready, l.run.Ended, l.run.Exit, l.run.Reason, l.run.EndedBy = run.Ready, run.Ended, run.Exit, run.Reason, run.EndedBy
}

// Up is since when the container does what it is for, by its engine's word; zero: it has not said so.
func (l *Log) Up() time.Time {
	if s := l.story; s.done && s.state == startup.OutcomeReady {
		return s.phases[len(s.phases)-1].End
	}
	return l.ready
}

// HeadGone tells that the begin of the run is no longer in the log.
func (l *Log) HeadGone() bool {
	return l.first.Sub(l.run.At) > longHead && (l.story.engine == nil || !l.story.engine.reader.Introduced())
}

// Done tells that nothing more is to be known.
func (l *Log) Done() bool { return l.story.done }

// Empty tells that the log has no line of the run.
func (l *Log) Empty() bool { return l.first.IsZero() }

// Foreign tells that all lines are those of other runs, and whether the first of these is a later one.
func (l *Log) Foreign() (is, later bool) {
	return l.Empty() && (l.older || l.newer), l.Empty() && l.newer
}

// Unheard ends the story of a run whose log nobody could read: when it began and ended is all there is.
func (l *Log) Unheard(now time.Time) {
	l.run.Engine, l.ears, l.ready = nil, nil, time.Time{}
	l.story.engine, l.story.loads, l.story.ended = nil, map[int]*download{}, nil
	l.Finish(now)
}

// Engine is the name of the engine that was recognised; empty: none was.
func (l *Log) Engine() string {
	if l.story.engine == nil {
		return ""
	}
	return l.story.engine.recipe.Name()
}

// Explained tells that the log says why the run failed. What comes after that is about it.
func (l *Log) Explained() bool { return l.story.engine != nil && l.story.engine.reader.Explained() }

// Finish ends the story as far as it goes: there are no more lines now.
func (l *Log) Finish(now time.Time) {
	s := l.story
	if s.done {
		return
	}
	now = l.later(now)
	gone := l.HeadGone()
	if gone {
		s.engine, s.loads, s.ended, l.ready = nil, map[int]*download{}, nil, time.Time{}
	} else if s.engine == nil && l.run.Engine != nil && l.ears != nil { // it began, by its command, and said nothing of its own
		l.engine(now, l.ears[0])
	}
	died := !l.run.Ended.IsZero() && l.run.Exit != (recipe.Exit{})
	switch {
	case !l.ready.IsZero() && (!died || !l.run.Ready.IsZero() || l.run.Ended.Sub(l.ready) >= otherRun): // else the port was taken
		l.downloaded()
		s.Ready(l.ready)
	case !l.run.Ready.IsZero() && (l.run.Probed || s.engine == nil):
		l.downloaded()
		s.Ready(l.run.Ready)
	case l.run.Ended.IsZero():
		s.settle(now)
	case gone: // it may have been ready
	case l.run.Reason != "" && !died: // nobody saw how it ended
		s.End(l.run.Ended, nil, l.run.Reason)
	default:
		s.End(l.run.Ended, &l.run.Exit, l.run.Reason)
	}
}

// later is now, or the last that was heard.
func (l *Log) later(now time.Time) time.Time {
	return startup.Later(startup.Later(l.run.At, l.last), now)
}

// goesOn marks spans that do, while they are made.
const goesOn = "\x00"

// Spans are the spans that have ended, and those that go on now.
func (l *Log) Spans(now time.Time) (ended, open []startup.Span) {
	s := l.story
	told, now := s.phases, l.later(now)
	if !s.done && l.run.Ended.IsZero() {
		as := s.copied()
		as.Tell, as.phases, as.early = func([]startup.Span) {}, nil, nil
		as.End(now, nil, goesOn)
		told = append(slices.DeleteFunc(slices.Clone(told), func(sp startup.Span) bool { return !s.told[sp.Key] }), as.phases...)
	}
	for _, sp := range told {
		if sp.Failure == goesOn {
			sp.Failure = ""
			open = append(open, l.sourced(sp))
		} else {
			ended = append(ended, l.sourced(sp))
		}
	}
	return ended, open
}

// sourced says of a span where its edges come from: those of the run are not from its log.
func (l *Log) sourced(sp startup.Span) startup.Span {
	start, end := startup.TimeLog, startup.TimeLog
	if sp.Start.Equal(l.run.At) && l.run.StartedBy != "" && !sp.Start.Equal(l.first) {
		start = l.run.StartedBy
	}
	if (sp.End.Equal(l.run.Ready) || sp.End.Equal(l.run.Ended)) && l.run.EndedBy != "" {
		end = l.run.EndedBy
	}
	return sp.From(start, end)
}
