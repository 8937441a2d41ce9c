// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// A start that was shed in an outage of the receiver has no facts until it is read again.
func TestANamespaceThatLosesItsLabelInAnOutageTakesItsStartsWithIt(t *testing.T) {
	w := &Watcher{cfg: Config{Clock: clock.RealClock{}}}
	w.begin()
	ctx, stop := context.WithCancel(t.Context())
	w.namespaces["left"] = &namespace{name: "left", stop: stop, marks: map[uid]uint8{}}
	for id, s := range map[types.UID]*start{
		"whole":     {facts: &pod.Facts{Namespace: "left"}, subject: startup.Subject{Namespace: "left"}},
		"shed":      {subject: startup.Subject{Namespace: "left"}},
		"elsewhere": {subject: startup.Subject{Namespace: "kept"}},
	} {
		w.starts[id] = s
	}
	w.leave("left")
	if ctx.Err() == nil {
		t.Error("its streams go on")
	}
	if len(w.starts) != 1 || w.starts["elsewhere"] == nil {
		t.Errorf("starts %v are left", w.starts)
	}
}
