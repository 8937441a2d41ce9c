// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"errors"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/podlog"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// Bounds of reading logs, beside those of one start.
const (
	logReaders = 8                // requests at a time
	nodeRests  = 10 * time.Second // a node that did not answer is not asked again before
	tryAgain   = 3 * time.Second
	// maxHeld is how many logs are known in part at a time: about 40 KB each, with what waits to be collected half as much again. Those
	// beyond it are read from their begin again, which is no more requests.
	maxHeld = 150
)

// anywhere stands for all namespaces.
const anywhere = "*"

// mayRead says whether logs of a namespace may be read.
func (w *Watcher) mayRead(namespace string) bool {
	return slices.Contains(w.cfg.LogNamespaces, anywhere) || slices.Contains(w.cfg.LogNamespaces, namespace)
}

// listensTo decides who tells what happens inside of a start. The caller holds the lock.
func (w *Watcher) listensTo(s *start, p *corev1.Pod, sel *inject.Selection) {
	if s.quiet {
		s.insideBy = inject.ReasonNotAnEndpoint
		return
	}
	logs, mayRead := sel.Settings.Logs, w.mayRead(p.Namespace)
	by, reason := inject.InsideOf(logs, inject.Wrapped(p.Annotations), mayRead)
	s.insideBy = reason
	if by == inject.InsideNobody || logs == config.LogsOff || !mayRead {
		return
	}
	if t, ok := podlog.TargetOf(p, sel.Identity); ok {
		s.inside = &inside{target: t, by: by}
		s.inside.adopt(s.facts)
	}
}

// adopt lets facts wait for what the log says, where nothing else says it. What it said to a leader before, or before the facts were
// shed, holds.
func (in *inside) adopt(facts *pod.Facts) {
	facts.Hear(in.said)
	in.said = facts.Said()
	if in.tells() {
		facts.AwaitLog()
	}
}

// tells whether what happened inside is told by the log and by nothing else.
func (in *inside) tells() bool { return in != nil && in.by == inject.InsideLog }

// plan looks what there is to read of a start, and reports when there is more and whether a run that is over is not told. The caller
// holds the lock.
func (w *Watcher) plan(id types.UID, s *start, t *pod.Timeline, now time.Time) (again time.Duration, pending bool) {
	in := s.inside
	if in == nil {
		return 0, false
	}
	next, again, pending := in.next(now, in.target.Runs(t.Spans, s.facts), s.facts.Awaited(), func(attempt int) bool {
		return s.isDelivered(hashKey(in.toldKey(attempt)))
	})
	s.facts.Hear(in.said)
	if next == nil {
		return again, pending
	}
	next.node, next.skew = s.facts.Node, pod.Skew(t.Spans)
	if rest := w.silent[next.node].Sub(now); rest > 0 {
		return sooner(again, rest), pending
	}
	in.job = next
	w.logs.Add(id)
	return sooner(again, patience), pending
}

// listen reads logs, one at a time.
func (w *Watcher) listen(ctx context.Context) {
	for {
		id, shutdown := w.logs.Get()
		if shutdown {
			return
		}
		w.hear(ctx, id)
		w.logs.Done(id)
	}
}

// hear makes the request that a start waits for.
func (w *Watcher) hear(ctx context.Context, id types.UID) {
	w.mu.Lock()
	s := w.starts[id]
	if s == nil || s.inside == nil || s.inside.job == nil {
		w.mu.Unlock()
		return
	}
	in, j := s.inside, s.inside.job
	r := in.of(j.run.Attempt)
	j.begun = true
	in.asked++
	w.mu.Unlock()

	asked := w.cfg.Clock.Now()
	answer, err := r.read(ctx, w, &in.target, j)

	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.cfg.Clock.Now()
	w.metrics.heard(answer, err)
	in.job = nil
	delete(w.silent, j.node)
	if why := whyUnread(err); why != "" {
		w.unheard(s, r, j, why, now)
	} else {
		w.understood(s, r, j, answer, asked, now)
	}
	if w.starts[id] != s {
		return
	}
	if !r.done && w.crowded() {
		r.Log, r.heard = nil, time.Time{}
	}
	w.queue.Add(id)
}

// crowded tells whether more logs are known in part than there is room for, but for those which a reader has. The caller holds the lock.
func (w *Watcher) crowded() bool {
	n := 0
	for _, s := range w.starts {
		if n += s.inside.holding(); n > maxHeld {
			return true
		}
	}
	return false
}

