// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// A start that was shed in an outage of the receiver has no facts until it is read again.
// One whose pod is known waits for the label to come back: what was sent of it must not be told another way.
func TestANamespaceThatLosesItsLabelTakesWhatWasShedWithItAndParksTheRest(t *testing.T) {
	w := &Watcher{cfg: Config{Clock: clock.RealClock{}}}
	w.begin()
	ctx, stop := context.WithCancel(t.Context())
	w.namespaces["left"] = &namespace{name: "left", stop: stop, marks: map[uid]uint8{}}
	w.namespaces["kept"] = &namespace{name: "kept"}
	known := func(namespace string, age time.Duration) *start {
		s := &start{facts: &pod.Facts{}, subject: startup.Subject{Endpoint: startup.Endpoint{Namespace: namespace}}, timeout: time.Hour}
		s.facts.Pod(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, CreationTimestamp: metav1.NewTime(time.Now().Add(-age)),
		}}, time.Now())
		return s
	}
	for id, s := range map[types.UID]*start{
		"known":     known("left", time.Minute),
		"too old":   known("left", 2*time.Hour),
		"shed":      {subject: startup.Subject{Endpoint: startup.Endpoint{Namespace: "left"}}},
		"elsewhere": {subject: startup.Subject{Endpoint: startup.Endpoint{Namespace: "kept"}}},
	} {
		w.starts[id] = s
	}
	w.leave("left")
	if ctx.Err() == nil {
		t.Error("its streams go on")
	}
	for id := range w.starts {
		w.pick(id)
	}
	if len(w.starts) != 2 || w.starts["elsewhere"] == nil || w.starts["known"] == nil {
		t.Errorf("starts %v are left", w.starts)
	}
	if s := w.starts["known"]; s == nil || !s.parked || w.starts["elsewhere"].parked {
		t.Error("the wrong start is parked")
	}
	// The label is back, and the pod is not: nobody saw how it ended.
	n := &namespace{name: "left", marks: map[uid]uint8{}, podsKnown: make(chan struct{})}
	w.namespaces["left"] = n
	w.beginPods(n)
	w.podsListed(n)
	if w.starts["known"] != nil {
		t.Error("a start is told of which nobody saw the end")
	}
}
