// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/startup/pod"
)

// A container that ended for good ends the start of its pod, if it is the one whose start that is.
func TestAStartIsOverWithItsContainerAlone(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	for name, tc := range map[string]struct {
		target      string
		inits, main []corev1.Container
		status      corev1.PodStatus
		want        pod.Outcome
	}{
		"it is": {"helper", nil, []corev1.Container{{Name: "helper"}, {Name: "main"}}, corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{ended("helper", "", 0)}}, pod.Completed},
		"another is": {
			"main", nil, []corev1.Container{{Name: "helper"}, {Name: "main"}}, corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{ended("helper", "", 0)}}, pod.Open,
		},
		"nobody said which": {"", nil, []corev1.Container{{Name: "helper"}, {Name: "main"}}, corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{ended("helper", "", 0)}}, pod.Open},
		"there is no other": {"", nil, []corev1.Container{{Name: "main"}}, corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{ended("main", "", 0)}}, pod.Completed},
		"it is a sidecar, which the kubelet always starts again": {
			"main", []corev1.Container{{Name: "main", RestartPolicy: &always}}, []corev1.Container{{Name: "job"}},
			corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{ended("main", "", 1)}}, pod.Open,
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.status.Phase = corev1.PodRunning
			f := &pod.Facts{Target: tc.target}
			f.Pod(llama(corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, InitContainers: tc.inits, Containers: tc.main}, tc.status), dawn)
			if got := f.Build(dawn.Add(5*time.Minute), 0).Outcome; got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}