func (in *inside) holding() (n int) {
	if in == nil {
		return 0
	}
	for _, r := range in.runs {
		if in.job != nil && in.job.begun && in.job.run.Attempt == r.attempt {
			continue // not even to be looked at: its reader does not hold the lock
		}
		if r.Log != nil {
			n++
		}
	}
	return n
}

// errOther is the log of another run of the container.
var errOther = errors.New("the log is that of another run")

// read makes one request.
func (r *reading) read(ctx context.Context, w *Watcher, t *podlog.Target, j *job) (podlog.Answer, error) {
	r.Begin(j.run)
	ctx, cancel := context.WithTimeout(ctx, patience/2)
	defer cancel()
	answer, err := r.On(ctx, w.client, t, podlog.Request{
		Previous: j.previous, MaxBytes: maxLogBytes, GoesOn: true, Skew: j.skew, Within: w.cfg.LogAnswer,
	})
	if _, later := r.Log.Foreign(); later && !j.previous {
		err = errOther
	}
	return answer, err
}

// whyUnread types an error; empty: there is none.
func whyUnread(err error) string {
	switch {
	case err == nil:
		return ""
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return unseenForbidden
	case apierrors.IsNotFound(err), apierrors.IsBadRequest(err), errors.Is(err, errOther):
		return unseenGone
	}
	return unseenUnanswered
}

// unheard takes that a request was not answered. The caller holds the lock.
func (w *Watcher) unheard(s *start, r *reading, j *job, why string, now time.Time) {
	in := s.inside
	if why == unseenUnanswered {
		w.silent[j.node] = now.Add(min(nodeRests, w.cfg.LogAnswer))
	}
	switch {
	case !j.last:
		if r.looked++; why == unseenForbidden || r.looked >= maxLooks && r.heard.IsZero() {
			r.looked = max(r.looked, maxLooks)
			w.serves(s, time.Time{}) // nobody will hear it say so
		}
	case why == unseenGone && !j.previous: // the container was started again before anybody said so
		r.previous, r.Log = true, nil
		r.failed++
	case why == unseenUnanswered:
		r.failed++
		r.retry = now.Add(time.Duration(r.failed) * tryAgain)
	default:
		in.giveUp(r, j.run, why, now)
	}
	if j.last && r.failed >= maxTries && !r.done {
		in.giveUp(r, j.run, why, now)
	}
}

// understood takes what a log has said up to a time. The caller holds the lock.
func (w *Watcher) understood(s *start, r *reading, j *job, answer podlog.Answer, asked, now time.Time) {
	in := s.inside
	if cut := answer.Cut && !r.Log.Done(); cut && j.last {
		if r.cut++; r.cut < maxParts {
			return // the next part
		}
		defer func() { in.unseen = unseenCut }()
	} else if !cut {
		r.heard = asked
		if j.last && asked.Before(r.whole(&j.run)) && !r.Log.Explained() {
			return // its last words may be on their way
		}
	}
	if j.last && answer.Open && !r.Log.Done() {
		// An answer that breaks off ends like one whose last line goes on: a progress bar of a process that was killed.
		r.heard = time.Time{}
		switch r.failed++; {
		case r.failed < maxTries:
			r.retry = now.Add(time.Duration(r.failed) * tryAgain)
			return
		case !j.run.Ready.IsZero():
			in.giveUp(r, j.run, unseenCut, now)
			return
		}
	}
	if up := r.Log.Up(); !up.IsZero() {
		w.serves(s, up)
	}
	if j.last {
		in.finish(r, j.run, now)
		return
	}
	r.looked++
	if r.looked >= maxLooks-1 && r.Log.Engine() == "" {
		w.serves(s, time.Time{}) // whatever it is, its log will not say
	}
	if _, open := r.Log.Spans(now); len(open) > 0 {
		in.phase = innermost(open)
	}
}

// innermost is the phase that began last.
func innermost(open []startup.Span) string {
	last := slices.MaxFunc(open, func(a, b startup.Span) int { return a.Start.Compare(b.Start) })
	return last.Name
}

// serves takes since when the target serves by its log; zero: it will not say. The caller holds the lock.
func (w *Watcher) serves(s *start, at time.Time) {
	in := s.inside
	switch {
	case !in.tells() || in.said.Served != 0:
		return
	case at.IsZero():
		in.said.Unsaid = true
	default:
		in.said.Served = at.UnixNano()
	}
	if s.facts != nil {
		s.facts.Hear(in.said)
	}
	w.dirty = true
}
