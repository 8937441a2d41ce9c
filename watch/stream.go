// SPDX-License-Identifier: Apache-2.0

package watch

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
)

// pageSize is how many objects of an initial list are in memory at a time.
const pageSize = 100

// stream follows one kind of object: a list in pages, then a watch from where the list was, for ever. Unlike a reflector
// it keeps no object and never holds more than a page; unlike client-go's RetryWatcher it lists again when the watch's
// version has expired.
type stream struct {
	resource string // for metrics and logs
	selector func() (label, field string)
	list     func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch    func(context.Context, metav1.ListOptions) (apiwatch.Interface, error)

	upsert func(runtime.Object)
	remove func(runtime.Object)
	begin  func() // of a list
	listed func() // the list is complete
	failed func(verb string, err error)
	batch  batch // of the list or watch that is going on
}

// errExpired ends a watch whose version the API server no longer has.
var errExpired = errors.New("the watch's version has expired")

// run follows the objects until the context ends.
func (s *stream) run(ctx context.Context) {
	backoff := newBackoff()
	for ctx.Err() == nil {
		version, err := s.listAll(ctx)
		if err != nil {
			s.fail(ctx, "list", err)
			sleep(ctx, backoff.Step())
			continue
		}
		backoff = newBackoff()
		s.follow(ctx, version)
	}
}

func newBackoff() wait.Backoff {
	return wait.Backoff{Duration: 250 * time.Millisecond, Factor: 2, Jitter: 0.3, Steps: 100, Cap: 20 * time.Second}
}

func (s *stream) fail(ctx context.Context, verb string, err error) {
	if ctx.Err() == nil {
		s.failed(verb, err)
	}
}

func (s *stream) listAll(ctx context.Context) (string, error) {
	s.begin()
	label, field := s.selector()
	opts := metav1.ListOptions{LabelSelector: label, FieldSelector: field, Limit: pageSize}
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
			s.timed(s.upsert, o)
			return nil
		})
		s.batch.end()
		if err != nil {
			return "", fmt.Errorf("read a list of %s: %w", s.resource, err)
		}
		if opts.Continue = list.GetContinue(); opts.Continue == "" {
			s.listed()
			return list.GetResourceVersion(), nil
		}
	}
}

// follow watches until the version expires or the context ends.
func (s *stream) follow(ctx context.Context, version string) {
	backoff := newBackoff()
	for ctx.Err() == nil {
		began := time.Now()
		err := s.watchOnce(ctx, &version)
		switch {
		case errors.Is(err, errExpired):
			return
		case err != nil:
			s.fail(ctx, "watch", err)
			sleep(ctx, backoff.Step())
		case time.Since(began) < time.Second:
			sleep(ctx, backoff.Step()) // a server that closes at once must not be hammered
		default:
			backoff = newBackoff()
		}
	}
}

// watchOnce is one watch request. Nil: the server closed it, as it does every few minutes.
func (s *stream) watchOnce(ctx context.Context, version *string) error {
	label, field := s.selector()
	w, err := s.watch(ctx, metav1.ListOptions{
		LabelSelector: label, FieldSelector: field,
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
				s.timed(s.upsert, e.Object)
			case apiwatch.Deleted:
				s.timed(s.remove, e.Object)
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
func (s *stream) timed(do func(runtime.Object), o runtime.Object) {
	if s.batch.tracer == nil {
		do(o)
		return
	}
	begun := time.Now()
	do(o)
	s.batch.add(begun, time.Now())
}

func (s *stream) watchError(err error) error {
	if apierrors.IsGone(err) || apierrors.IsResourceExpired(err) {
		return errExpired
	}
	return fmt.Errorf("watch %s: %w", s.resource, err)
}

// sleep waits, less if the context ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
