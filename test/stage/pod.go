// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// AwaitPod waits until a pod that matches the label selector satisfies done, and returns it.
// done sees every state that the watch shows.
func (s *Stage) AwaitPod(ctx context.Context, namespace, selector string, done func(*corev1.Pod) (bool, error)) (*corev1.Pod, error) {
	pods := s.Kube.CoreV1().Pods(namespace)
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = selector
			return pods.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = selector
			return pods.Watch(ctx, o)
		},
	}
	var last *corev1.Pod
	_, err := watchtools.UntilWithSync(ctx, lw, &corev1.Pod{}, nil, func(e watch.Event) (bool, error) {
		pod, ok := e.Object.(*corev1.Pod)
		if !ok || e.Type == watch.Deleted {
			return false, nil
		}
		last = pod
		return done(pod)
	})
	if err != nil {
		if last != nil {
			err = fmt.Errorf("%w; it is %s", err, describe(last))
		}
		return last, fmt.Errorf("wait for pod %s in %s: %w", selector, namespace, err)
	}
	return last, nil
}

// Ready is a condition for AwaitPod. A pod that can't become ready any more is an error.
func Ready(pod *corev1.Pod) (bool, error) {
	if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return false, errors.New("the pod is over: " + describe(pod))
	}
	return reached(pod, corev1.PodReady), nil
}

// Finished is a condition for AwaitPod: the container has ended at least once.
func Finished(container string) func(*corev1.Pod) (bool, error) {
	return func(pod *corev1.Pod) (bool, error) {
		for _, c := range pod.Status.ContainerStatuses {
			if c.Name == container && (c.State.Terminated != nil || c.LastTerminationState.Terminated != nil) {
				return true, nil
			}
		}
		return false, nil
	}
}

// Milestones reports, once each, what a pod reaches on its way to Ready, for a person who waits.
func (p *Progress) Milestones(next func(*corev1.Pod) (bool, error)) func(*corev1.Pod) (bool, error) {
	var (
		start = time.Now()
		seen  = map[string]bool{}
	)
	return func(pod *corev1.Pod) (bool, error) {
		for _, m := range []struct {
			what    string
			reached bool
		}{
			{"pod scheduled", reached(pod, corev1.PodScheduled)},
			{"pod's sandbox there", reached(pod, corev1.PodReadyToStartContainers)},
			{"init containers done", len(pod.Spec.InitContainers) > 0 && reached(pod, corev1.PodInitialized)},
			{"containers started", started(pod)},
			{"endpoint ready", reached(pod, corev1.PodReady)},
		} {
			if m.reached && !seen[m.what] {
				seen[m.what] = true
				p.line("✓", m.what, time.Since(start))
			}
		}
		return next(pod)
	}
}

func reached(pod *corev1.Pod, condition corev1.PodConditionType) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == condition {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func started(pod *corev1.Pod) bool {
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Running == nil {
			return false
		}
	}
	return len(pod.Status.ContainerStatuses) > 0
}

// describe says what a pod waits for or died of.
func describe(pod *corev1.Pod) string {
	text := string(pod.Status.Phase)
	for _, c := range append(append([]corev1.ContainerStatus{}, pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...) {
		switch {
		case c.State.Waiting != nil:
			text += fmt.Sprintf(", %s waits (%s %s)", c.Name, c.State.Waiting.Reason, c.State.Waiting.Message)
		case c.State.Terminated != nil:
			text += fmt.Sprintf(", %s ended with %d (%s)", c.Name, c.State.Terminated.ExitCode, c.State.Terminated.Reason)
		}
	}
	return text
}
