// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"cmp"
	"slices"
	"time"

	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/podlog"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/container"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// Bounds of what is read of a start's log.
const (
	maxLooks    = 5           // requests before the last one, in between and for attempts that failed; as many as it takes where nothing else tells
	maxTries    = 3           // of one that is not answered
	maxLogBytes = 4 << 20     // of one answer
	maxParts    = 3           // of a run's log, of that size
	patience    = time.Minute // a start that is over waits no longer for its log
	lateWords   = 2 * time.Second
	// drained is how long after a container's end is known its runtime may still write its last lines.
	drained = 300 * time.Millisecond
)

// looks are how long a run goes on when its log is looked at in between: to see how far it is, since nothing else tells that a
// container which nothing probes serves, and since the log may be gone when it ends.
var looks = [maxLooks]time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute}

// lookAt is how long a run goes on when its log is looked at for the n-th time, from 0: after looks once in each quarter of an hour.
func lookAt(n int) time.Duration {
	const last = maxLooks - 1
	if n <= last {
		return looks[n]
	}
	return looks[last] * time.Duration(n-last+1)
}

// Why the inside of a start was not told, or not as well as it could be.
const (
	unseenUnanswered = "unanswered" // the kubelet did not answer, or nobody had the time to ask it
	unseenGone       = "gone"       // the log, or the attempt's
	unseenForbidden  = "forbidden"  // by the API server, in spite of what the chart was told
	unseenRotated    = "rotated"    // the begin of the log was no longer there
	unseenSilent     = "silent"     // the log has no line of the run
	unseenCut        = "cut"        // the log is longer than what is read of it
	unseenEngine     = "no_engine"  // no engine or download was recognised
	unseenRequests   = "requests"   // there were more attempts than requests
)

// inside is what the log of a start's container tells. Each run of the container is read when it has ended or is ready, and is
// then told as a whole: so it is the same whoever reads it.
//
//	started     look         look                   ready   read, tell
//	├───────────┼────────────┼──────────────────────┼───────┤
//	            30 s         1 m                            2 s
//
// One that ended is read at once: the kubelet starts the next at once, and keeps the log of one that ended. If it does not say why by
// then, it is read again when it is drained; if it is gone then, what was read holds.
type inside struct {
	target podlog.Target
	by     inject.Inside // the wrapper does not tell the watcher why a run failed: where it tells the rest, nothing but that is read
	runs   []*reading
	job    *job // that waits for a reader, or is with one
	asked  int  // requests
	said   pod.Said
	unseen string // the last reason why a run was told coarser
	phase  string // that goes on, by the last look
}

// reading is how far the log of a run is read.
type reading struct {
	podlog.Reading
	attempt  int
	heard    time.Time // when the log was last read to its end
	looked   int
	failed   int // requests for its end
	cut      int // answers that were
	retry    time.Time
	noticed  time.Time // when its end was
	previous bool      // another container is there by now, whoever may not say so yet
	done     bool
	spans    []startup.Span
}

// job is one request.
type job struct {
	run      container.Run
	previous bool
	last     bool // the run is over: it is told after this
	node     string
	skew     time.Duration
	begun    bool
}

// of is the reading of a run.
func (in *inside) of(attempt int) *reading {
	i := slices.IndexFunc(in.runs, func(r *reading) bool { return r.attempt == attempt })
	if i < 0 {
		in.runs = append(in.runs, &reading{attempt: attempt})
		i = len(in.runs) - 1
	}
	return in.runs[i]
}

// next is what to read now, nil if nothing; after how long there is more to read if nothing happens; and whether a run that is over
// is not told yet. Awaited: nothing but the log tells when the target serves.
func (in *inside) next(now time.Time, runs []container.Run, awaited bool, told func(attempt int) bool) (next *job, again time.Duration, pending bool) {
	if in.job != nil && !in.job.begun {
		in.job = nil // there is more to ask for by now, or less
	}
	for i := range runs {
		run := &runs[i]
		if in.by == inject.InsideWrapper && (!unexplained(run) || run.Attempt <= in.said.WhyOf) {
			continue
		}
		r := in.of(run.Attempt)
		if r.done = r.done || told(run.Attempt); r.done {
			continue
		}
		wait := in.due(now, r, run, runs, awaited)
		if r.done {
			continue
		}
		pending = pending || run.Over()
		switch {
		case wait < 0:
		case wait > 0 || next != nil || in.job != nil:
			again = sooner(again, max(wait, 0))
		default:
			next = &job{run: *run, last: run.Over(), previous: r.previous || run.Attempt < runs[len(runs)-1].Attempt}
		}
	}
	return next, again, pending
}

// unexplained tells whether a run failed, and Kubernetes knows no more than its exit code.
func unexplained(run *container.Run) bool { return run.Exit.Code != 0 && run.Reason == "" }

