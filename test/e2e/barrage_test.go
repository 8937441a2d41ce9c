// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// barrage creates a pod in a dry run, again and again.
type barrage struct {
	cancel          context.CancelFunc
	done            chan struct{}
	injected, plain int
	refused         []error
	seen            []bool // injected, in order
}

// pause is between two creates: some hundred in the time of an upgrade.
const pause = 50 * time.Millisecond

func fire(t *testing.T) *barrage {
	t.Helper()
	pod, err := endpoint("fired", once)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b := &barrage{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(b.done)
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for {
			b.create(ctx, pod)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return b
}

func (b *barrage) create(ctx context.Context, pod *corev1.Pod) {
	made, err := on.Kube.CoreV1().Pods(labelled).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	switch {
	case ctx.Err() != nil:
	case err != nil:
		b.refused = append(b.refused, err)
	default:
		injected := isInjected(made)
		b.seen = append(b.seen, injected)
		if injected {
			b.injected++
		} else {
			b.plain++
		}
	}
}

func isInjected(pod *corev1.Pod) bool { return pod.Annotations["coldtrace.io/status"] != "" }

// stop holds that no pod was refused and each was injected.
func (b *barrage) stop(t *testing.T, during string) {
	t.Helper()
	b.cancel()
	<-b.done
	t.Logf("%s: %d pods injected, %d as they came, %d refused", during, b.injected, b.plain, len(b.refused))
	if len(b.refused) > 0 {
		t.Errorf("%s: %d pods were refused, the first with: %v", during, len(b.refused), b.refused[0])
	}
	if b.plain > 0 || b.injected == 0 {
		t.Errorf("%s: %d pods were injected, %d were not", during, b.injected, b.plain)
	}
}

// stopRemoved holds that no pod was refused though the failure policy was Fail, and none was injected in the end.
func (b *barrage) stopRemoved(t *testing.T) {
	t.Helper()
	b.cancel()
	<-b.done
	t.Logf("an uninstall with failurePolicy Fail: %d pods injected, %d as they came, %d refused", b.injected, b.plain, len(b.refused))
	if len(b.refused) > 0 {
		t.Errorf("%d pods were refused, the first with: %v", len(b.refused), b.refused[0])
	}
	if len(b.seen) == 0 || !b.seen[0] || b.seen[len(b.seen)-1] {
		t.Errorf("the first pod must be injected and the last not: %v", b.seen)
	}
}
