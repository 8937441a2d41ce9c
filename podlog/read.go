// SPDX-License-Identifier: Apache-2.0

package podlog

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/coldtrace/coldtrace/startup/container"
)

// answerWithin is how long a log may be silent before its node is given up.
const answerWithin = 15 * time.Second

// Request is what is asked for of a log.
type Request struct {
	Previous bool  // of the run before the last one
	After    Place // what was read before is not passed on again
	MaxBytes int64 // of the answer; 0: all there is
	// GoesOn leaves a line that has no end yet to whoever asks next.
	GoesOn bool
	Skew   time.Duration // to add to the node's clock
	Within time.Duration // how long the node may be silent; answerWithin if 0
}

// Place is how far a log was read; the zero value is its begin.
type Place struct {
	at    time.Time // stamp of the last line
	lines int       // how many have that stamp
}

// Answer is what came of a request.
type Answer struct {
	Bytes int64
	Cut   bool  // MaxBytes was less than there is
	Open  bool  // the last line has no end: it goes on, or the answer broke off on its way, which the API server does not say
	Place Place // how far the log is read by now
}

// errSilent is a node that says nothing. It looks as if the API server had said so.
var errSilent error = &apierrors.StatusError{ErrStatus: apierrors.NewInternalError(errors.New("no answer")).ErrStatus}

// Read passes lines on, by their stamps, until take wants no more. An error is the API server's, or errSilent; the answer says how
// far it came before.
func (t *Target) Read(ctx context.Context, client kubernetes.Interface, r Request, take func(at time.Time, text []byte) bool) (Answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	within := cmp.Or(r.Within, answerWithin)
	late := time.AfterFunc(within, cancel)
	defer late.Stop()
	stream, err := client.CoreV1().Pods(t.Namespace).GetLogs(t.Pod, r.options(t.Container)).Stream(ctx)
	if err != nil {
		if !late.Stop() {
			err = errSilent
		}
		return Answer{Place: r.After}, err //nolint:wrapcheck // told by what it is
	}
	defer stream.Close()
	l := lines{from: bufio.NewReaderSize(stream, longLine), of: r, Answer: Answer{Place: r.After}}
	err = l.pass(func(at time.Time, text []byte) bool {
		late.Reset(within)
		return take(at.Add(r.Skew), text)
	})
	if err != nil && ctx.Err() != nil {
		err = errSilent
	}
	l.Cut = l.cut()
	return l.Answer, err
}

func (r *Request) options(name string) *corev1.PodLogOptions {
	o := &corev1.PodLogOptions{Container: name, Timestamps: true, Previous: r.Previous}
	if r.MaxBytes > 0 {
		o.LimitBytes = &r.MaxBytes
	}
	if !r.After.at.IsZero() {
		since := metav1.NewTime(r.After.at.Truncate(time.Second)) // it travels in whole seconds
		o.SinceTime = &since
	}
	return o
}

// longLine is how much of a line is looked at.
const longLine = 64 << 10

// lines are those of one answer.
type lines struct {
	from *bufio.Reader
	of   Request
	Answer
}

func (l *lines) cut() bool { return l.of.MaxBytes > 0 && l.Bytes >= l.of.MaxBytes }

// pass passes lines behind their stamps on until take wants no more.
func (l *lines) pass(take func(time.Time, []byte) bool) error {
	var again int // lines with the last stamp of before
	for {
		line, end := l.next()
		over := errors.Is(end, io.EOF)
		if end != nil && !over {
			return fmt.Errorf("read log: %w", end)
		}
		l.Open = over && len(line) > 0
		if over && (l.of.GoesOn || l.cut()) {
			return nil // a half of a line may say what the whole one does not
		}
		stamp, text, ok := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(" "))
		at, bad := time.Parse(time.RFC3339Nano, string(stamp))
		switch {
		case !ok || bad != nil || at.Before(l.of.After.at):
		case at.Equal(l.of.After.at) && again < l.of.After.lines:
			again++
		case !take(at, text):
			l.Place.add(at)
			return nil
		default:
			l.Place.add(at)
		}
		if over {
			return nil
		}
	}
}

func (p *Place) add(at time.Time) {
	if !at.Equal(p.at) {
		*p = Place{at: at}
	}
	p.lines++
}

// next is a line, or as much of it as is looked at.
func (l *lines) next() ([]byte, error) {
	line, end := l.from.ReadSlice('\n')
	l.Bytes += int64(len(line))
	if errors.Is(end, bufio.ErrBufferFull) {
		line = slices.Clone(line)
		for errors.Is(end, bufio.ErrBufferFull) {
			var rest []byte
			rest, end = l.from.ReadSlice('\n')
			l.Bytes += int64(len(rest))
		}
	}
	return line, end //nolint:wrapcheck // of the one who reads
}

// Reading is how far the log of a run was read. Its zero value is not begun.
type Reading struct {
	Log   *container.Log // nil: not begun
	place Place
}

// Begin begins with a run's log, and goes on with it if all that was read is the run's.
func (r *Reading) Begin(run container.Run) {
	if r.Log == nil || !r.Log.Fits(run) {
		*r = Reading{Log: container.NewLog(run)}
	}
	r.Log.Over(run)
}

// On reads on, as Target.Read does, from where it was read before.
func (r *Reading) On(ctx context.Context, client kubernetes.Interface, t *Target, of Request) (Answer, error) {
	of.After = r.place
	answer, err := t.Read(ctx, client, of, r.Log.Line)
	r.place = answer.Place
	return answer, err
}
