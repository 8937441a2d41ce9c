// SPDX-License-Identifier: Apache-2.0

package podlog

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
)

func TestTheRunsOfAContainer(t *testing.T) {
	at := func(seconds int) metav1.Time { return metav1.NewTime(dawn.Add(time.Duration(seconds) * time.Second)) }
	ended := func(from, to int, code int32) *corev1.ContainerStateTerminated {
		return &corev1.ContainerStateTerminated{ExitCode: code, StartedAt: at(from), FinishedAt: at(to)}
	}
	running := func(from int) corev1.ContainerState {
		return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(from)}}
	}
	for name, tc := range map[string]struct {
		status  corev1.ContainerStatus
		ready   int // seconds; 0: it is not
		deleted int // likewise
		want    []string
	}{
		"one that goes on":     {status: corev1.ContainerStatus{State: running(2)}, want: []string{"1: 2"}},
		"one that is ready":    {status: corev1.ContainerStatus{State: running(2)}, ready: 9, want: []string{"1: 2 ready 9.999999999"}},
		"one that was deleted": {status: corev1.ContainerStatus{State: running(2)}, deleted: 7, want: []string{"1: 2 ended 7 deleted"}},
		"one that failed and one that goes on": {
			status: corev1.ContainerStatus{RestartCount: 1, State: running(8), LastTerminationState: corev1.ContainerState{Terminated: ended(2, 5, 3)}},
			want:   []string{"1: 2 ended 5 exit 3", "2: 8"},
		},
		"one that failed and waits": {
			status: corev1.ContainerStatus{
				State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
				LastTerminationState: corev1.ContainerState{Terminated: ended(2, 5, 137)},
			},
			want: []string{"1: 2 ended 5 exit 137"},
		},
		"one that ran out of memory": {
			status: corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled", StartedAt: at(2), FinishedAt: at(5)}}},
			want:   []string{"1: 2 ended 5 exit 137 OOMKilled"},
		},
		"none": {status: corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: "llama", Namespace: "models", UID: "5a0c2f0e-4b7e-4a2f-9d7a-1f6b3f0f9a01", CreationTimestamp: at(0)},
				Spec:       corev1.PodSpec{NodeName: "gpu-1", Containers: []corev1.Container{{Name: "main", Command: []string{"vllm"}, Args: []string{"serve", "m"}, ReadinessProbe: &corev1.Probe{}}}},
			}
			tc.status.Name = "main"
			p.Status.ContainerStatuses = []corev1.ContainerStatus{tc.status}
			if tc.ready > 0 {
				p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: at(tc.ready)}}
			}
			if tc.deleted > 0 {
				t, grace := at(tc.deleted), int64(0)
				p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &t, &grace
			}
			facts := &pod.Facts{Target: "main"}
			facts.Pod(p, dawn)
			target, ok := TargetOf(p, endpoint.Identify(endpoint.FromPod(p), endpoint.Options{Declared: endpoint.Declared{Container: "main"}}))
			if !ok || target.Command != "vllm serve m" || target.Role != startup.RoleServer || !target.Probed || target.Engine == nil {
				t.Fatalf("the target is %+v", target)
			}
			var got []string
			for _, run := range target.Runs(facts.Build(dawn.Add(time.Minute), 0).Spans, facts) {
				text := fmt.Sprintf("%d: %v", run.Attempt, run.At.Sub(dawn).Seconds())
				if !run.Ready.IsZero() {
					text += fmt.Sprintf(" ready %v", run.Ready.Sub(dawn).Seconds())
				}
				if !run.Ended.IsZero() {
					text += fmt.Sprintf(" ended %v", run.Ended.Sub(dawn).Seconds())
				}
				if run.Exit.Code != 0 {
					text += fmt.Sprintf(" exit %d", run.Exit.Code)
				}
				if run.Reason != "" {
					text += " " + string(run.Reason)
				}
				if run.Over() != (!run.Ready.IsZero() || !run.Ended.IsZero()) {
					t.Errorf("over: %v", run.Over())
				}
				got = append(got, text)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
	if _, ok := TargetOf(&corev1.Pod{}, endpoint.Identity{}); ok {
		t.Error("a pod without containers has one")
	}
}
