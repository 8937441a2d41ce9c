// SPDX-License-Identifier: Apache-2.0

// Package stream follows one kind of object of the API server without keeping any.
package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"go.opentelemetry.io/otel/trace"
)

// pageSize is how many objects of an initial list are in memory at a time.
const pageSize = 100

// Stream is a list in pages, then a watch from where the list was, for ever. Unlike a reflector it keeps no object and
// never holds more than a page; unlike client-go's RetryWatcher it lists again when the watch's version has expired.
type Stream struct {
	resource string
	list     func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch    func(context.Context, metav1.ListOptions) (apiwatch.Interface, error)
	batch    batch // of the list or watch that is going on

	Label, Field string // selectors
	Upsert       func(runtime.Object)
	Remove       func(runtime.Object)
	Begin        func() // of a list
	Listed       func() // the list is complete
	Failed       func(verb string, err error)
}

// client is the part of a typed client that a stream needs.
type client[L runtime.Object] interface {
	List(ctx context.Context, o metav1.ListOptions) (L, error)
	Watch(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error)
}

// Of makes a stream whose callbacks do nothing yet. The resource's name is for errors and, with a tracer, for spans of
// batches.
func Of[L runtime.Object](resource string, c client[L], tracer trace.Tracer) *Stream {
	return &Stream{
		resource: resource, batch: batch{tracer: tracer, resource: resource},
		list:   func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return c.List(ctx, o) },
		watch:  c.Watch,
		Upsert: func(runtime.Object) {}, Remove: func(runtime.Object) {}, Begin: func() {}, Listed: func() {},
		Failed: func(string, error) {},
	}
}

// errExpired ends a watch whose version the API server no longer has.
var errExpired = errors.New("the watch's version has expired")

// Run follows the objects until the context ends.
func (s *Stream) Run(ctx context.Context) {
	backoff := NewBackoff()
	for ctx.Err() == nil {
		version, err := s.List(ctx)
		if err != nil {
			s.fail(ctx, "list", err)
			Sleep(ctx, backoff.Step())
			continue
		}
		backoff = NewBackoff()
		s.follow(ctx, version)
	}
}

// NewBackoff is how long to wait between tries of the API server: from 250 ms to 20 s.
func NewBackoff() wait.Backoff {
	return wait.Backoff{Duration: 250 * time.Millisecond, Factor: 2, Jitter: 0.3, Steps: 100, Cap: 20 * time.Second}
}

func (s *Stream) fail(ctx context.Context, verb string, err error) {
	if ctx.Err() == nil {
		s.Failed(verb, err)
	}
}

// List hands over every object there is and returns the version of the list.
func (s *Stream) List(ctx context.Context) (string, error) {
	s.Begin()
	opts := metav1.ListOptions{LabelSelector: s.Label, FieldSelector: s.Field, Limit: pageSize}
	for {
		page, err := s.list(ctx, opts)
		if err != nil {
			return "", fmt.Errorf("list %s: %w", s.resource, err)
		}
		list, err := meta.ListAccessor(page)
		if err != nil {
			return "", fmt.Errorf("read a list of %s: %w", s.resource, err)
		}
		err = meta.EachListItem(page, func(o runtime.Object) error {
			s.timed(s.Upsert, o)
			return nil
		})
		s.batch.end()
		if err != nil {
			return "", fmt.Errorf("read a list of %s: %w", s.resource, err)
		}
		if opts.Continue = list.GetContinue(); opts.Continue == "" {
			s.Listed()
			return list.GetResourceVersion(), nil
		}
	}
}

// follow watches until the version expires or the context ends.
func (s *Stream) follow(ctx context.Context, version string) {
	backoff := NewBackoff()
	for ctx.Err() == nil {
		began := time.Now()
		err := s.watchOnce(ctx, &version)
		switch {
		case errors.Is(err, errExpired):
			return
		case err != nil:
			s.fail(ctx, "watch", err)
			Sleep(ctx, backoff.Step())
		case time.Since(began) < time.Second:
			Sleep(ctx, backoff.Step()) // a server that closes at once must not be hammered
		default:
			backoff = NewBackoff()
		}
	}
}

// watchOnce is one watch request. Nil: the server closed it, as it does every few minutes.
func (s *Stream) watchOnce(ctx context.Context, version *string) error {
	w, err := s.watch(ctx, metav1.ListOptions{
		LabelSelector: s.Label, FieldSelector: s.Field,
		ResourceVersion: *version, AllowWatchBookmarks: true,
	})
	if err != nil {
		return s.watchError(err)
	}
	defer w.Stop()
	defer s.batch.end()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.ResultChan():
			if !ok {
				return nil
			}
			switch e.Type {
			case apiwatch.Added, apiwatch.Modified:
				s.timed(s.Upsert, e.Object)
			case apiwatch.Deleted:
				s.timed(s.Remove, e.Object)
			case apiwatch.Error:
				return s.watchError(apierrors.FromObject(e.Object))
			}
			if o, err := meta.Accessor(e.Object); err == nil && o.GetResourceVersion() != "" {
				*version = o.GetResourceVersion()
			}
		}
	}
}

// timed does something with an object and counts it in.
func (s *Stream) timed(do func(runtime.Object), o runtime.Object) {
	if s.batch.tracer == nil {
		do(o)
		return
	}
	begun := time.Now()
	do(o)
	s.batch.add(begun, time.Now())
}

func (s *Stream) watchError(err error) error {
	if apierrors.IsGone(err) || apierrors.IsResourceExpired(err) {
		return errExpired
	}
	return fmt.Errorf("watch %s: %w", s.resource, err)
}

// Sleep waits, less if the context ends.
func Sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
