// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/startup/pod"
)

// Bounds of orphans.
const (
	maxOrphans    = 2000
	orphanTimeout = 30 * time.Second
)

// orphans are events whose pod has not been seen yet: the two streams do not wait for each other.
type orphans struct {
	byPod map[types.UID][]*corev1.Event
	queue []orphan // oldest first
}

type orphan struct {
	pod   types.UID
	since time.Time
}

func (o *orphans) add(e *corev1.Event, now time.Time) {
	if o.byPod == nil {
		o.byPod = map[types.UID][]*corev1.Event{}
	}
	for len(o.queue) > 0 && (len(o.queue) >= maxOrphans || now.Sub(o.queue[0].since) > orphanTimeout) {
		delete(o.byPod, o.queue[0].pod)
		o.queue = o.queue[1:]
	}
	id := e.InvolvedObject.UID
	e.ManagedFields = nil
	o.byPod[id] = append(o.byPod[id], e)
	o.queue = append(o.queue, orphan{id, now})
}

// adopt hands a pod's events over.
func (o *orphans) adopt(id types.UID, facts *pod.Facts) {
	for _, e := range o.byPod[id] {
		facts.Event(e)
	}
	delete(o.byPod, id)
}
