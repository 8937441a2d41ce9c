// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"encoding/json"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// Kubernetes knows with what code a container ended, its log knows why.
func TestAStartFailsOfWhatTheLogOfItsLastRunSays(t *testing.T) {
	dawn := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	ended := func(reason string, code, restarts int32) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: "main", RestartCount: restarts, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Reason: reason, ExitCode: code, StartedAt: metav1.NewTime(dawn.Add(2 * time.Second)), FinishedAt: metav1.NewTime(dawn.Add(40 * time.Second)),
		}}}
	}
	for name, tc := range map[string]struct {
		status corev1.ContainerStatus
		said   []pod.Said
		reason startup.Reason
		byLog  bool // which may be gone: it has to be in the checkpoint before it is told
	}{
		"nothing":                               {ended("Error", 1, 0), nil, "exit_code=1", false},
		"why":                                   {ended("Error", 1, 0), []pod.Said{{Why: "cuda_out_of_memory", WhyOf: 1}}, "cuda_out_of_memory", true},
		"no more than the code":                 {ended("Error", 1, 0), []pod.Said{{Why: "exit_code=1", WhyOf: 1}}, "exit_code=1", false},
		"less than Kubernetes knows":            {ended("OOMKilled", 137, 0), []pod.Said{{Why: "killed", WhyOf: 1}}, "OOMKilled", false},
		"why an earlier run failed":             {ended("Error", 1, 1), []pod.Said{{Why: "cuda_out_of_memory", WhyOf: 1}}, "exit_code=1", false},
		"why one run after the other failed":    {ended("Error", 1, 1), []pod.Said{{Why: "cuda_out_of_memory", WhyOf: 1}, {Why: "no_gpu", WhyOf: 2}}, "no_gpu", true},
		"what is heard of an earlier run later": {ended("Error", 1, 1), []pod.Said{{Why: "no_gpu", WhyOf: 2}, {Why: "cuda_out_of_memory", WhyOf: 1}}, "no_gpu", true},
		"of a run that did well":                {ended("Completed", 0, 0), []pod.Said{{Why: "no_gpu", WhyOf: 1}}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			p := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: "llama", Namespace: "models", UID: "5a0c2f0e-4b7e-4a2f-9d7a-1f6b3f0f9a01", CreationTimestamp: metav1.NewTime(dawn)},
				Spec:       corev1.PodSpec{NodeName: "gpu-1", RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "main"}}},
				Status:     corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{tc.status}},
			}
			if tc.status.State.Terminated.ExitCode == 0 {
				p.Status.Phase = corev1.PodSucceeded
			}
			f := &pod.Facts{Target: "main"}
			f.Pod(p, dawn)
			for _, said := range tc.said {
				f.Hear(said)
			}
			root := f.Build(dawn.Add(2*time.Minute), 0).Spans[0]
			if root.Failure != tc.reason || root.Witnessed != tc.byLog {
				t.Errorf("%q, by the log: %v; want %q, %v", root.Failure, root.Witnessed, tc.reason, tc.byLog)
			}
			raw, err := json.Marshal(f.Stub())
			if err != nil {
				t.Fatal(err)
			}
			var stub pod.Stub
			if err := json.Unmarshal(raw, &stub); err != nil {
				t.Fatal(err)
			}
			g := pod.FromStub(stub)
			g.Pod(p, dawn)
			if again := g.Build(dawn.Add(2*time.Minute), 0).Spans[0]; again.Failure != root.Failure {
				t.Errorf("whoever takes over says %q", again.Failure)
			}
		})
	}
}
