// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/podlog"
	"github.com/coldtrace/coldtrace/startup/container"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// inside reads what happened in the target container: the last of its runs and, if that is asked for, the one before.
func (r *Reader) inside(ctx context.Context, p *corev1.Pod, id endpoint.Identity, facts *pod.Facts, s *Start) {
	t, ok := podlog.TargetOf(p, id)
	runs := t.Runs(s.Outside, facts)
	if !ok || len(runs) == 0 {
		return
	}
	last := runs[len(runs)-1]
	s.lackAttempts(last.Attempt, r.Previous)
	if r.Previous && len(runs) > 1 {
		r.read(ctx, &t, runs[len(runs)-2], true, s)
	}
	r.read(ctx, &t, last, false, s)
}

func (s *Start) lackAttempts(last int, previous bool) {
	switch {
	case last == 2 && !previous:
		s.lacks(Missing{"the log of attempt 1 was not read", "--previous reads it"})
	case last > 2 && !previous:
		s.lacks(Missing{fmt.Sprintf("of %d attempts the log of the last one was read", last), "--previous reads one more; those before are gone"})
	case last > 2:
		s.lacks(Missing{fmt.Sprintf("of %d attempts the logs of the last two are kept", last), ""})
	}
}

// read adds the spans of a run.
func (r *Reader) read(ctx context.Context, t *podlog.Target, run container.Run, previous bool, s *Start) {
	what := "the log of container " + t.Container
	going := r.Progress.reading(t, run, previous, pod.Skew(s.Outside))
	log := going.log
	answer, err := going.read(ctx, t, r, podlog.Request{Previous: previous, Skew: pod.Skew(s.Outside), GoesOn: r.Progress != nil && !run.Over()})
	switch {
	case err != nil && previous && apierrors.IsBadRequest(err):
		s.lacks(Missing{"the log of the attempt before the last is gone", ""})
		return
	case err != nil:
		s.lacks(unread(what, err))
	case answer.Cut && !log.Done():
		s.lacks(Missing{"the begin of " + what + " did not say that it is ready", "--max-log-bytes reads more"})
	}
	now := r.Now()
	if err == nil && ctx.Err() == nil {
		log.Finish(now)
	} else {
		log.Unheard(now)
		going.of = container.Run{} // it is read anew
	}
	switch {
	case err != nil:
	case log.Strange > 0 && log.Empty():
		s.lacks(Missing{what + " is of another attempt", "--previous"})
	case log.HeadGone():
		s.lacks(Missing{"the begin of " + what + " was rotated away: what happened inside is not told", "the wrapper, or the watcher, tells it as it happens"})
	case log.Engine() == "":
		s.lacks(Missing{"no engine was recognised in " + what, "the annotation coldtrace.io/engine names one"})
	}
	ended, open := log.Spans(now)
	for _, sp := range ended {
		s.Inside = append(s.Inside, pod.Span{Span: sp})
	}
	for _, sp := range open {
		s.Inside = append(s.Inside, pod.Span{Span: sp, Open: true})
	}
}
