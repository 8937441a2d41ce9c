// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/group"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// A StatefulSet that is scaled to zero and back has the same owner and revision: its pods join the part that is done with.
func TestTheNextLeaderKnowsAGroupThatWasScaledToZeroAndBack(t *testing.T) {
	w := &Watcher{restored: newRecord(), queue: workqueue.NewTypedDelayingQueue[types.UID]()}
	defer w.queue.ShutDown()
	w.metrics = newMetrics(w)
	first := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	of := func(uid string) startup.Subject {
		return startup.Subject{PodUID: uid, Endpoint: startup.Endpoint{
			Namespace: "models", Group: startup.Group{Key: "sts/llama", Generation: "owner.revision", Part: "llama", Size: 2, Role: startup.GroupServer},
		}}
	}
	told := group.Of(of("before"), first)
	part := group.PartOf(&told)
	knownToTheNext := func() bool {
		checkpoint, _, err := w.restored.encode()
		if err != nil {
			t.Fatal(err)
		}
		next := &Watcher{}
		if next.restored, err = decodeRecord(checkpoint); err != nil {
			t.Fatal(err)
		}
		return next.groupKnown(&group.Start{Namespace: "models", Key: "sts/llama", Parts: []group.Part{part}})
	}
	w.joinAs(&start{subject: of("before")}, first, pod.Timeline{})
	if knownToTheNext() {
		t.Fatal("it is known before it is told")
	}
	w.groups.Done("models", "sts/llama", part)
	w.rememberPart("models", "sts/llama", part, first.Add(time.Minute))
	if !knownToTheNext() {
		t.Fatal("what was told is not known")
	}
	w.restored.trim(first.Add(time.Hour))
	if knownToTheNext() {
		t.Fatal("what is older than any start is remembered")
	}
	w.joinAs(&start{subject: of("again")}, first.Add(3*time.Hour), pod.Timeline{})
	w.restored.trim(first.Add(2 * time.Hour))
	if !knownToTheNext() {
		t.Error("the next leader would tell a start that this one does not")
	}
}
