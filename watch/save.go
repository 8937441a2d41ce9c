// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/startup/pod"
	"github.com/coldtrace/coldtrace/watch/stream"
)

// restore reads the checkpoint. Without one, starts that are over are none of this watcher's business.
func (w *Watcher) restore(ctx context.Context) error {
	backoff := stream.NewBackoff()
	for {
		object, err := w.client.CoreV1().ConfigMaps(w.cfg.Namespace).Get(ctx, Checkpoint, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			w.resume(newRecord())
			return nil
		case err == nil:
			r, err := decodeRecord(object.BinaryData)
			if err != nil {
				// A checkpoint that can't be read costs repeated spans with equal ids, not the watcher.
				w.cfg.Log.Error(err, "The checkpoint is unreadable; beginning anew.")
				r = newRecord()
			}
			w.version = object.ResourceVersion
			w.resume(r)
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("read the checkpoint: %w", err)
		}
		w.apiFailed("configmaps")("get", err)
		stream.Sleep(ctx, backoff.Step())
	}
}

// resume takes what a checkpoint says for this term.
func (w *Watcher) resume(r *record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.restored = r
	now := w.cfg.Clock.Now()
	for _, sr := range r.Starts {
		s := &start{
			facts: pod.FromStub(sr.Stub), subject: sr.Subject, timeout: sr.Timeout, gone: sr.Gone != 0, quiet: sr.Quiet,
			ledger: ledger{delivered: sr.Delivered, saved: sr.Witness},
		}
		id := types.UID(sr.UID)
		w.starts[id] = s
		w.join(s, pod.Timeline{})
		w.queue.AddAfter(id, s.timeout-now.Sub(s.facts.Created()))
	}
	for i := range r.Members {
		w.putMember(r.Members[i])
	}
	r.Starts, r.Members = nil, nil
}

// remember notes a start that was delivered as a whole. The caller holds the lock.
func (w *Watcher) remember(id types.UID, s *start) {
	w.restored.recent[parseUID(id)] = uint32(s.facts.Created().Unix()) //nolint:gosec // until 2106
}

// saveOften writes the checkpoint soon after there is news, the bigger it is the more seldom. The first is written at
// once: what a leader delivers first is what its predecessor left, and the next one should not deliver it again.
func (w *Watcher) saveOften(ctx context.Context) {
	interval, last := checkpointInterval, time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.cfg.Clock.After(checkpointInterval / 10):
		}
		if w.cfg.Clock.Since(last) < interval {
			continue
		}
		w.mu.Lock()
		dirty := w.dirty
		w.mu.Unlock()
		if !dirty {
			continue
		}
		last = w.cfg.Clock.Now()
		_, err := w.saveOnce(ctx)
		if err != nil && ctx.Err() == nil {
			w.apiFailed("configmaps")("update", err)
		}
		interval = min(max(checkpointInterval, time.Duration(w.checkpointSize)*time.Second/checkpointPace), maxCheckpointInterval)
	}
}

// saveOnce is a write that the end of the term does not cut off: the API server may have taken it all the same, and the
// last write would not know which version it is to replace.
//
// Not saved and no error: another leader's checkpoint is there, and what that one delivered is taken in.
func (w *Watcher) saveOnce(ctx context.Context) (saved bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = w.save(ctx)
	if errors.Is(err, errOvertaken) {
		var own bool // the answer to the write before was lost
		if own, err = w.merge(ctx); err != nil || !own {
			return false, err
		}
		err = w.save(ctx)
	}
	return err == nil, err
}

// maxSavedMembers bounds the members in a checkpoint. Others are told from what is left of their pods, to the second.
const maxSavedMembers = 2000

