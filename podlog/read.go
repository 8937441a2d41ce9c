// SPDX-License-Identifier: Apache-2.0

package podlog

import (
	"bufio"
	"bytes"
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
)

// AnswerWithin is how long a log may be silent before its node is given up.
const AnswerWithin = 15 * time.Second

// Request is what is asked for of a log.
type Request struct {
	Previous bool  // of the run before the last one
	After    Place // what was read before is not passed on again
	MaxBytes int64 // of the answer; 0: all there is
	// GoesOn leaves a line that has no end yet to whoever asks next.
	GoesOn bool
	Skew   time.Duration // to add to the node's clock
	Within time.Duration // how long the node may be silent; AnswerWithin if 0
}

// Place is how far a log was read; the zero value is its begin.
type Place struct {
	at    time.Time // stamp of the last line
	lines int       // how many have that stamp
}

// At is the stamp of the last line that was read, by the node's clock.
func (p Place) At() time.Time { return p.at }

// Answer is what came of a request.
type Answer struct {
	Bytes int64
	Cut   bool  // MaxBytes was less than there is
	Open  bool  // the last line has no end: it goes on, or the answer broke off on its way, which the API server does not say
	Place Place // how far the log is read by now
}

// ErrSilent is a node that says nothing. It looks as if the API server had said so.
var ErrSilent error = &apierrors.StatusError{ErrStatus: apierrors.NewInternalError(errors.New("no answer")).ErrStatus}

// Read passes lines on, by their stamps, until take wants no more. An error is the API server's, or ErrSilent; the answer says how
// far it came before.
func (t *Target) Read(ctx context.Context, client kubernetes.Interface, r Request, take func(at time.Time, text []byte) bool) (Answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	within := r.Within
	if within == 0 {
		within = AnswerWithin
	}
	late := time.AfterFunc(within, cancel)
	defer late.Stop()
	stream, err := client.CoreV1().Pods(t.Namespace).GetLogs(t.Pod, r.options(t.Container)).Stream(ctx)
	if err != nil {
		if !late.Stop() {
			err = ErrSilent
		}
		return Answer{Place: r.After}, err //nolint:wrapcheck // told by what it is
	}
	defer stream.Close()
	l := lines{from: bufio.NewReaderSize(stream, longLine), after: r.After, place: r.After, goesOn: r.GoesOn, most: r.MaxBytes}
	err = l.pass(func(at time.Time, text []byte) bool {
		late.Reset(within)
		return take(at.Add(r.Skew), text)
	})
	if err != nil && ctx.Err() != nil {
		err = ErrSilent
	}
	return Answer{Bytes: l.total, Cut: l.cut(), Open: l.open, Place: l.place}, err
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
	from   *bufio.Reader
	after  Place
	goesOn bool
	most   int64
	total  int64
	place  Place
	open   bool
}

func (l *lines) cut() bool { return l.most > 0 && l.total >= l.most }

// pass passes lines behind their stamps on until take wants no more.
func (l *lines) pass(take func(time.Time, []byte) bool) error {
	var again int // lines with the last stamp of before
	for {
		line, end := l.next()
		over := errors.Is(end, io.EOF)
		if end != nil && !over {
			return fmt.Errorf("read log: %w", end)
		}
		l.open = over && len(line) > 0
		if over && (l.goesOn || l.cut()) {
			return nil // a half of a line may say what the whole one does not
		}
		stamp, text, ok := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(" "))
		at, bad := time.Parse(time.RFC3339Nano, string(stamp))
		switch {
		case !ok || bad != nil || at.Before(l.after.at):
		case at.Equal(l.after.at) && again < l.after.lines:
			again++
		case !take(at, text):
			l.place.add(at)
			return nil
		default:
			l.place.add(at)
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
	l.total += int64(len(line))
	if errors.Is(end, bufio.ErrBufferFull) {
		line = slices.Clone(line)
		for errors.Is(end, bufio.ErrBufferFull) {
			var rest []byte
			rest, end = l.from.ReadSlice('\n')
			l.total += int64(len(rest))
		}
	}
	return line, end //nolint:wrapcheck // of the one who reads
}