// sooner is the earlier of two times to come; 0: never.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// due is after how long a run is to be read; negative: not before there is news. A run that cannot be read any more is done.
func (in *inside) due(now time.Time, r *reading, run *container.Run, all []container.Run, awaited bool) time.Duration {
	if !run.Over() {
		switch spent := r.looked >= maxLooks || in.asked >= maxLooks; {
		case spent && !awaited:
			return -1
		case spent:
			r.looked = max(r.looked, maxLooks-1)
		}
		for (awaited || r.looked+1 < maxLooks) && !run.At.Add(lookAt(r.looked+1)).After(now) {
			r.looked++ // nobody was there to look
		}
		return max(0, run.At.Add(lookAt(r.looked)).Sub(now))
	}
	if r.noticed.IsZero() {
		r.noticed = now
	}
	whole := r.whole(run)
	switch newest := all[len(all)-1].Attempt; {
	case in.job != nil: // a reader has it
		return patience
	case r.heard.After(whole):
		in.finish(r, *run, now)
	case run.Attempt < newest-1, run.Attempt < newest && !all[len(all)-1].Ended.IsZero(): // of those that ended the last one's is kept
		in.giveUp(r, *run, unseenGone, now)
	case run.Attempt < newest && in.asked >= maxLooks:
		in.giveUp(r, *run, unseenRequests, now)
	case r.failed >= maxTries, now.Sub(r.noticed) >= patience:
		in.giveUp(r, *run, unseenUnanswered, now)
	}
	if run.Ready.IsZero() && !r.heardEnd() && in.asked < maxLooks {
		return max(0, r.retry.Sub(now)) // before the next run takes its place
	}
	return max(0, whole.Sub(now), r.retry.Sub(now))
}

// whole is from when on the log of a run that is over has all that it says.
func (r *reading) whole(run *container.Run) time.Time {
	whole := run.End().Add(lateWords)
	if run.Ready.IsZero() {
		whole = startup.Earlier(whole, r.noticed.Add(drained))
	}
	return whole
}

// heardEnd tells whether the log was read since the run's end is known.
func (r *reading) heardEnd() bool { return !r.noticed.IsZero() && !r.heard.Before(r.noticed) }

// finish tells a run by what was read.
func (in *inside) finish(r *reading, run container.Run, now time.Time) {
	r.Begin(run)
	r.Log.Finish(now)
	switch in.unseen = ""; {
	case r.Log.Empty():
		in.unseen = unseenSilent
	case r.Log.HeadGone():
		in.unseen = unseenRotated
	}
	in.close(r, run, now)
	if in.unseen == "" && len(r.spans) < 2 {
		in.unseen = unseenEngine
	}
}

// giveUp tells a run by what was read of its end, or without its log: when it began and ended.
func (in *inside) giveUp(r *reading, run container.Run, why string, now time.Time) {
	if r.heardEnd() {
		in.finish(r, run, now)
		in.unseen = cmp.Or(in.unseen, why)
		return
	}
	in.unseen = why
	r.Log = nil
	r.Begin(run)
	r.Log.Unheard(now)
	in.close(r, run, now)
}

func (in *inside) close(r *reading, run container.Run, now time.Time) {
	r.spans, _ = r.Log.Spans(now)
	r.Log, r.done, in.phase = nil, true, ""
	for _, s := range r.spans {
		if s.Name == startup.SpanStartup && unexplained(&run) && r.attempt > in.said.WhyOf {
			in.said.Why, in.said.WhyOf = s.Failure, r.attempt
		}
	}
	switch in.by {
	case inject.InsideWrapper:
		r.spans = nil
	case inject.InsideBoth:
		for i := range r.spans {
			r.spans[i] = compared(r.spans[i])
		}
	}
}

// comparedKey is before the keys of spans that the log tells beside the wrapper.
const comparedKey = "log:"

// compared is a span under a key of its own, in a tree of its own.
func compared(s startup.Span) startup.Span {
	s.Key = comparedKey + s.Key
	if s.ParentKey != startup.Key(startup.SpanPodStartup, "", 1) {
		s.ParentKey = comparedKey + s.ParentKey
	}
	return s
}

// toldKey is the key of the span that goes last of a run.
func (in *inside) toldKey(attempt int) string {
	key := startup.Key(startup.SpanStartup, "", attempt)
	if in.by == inject.InsideBoth {
		return comparedKey + key
	}
	return key
}

// undelivered are the spans that are told and were not delivered.
func (in *inside) undelivered(l *ledger) (spans []startup.Span) {
	for _, r := range in.runs {
		for _, s := range r.spans {
			if !l.isDelivered(hashKey(s.Key)) {
				spans = append(spans, s)
			}
		}
	}
	return spans
}