// snapshot is the checkpoint as of now, and what it holds of the watcher's own clock.
func (w *Watcher) snapshot() (*record, map[types.UID]pod.Witness) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dirty = false
	w.restored.trim(w.cfg.Clock.Now().Add(-w.cfg.Timeout - floorMargin))
	for name, n := range w.namespaces {
		if n.podsListed && !w.restored.knows(name) {
			w.restored.Namespaces = append(w.restored.Namespaces, name)
		}
	}
	w.restored.Namespaces = slices.DeleteFunc(w.restored.Namespaces, func(name string) bool {
		return w.namespaces[name] == nil && w.namespacesListed
	})
	slices.Sort(w.restored.Namespaces)
	r := &record{
		Version:    recordVersion,
		Floor:      w.restored.Floor,
		Namespaces: slices.Clone(w.restored.Namespaces),
		recent:     maps.Clone(w.restored.recent),
		Members:    w.groups.Over(maxSavedMembers),
		Starts:     make([]startRecord, 0, len(w.starts)),
	}
	witnessed := map[types.UID]pod.Witness{}
	for id, s := range w.starts {
		sr := startRecord{Subject: s.subject, Delivered: slices.Clone(s.delivered), Timeout: s.timeout, Quiet: s.quiet}
		if s.facts != nil {
			sr.Stub = s.facts.Stub()
			if sr.Witness != s.saved {
				witnessed[id] = sr.Witness
			}
		} else { // shed: the subject and the API have the rest
			sr.Stub = pod.Stub{Namespace: s.subject.Namespace, Name: s.subject.PodName, UID: string(id), Target: s.subject.Container}
			if s.inside != nil {
				sr.Said = s.inside.said
			}
		}
		r.Starts = append(r.Starts, sr)
	}
	return r, witnessed
}

// floorMargin is added to the longest start: what the clocks of the API server and of this process may differ by.
const floorMargin = 10 * time.Minute

// save writes the checkpoint.
func (w *Watcher) save(ctx context.Context) error {
	measured, inside := w.outbox.end(), w.inbox.end() // before what they are of is looked at
	r, witnessed := w.snapshot()
	data, left, err := r.encode()
	if err == nil {
		err = w.put(ctx, data)
	}
	if err != nil {
		w.mu.Lock()
		w.dirty = true
		w.mu.Unlock()
		w.metrics.checkpoint.WithLabelValues("failed").Inc()
		return err
	}
	w.outbox.keep(measured)
	w.inbox.keep(inside)
	size := len(data[startsKey]) + len(data[deliveredKey])
	w.checkpointSize = size
	w.mu.Lock()
	for id, witness := range witnessed {
		if s := w.starts[id]; s != nil && left == 0 {
			s.saved = witness
			w.queue.Add(id)
		}
	}
	w.mu.Unlock()
	w.metrics.size.Set(float64(size))
	w.metrics.checkpoint.WithLabelValues("ok").Inc()
	if left > 0 {
		w.metrics.checkpoint.WithLabelValues("truncated").Inc()
	}
	return nil
}

// errOvertaken tells that another leader has written the checkpoint since this one read it.
var errOvertaken = errors.New("another leader wrote the checkpoint")

// put writes over the version that is known and no other, lest a leader that lost its lease undoes what the next one did.
func (w *Watcher) put(ctx context.Context, data map[string][]byte) error {
	client := w.client.CoreV1().ConfigMaps(w.cfg.Namespace)
	object := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name: Checkpoint, Namespace: w.cfg.Namespace, ResourceVersion: w.version,
			Annotations: map[string]string{writerAnnotation: w.term},
			Labels:      map[string]string{"app.kubernetes.io/name": "coldtrace", "app.kubernetes.io/component": "watcher"},
		},
		BinaryData: data,
	}
	if w.cfg.Owners != nil {
		object.OwnerReferences = w.cfg.Owners()
	}
	write := func() (*corev1.ConfigMap, error) { return client.Update(ctx, object, metav1.UpdateOptions{}) }
	if w.version == "" {
		write = func() (*corev1.ConfigMap, error) { return client.Create(ctx, object, metav1.CreateOptions{}) }
	}
	written, err := write()
	switch {
	case apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err):
		return errOvertaken
	case apierrors.IsNotFound(err): // deleted by hand: the next write makes it anew
		w.version = ""
	}
	if err != nil {
		return fmt.Errorf("write the checkpoint: %w", err)
	}
	w.version = written.ResourceVersion
	return nil
}

// writerAnnotation names the term that wrote the checkpoint.
const writerAnnotation = "coldtrace.io/term"

// merge reads the checkpoint that is there instead of the one expected: this term's own, if the answer to a write was lost.
// What another leader delivered is taken in, so that the next write loses nothing of it.
func (w *Watcher) merge(ctx context.Context) (own bool, err error) {
	object, err := w.client.CoreV1().ConfigMaps(w.cfg.Namespace).Get(ctx, Checkpoint, metav1.GetOptions{})
	if err != nil {
		return false, fmt.Errorf("read another leader's checkpoint: %w", err)
	}
	w.version = object.ResourceVersion
	if object.Annotations[writerAnnotation] == w.term {
		return true, nil
	}
	other, err := decodeRecord(object.BinaryData)
	if err != nil {
		return false, fmt.Errorf("read another leader's checkpoint: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.Copy(w.restored.recent, other.recent)
	return false, nil
}
