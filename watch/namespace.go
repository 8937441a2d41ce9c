// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/startup/pod"
	"github.com/coldtrace/coldtrace/watch/stream"
)

// namespace is one that carries the label.
type namespace struct {
	name        string
	annotations map[string]string
	stop        context.CancelFunc
	done        sync.WaitGroup

	// Both lists must be complete before anything of the namespace is exported, or edges would be coarser than need be.
	podsListed, eventsListed bool
	podsKnown                chan struct{} // closed with podsListed: an event is of use only to a pod that is known
	generation               uint8         // of the list of pods that is going on or was last
	// marks are pods whose start is over and delivered, and pods that the policy does not select, with the generation
	// they were last seen in. A mark goes when its pod does.
	marks map[uid]uint8
}

func (n *namespace) listed() bool { return n.podsListed && n.eventsListed }

// watchNamespaces follows the namespaces with the label, and for each its pods and events.
func (w *Watcher) watchNamespaces(ctx context.Context) {
	var seen map[string]bool
	s := stream.Of("namespaces", w.client.CoreV1().Namespaces(), w.cfg.Tracer)
	s.Label = config.NamespaceSelector
	s.Begin = func() { seen = map[string]bool{} }
	s.Upsert = func(o runtime.Object) {
		ns := o.(*corev1.Namespace)
		seen[ns.Name] = true
		w.enter(ctx, ns)
	}
	s.Remove = func(o runtime.Object) { w.leave(o.(*corev1.Namespace).Name) }
	s.Listed = func() { w.leaveOthers(seen) }
	s.Failed = w.apiFailed("namespaces")
	s.Run(ctx)
	w.leaveOthers(nil)
}

// enter starts the streams of a namespace, or takes its annotations anew.
func (w *Watcher) enter(ctx context.Context, o *corev1.Namespace) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if known := w.namespaces[o.Name]; known != nil {
		known.annotations = o.Annotations
		return
	}
	ctx, stop := context.WithCancel(ctx)
	n := &namespace{name: o.Name, annotations: o.Annotations, stop: stop, marks: map[uid]uint8{}, podsKnown: make(chan struct{})}
	w.namespaces[o.Name] = n
	pods, events := w.pods(n), w.events(n)
	n.done.Go(func() { pods.Run(ctx) })
	if w.cfg.OnRefusal != nil {
		refusals := w.refusals(n)
		n.done.Go(func() { refusals.Run(ctx) })
	}
	n.done.Go(func() {
		select {
		case <-n.podsKnown:
			events.Run(ctx)
		case <-ctx.Done():
		}
	})
}

// leave forgets a namespace that lost its label or is gone. Its starts stay until their time is over: should the label come
// back, what was sent of them must not be told another way.
func (w *Watcher) leave(name string) {
	w.mu.Lock()
	n := w.namespaces[name]
	delete(w.namespaces, name)
	w.mu.Unlock()
	if n == nil {
		return
	}
	n.stop()
	n.done.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, s := range w.starts {
		if s.subject.Namespace == name {
			w.park(id, s)
		}
	}
	w.groups.Forget(name)
}

// park sets a start aside whose namespace is not watched. One that was shed has nothing to be told from. The caller holds
// the lock.
func (w *Watcher) park(id types.UID, s *start) {
	if s.facts == nil || s.facts.Created().IsZero() {
		w.forget(id, s)
		return
	}
	if s.ended {
		s.ended = false
		w.waiting--
	}
	s.parked = true
	w.queue.AddAfter(id, s.timeout-w.cfg.Clock.Since(s.facts.Created())+time.Second)
}

func (w *Watcher) leaveOthers(than map[string]bool) {
	w.mu.Lock()
	var names []string
	for name := range w.namespaces {
		if !than[name] {
			names = append(names, name)
		}
	}
	stopping := than == nil
	w.namespacesListed = !stopping
	for id, s := range w.starts { // restored ones, whose namespace lost its label meanwhile
		if !stopping && w.namespaces[s.subject.Namespace] == nil && !s.parked {
			w.park(id, s)
		}
	}
	w.mu.Unlock()
	for _, name := range names {
		if stopping { // what is in flight goes into the last checkpoint
			w.mu.Lock()
			n := w.namespaces[name]
			w.mu.Unlock()
			n.stop()
			n.done.Wait()
			continue
		}
		w.leave(name)
	}
}

// pods are all of the namespace: one that an annotation forces has nothing that a label selector could find.
func (w *Watcher) pods(n *namespace) *stream.Stream {
	s := stream.Of("pods", w.client.CoreV1().Pods(n.name), w.cfg.Tracer)
	s.Begin = func() { w.beginPods(n) }
	s.Upsert = func(o runtime.Object) { w.pod(n, o.(*corev1.Pod)) }
	s.Remove = func(o runtime.Object) { w.podGone(n, o.(*corev1.Pod)) }
	s.Listed = func() { w.podsListed(n) }
	s.Failed = w.apiFailed("pods")
	return s
}

func (w *Watcher) events(n *namespace) *stream.Stream {
	s := stream.Of("events", w.client.CoreV1().Events(n.name), w.cfg.Tracer)
	s.Field = pod.EventFields
	s.Upsert = func(o runtime.Object) { w.event(o.(*corev1.Event)) }
	s.Listed = func() { w.eventsListed(n) }
	s.Failed = w.apiFailed("events")
	return s
}

// refusalFields leave the server what is not about a pod that a controller could not create.
const refusalFields = "involvedObject.kind!=Pod,reason=FailedCreate"

func (w *Watcher) refusals(n *namespace) *stream.Stream {
	s := w.events(n)
	s.Field, s.Listed = refusalFields, func() {}
	s.Upsert = func(o runtime.Object) { w.cfg.OnRefusal(o.(*corev1.Event)) }
	return s
}

func (w *Watcher) apiFailed(resource string) func(string, error) {
	return func(verb string, err error) {
		w.metrics.apiErrors.WithLabelValues(resource, verb).Inc()
		w.cfg.Log.Error(err, "The API server did not answer; trying again.", "resource", resource, "verb", verb)
	}
}
