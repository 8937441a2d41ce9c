// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// Kubernetes knows with what code a container ended, its log knows why.
func TestAStartFailsOfWhatTheLogOfItsLastRunSays(t *testing.T) {
	restarted := func(reason string, code, restarts int32) corev1.ContainerStatus {
		status := ended("main", reason, code)
		status.RestartCount = restarts
		return status
	}
	for name, tc := range map[string]struct {
		status corev1.ContainerStatus
		said   []pod.Said
		reason startup.Reason
		byLog  bool // which may be gone: it has to be in the checkpoint before it is told
	}{
		"nothing":                               {restarted("Error", 1, 0), nil, "exit_code=1", false},
		"why":                                   {restarted("Error", 1, 0), []pod.Said{{Why: "cuda_out_of_memory", WhyOf: 1}}, "cuda_out_of_memory", true},
		"no more than the code":                 {restarted("Error", 1, 0), []pod.Said{{Why: "exit_code=1", WhyOf: 1}}, "exit_code=1", false},
		"less than Kubernetes knows":            {restarted("OOMKilled", 137, 0), []pod.Said{{Why: "killed", WhyOf: 1}}, "OOMKilled", false},
		"why an earlier run failed":             {restarted("Error", 1, 1), []pod.Said{{Why: "cuda_out_of_memory", WhyOf: 1}}, "exit_code=1", false},
		"why one run after the other failed":    {restarted("Error", 1, 1), []pod.Said{{Why: "cuda_out_of_memory", WhyOf: 1}, {Why: "no_gpu", WhyOf: 2}}, "no_gpu", true},
		"what is heard of an earlier run later": {restarted("Error", 1, 1), []pod.Said{{Why: "no_gpu", WhyOf: 2}, {Why: "cuda_out_of_memory", WhyOf: 1}}, "no_gpu", true},
		"of a run that did well":                {restarted("Completed", 0, 0), []pod.Said{{Why: "no_gpu", WhyOf: 1}}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			p := llama(
				corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "main"}}},
				corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{tc.status}},
			)
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
			g := takenOver(t, f)
			g.Pod(p, dawn)
			if again := g.Build(dawn.Add(2*time.Minute), 0).Spans[0]; again.Failure != root.Failure {
				t.Errorf("whoever takes over says %q", again.Failure)
			}
		})
	}
}
