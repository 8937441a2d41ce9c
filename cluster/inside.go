// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/container"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// inside reads what happened in the target container: the last of its runs and, if that is asked for, the one before.
func (r *Reader) inside(ctx context.Context, p *corev1.Pod, id endpoint.Identity, s *Start) {
	runs := runsOf(p, id, s.Outside)
	if len(runs) == 0 {
		return
	}
	last := runs[len(runs)-1]
	s.lackAttempts(last.Attempt, r.Previous)
	if r.Previous && len(runs) > 1 {
		r.read(ctx, p, id, runs[len(runs)-2], true, s)
	}
	r.read(ctx, p, id, last, false, s)
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

// runsOf are the runs of the target container, from what its pod's spans say of them.
func runsOf(p *corev1.Pod, id endpoint.Identity, outside []pod.Span) []container.Run {
	var (
		runs   []container.Run
		c      = containerOf(p, id.Container)
		status = statusOf(p, id.Container)
	)
	if c == nil || status == nil {
		return nil
	}
	for i := range outside {
		sp := &outside[i]
		if sp.Name != startup.SpanPodReady {
			continue
		}
		run := container.Run{
			Begin:     container.Begin{At: sp.Start, Role: id.Role, Attempt: int(max(1, sp.Get(startup.AttrAttempt).AsInt64()))},
			Command:   strings.Join(append(slices.Clone(c.Command), c.Args...), " "),
			Probed:    c.ReadinessProbe != nil || c.StartupProbe != nil,
			StartedBy: source(sp, startup.AttrTimeSourceStart), EndedBy: source(sp, startup.AttrTimeSourceEnd),
		}
		if id.Launch.Engine != "" {
			run.Engine = recipe.ByName(id.Engine)
		}
		switch ended := endOf(status, run.Attempt); {
		case sp.Open:
		case sp.Failure == "" && ended == nil, sp.Failure == "" && !sp.End.Equal(ended.FinishedAt.Time):
			run.Ready = sp.End
		case ended != nil:
			run.Ended, run.Exit = sp.End, recipe.Exit{Code: int(ended.ExitCode)}
		default:
			run.Ended = sp.End // nobody saw how
		}
		runs = append(runs, run)
	}
	return runs
}

// source is where an edge of a span comes from.
func source(sp *pod.Span, edge string) startup.TimeSource {
	return startup.TimeSource(cmp.Or(sp.Get(edge).AsString(), sp.Get(startup.AttrTimeSource).AsString()))
}

func statusOf(p *corev1.Pod, name string) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{p.Status.ContainerStatuses, p.Status.InitContainerStatuses} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

// endOf is how an attempt ended; nil: it did not, or nobody knows any more. The count is that of the newest container
// there is: while a restart is awaited that is the one that ended.
func endOf(s *corev1.ContainerStatus, attempt int) *corev1.ContainerStateTerminated {
	newest := int(s.RestartCount) + 1
	last := newest - 1
	if s.State.Waiting != nil {
		last = newest
	}
	switch {
	case s.State.Terminated != nil && attempt == newest:
		return s.State.Terminated
	case attempt == last:
		return s.LastTerminationState.Terminated
	}
	return nil
}

// answerWithin is how long a log may be silent before its node is given up.
const answerWithin = 15 * time.Second

// read adds the spans of a run.
func (r *Reader) read(ctx context.Context, p *corev1.Pod, id endpoint.Identity, run container.Run, previous bool, s *Start) {
	what := "the log of container " + id.Container
	log := container.NewLog(run)
	cut, err := r.log(ctx, p, id.Container, previous, s.skew(), log)
	switch {
	case err != nil && previous && apierrors.IsBadRequest(err):
		s.lacks(Missing{"the log of the attempt before the last is gone", ""})
		return
	case err != nil:
		s.lacks(unread(what, err))
	case cut && !log.Done():
		s.lacks(Missing{"the begin of " + what + " did not say that it is ready", "--max-log-bytes reads more"})
	}
	now := r.Now()
	if err == nil && ctx.Err() == nil {
		log.Finish(now)
	} else {
		log.Unheard(now)
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

// skew is what the timeline adds to times of the node's clock.
func (s *Start) skew() time.Duration {
	if len(s.Outside) == 0 {
		return 0
	}
	return time.Duration(s.Outside[0].Get(startup.AttrClockSkewSeconds).AsFloat64() * float64(time.Second))
}

// log reads a container's log until it tells nothing more of the start, and reports whether it was cut.
func (r *Reader) log(ctx context.Context, p *corev1.Pod, name string, previous bool, skew time.Duration, to *container.Log) (cut bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	late := time.AfterFunc(answerWithin, cancel)
	defer late.Stop()
	o := &corev1.PodLogOptions{Container: name, Timestamps: true, Previous: previous}
	if r.MaxLogBytes > 0 {
		o.LimitBytes = &r.MaxLogBytes
	}
	stream, err := r.Client.CoreV1().Pods(p.Namespace).GetLogs(p.Name, o).Stream(ctx)
	if err != nil {
		if !late.Stop() {
			return false, errSilent
		}
		return false, err //nolint:wrapcheck // told by what it is, see unread
	}
	defer stream.Close()
	total, err := lines(stream, func(at time.Time, text []byte) bool {
		late.Reset(answerWithin)
		return to.Line(at.Add(skew), text)
	})
	if err != nil && ctx.Err() != nil {
		err = errSilent
	}
	return r.MaxLogBytes > 0 && total >= r.MaxLogBytes, err
}

// errSilent is a node that says nothing.
var errSilent error = &apierrors.StatusError{ErrStatus: apierrors.NewInternalError(errors.New("no answer")).ErrStatus}

// longLine is how much of a line is looked at.
const longLine = 64 << 10

// lines passes lines behind their stamps on until take wants no more.
func lines(from io.Reader, take func(time.Time, []byte) bool) (total int64, err error) {
	in := bufio.NewReaderSize(from, longLine)
	for {
		line, end := in.ReadSlice('\n')
		total += int64(len(line))
		if errors.Is(end, bufio.ErrBufferFull) {
			line = slices.Clone(line)
			for errors.Is(end, bufio.ErrBufferFull) {
				var rest []byte
				rest, end = in.ReadSlice('\n')
				total += int64(len(rest))
			}
		}
		if end != nil && !errors.Is(end, io.EOF) {
			return total, fmt.Errorf("read log: %w", end)
		}
		stamp, text, ok := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(" "))
		if at, bad := time.Parse(time.RFC3339Nano, string(stamp)); ok && bad == nil && !take(at, text) {
			return total, nil
		}
		if errors.Is(end, io.EOF) {
			return total, nil
		}
	}
}
