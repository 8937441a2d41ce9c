// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/podlog"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/container"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// inside reads what happened in the target container: the last of its runs and, if that is asked for, the one before.
func (r *Reader) inside(ctx context.Context, p *corev1.Pod, id endpoint.Identity, facts *pod.Facts, s *Start) {
	if t, ok := podlog.TargetOf(p, id); ok {
		r.attempts(ctx, &t, t.Runs(s.Outside, facts), s)
	}
}

// beside reads what happened in another container than the one that serves, such as an init container that downloads. Facts are as
// if it were the target. What it did is told under keys of its own, as parts of the span that tells how long it ran:
//
//	pod_startup
//	├─ init_container fetch
//	│  └─ s5cmd_download fetch
func (r *Reader) beside(ctx context.Context, p *corev1.Pod, id endpoint.Identity, facts *pod.Facts, s *Start) {
	id.Container = r.Container // which need be none that could serve
	t, ok := podlog.TargetOf(p, id)
	if !ok {
		s.lacks(Missing{"there is no container " + r.Container + " in " + p.Name, "there are " + strings.Join(containers(p), ", ")})
		return
	}
	if slices.ContainsFunc(p.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == t.Container && c.RestartPolicy == nil }) {
		t.Role = startup.RoleBatch // it is done when it ends
	}
	r.attempts(ctx, &t, t.Runs(facts.Build(r.Now(), 0).Spans, facts), s)
	s.Inside = slices.DeleteFunc(s.Inside, func(sp pod.Span) bool { return sp.Name == startup.SpanStartup })
	for i := range s.Inside {
		s.beside(&s.Inside[i], t.Container)
	}
}

func (s *Start) beside(sp *pod.Span, of string) {
	run := int(max(1, sp.Get(startup.AttrAttempt).AsInt64()))
	if sp.ParentKey != startup.Key(startup.SpanStartup, "", run) {
		sp.ParentKey = of + "/" + sp.ParentKey
	} else if sp.ParentKey = startup.Key(startup.SpanInitContainer, of, run); !slices.ContainsFunc(s.Outside, func(o pod.Span) bool { return o.Key == sp.ParentKey }) {
		sp.ParentKey = startup.Key(startup.SpanPodStartup, "", 1)
	}
	sp.Key = of + "/" + sp.Key
	sp.Attributes = append(slices.Clip(sp.Attributes), attribute.String(startup.AttrContainerName, of))
}

func containers(p *corev1.Pod) (names []string) {
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			names = append(names, list[i].Name)
		}
	}
	return names
}

// attempts reads the runs of a container whose logs are there.
func (r *Reader) attempts(ctx context.Context, t *podlog.Target, runs []container.Run, s *Start) {
	if len(runs) == 0 {
		return
	}
	last := runs[len(runs)-1]
	// A kubelet keeps the log of a container's last run, and of the one before it while that runs. Who waits to be started again has no
	// log but that of its last run: then status does not tell of the one before, either.
	kept := len(runs) > 1 && runs[len(runs)-2].Attempt == last.Attempt-1
	s.lackAttempts(last.Attempt, kept, r.Previous)
	if kept && r.Previous {
		r.read(ctx, t, runs[len(runs)-2], true, s)
	}
	r.read(ctx, t, last, false, s)
}

func (s *Start) lackAttempts(last int, kept, previous bool) {
	const gone = "those before are gone"
	switch {
	case last == 1, last == 2 && kept && previous:
	case last == 2 && kept:
		s.lacks(Missing{"the log of attempt 1 was not read", "--previous reads it"})
	case kept && previous:
		s.lacks(Missing{fmt.Sprintf("of %d attempts the logs of the last two were read", last), gone})
	case kept:
		s.lacks(Missing{fmt.Sprintf("of %d attempts the log of the last one was read", last), "--previous reads one more; " + gone})
	default:
		s.lacks(Missing{fmt.Sprintf("of %d attempts the log of the last one was read", last), gone})
	}
}

// read adds the spans of a run.
func (r *Reader) read(ctx context.Context, t *podlog.Target, run container.Run, previous bool, s *Start) {
	what := "the log of container " + t.Container
	going := r.Progress.reading(t, run, previous, pod.Skew(s.Outside))
	log := going.Log
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
		going.spent = true // it is read anew
	}
	foreign, later := log.Foreign()
	switch {
	case err != nil:
	case later:
		s.lacks(Missing{what + " is already that of the next attempt", "try again"})
	case foreign:
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
