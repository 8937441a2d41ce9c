// SPDX-License-Identifier: Apache-2.0

package breaker

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/config"
)

var begin = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func report1(owner string, pod int, v Verdict) Report {
	return Report{OwnerUID: owner, OwnerName: "ns/" + owner, PodUID: fmt.Sprintf("%s-%d", owner, pod), Verdict: v}
}

func TestAnImageThatCannotBePulledOpensAtTheFirstPod(t *testing.T) {
	var s State
	if _, opened, _ := s.Observe(report1("a", 1, NoImage), begin, DefaultLimits()); !opened || !s.IsOpen("a") || s.IsOpen("b") {
		t.Errorf("%+v", s)
	}
}

func TestCrashesOpenAtTheThirdPodAndTheSamePodCountsOnce(t *testing.T) {
	var s State
	for range 10 {
		s.Observe(report1("a", 1, Crashing), begin, DefaultLimits())
	}
	s.Observe(report1("a", 2, Crashing), begin, DefaultLimits())
	if s.IsOpen("a") {
		t.Fatal("two pods opened it")
	}
	if _, opened, _ := s.Observe(report1("a", 3, Crashing), begin, DefaultLimits()); !opened {
		t.Error("three pods did not")
	}
}

func TestCrashesThatGoOnWithoutTheWrapperAreNotOurs(t *testing.T) {
	var s State
	for i := range 3 {
		s.Observe(report1("a", i, Crashing), begin, DefaultLimits())
	}
	if changed, _, _ := s.Observe(report1("a", 9, SameBare), begin, DefaultLimits()); !changed || s.IsOpen("a") {
		t.Error("it stays open for what is not ours")
	}
	for i := range 9 {
		if _, opened, _ := s.Observe(report1("a", 10+i, Crashing), begin, DefaultLimits()); opened {
			t.Error("it opened again")
		}
	}
}

func TestItOpensForAllAtAThresholdAndClosesByItself(t *testing.T) {
	var s State
	limits := DefaultLimits()
	for i := range limits.Owners {
		_, _, all := s.Observe(report1(strconv.Itoa(i), 1, NoImage), begin, limits)
		if all != (i == limits.Owners-1) {
			t.Errorf("owner %d: all %v", i, all)
		}
	}
	if !s.IsOpen("someone else") {
		t.Error("not open for all")
	}
	if s.Expire(begin.Add(limits.Reset-time.Second), limits) {
		t.Error("closed too soon")
	}
	if !s.Expire(begin.Add(limits.Reset), limits) || s.IsOpen("0") || s.IsOpen("someone else") {
		t.Error("it does not close")
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	var s State
	for i := range maxOwners + 100 {
		s.Observe(report1(strconv.Itoa(i), 1, Crashing), begin.Add(time.Duration(i)*time.Second), DefaultLimits())
	}
	if len(s.Owners) > maxOwners {
		t.Errorf("%d owners", len(s.Owners))
	}
	if _, ok := s.Owners["0"]; ok {
		t.Error("the oldest is still there")
	}
}

func TestAPodIsJudgedByItsStatus(t *testing.T) {
	waiting := func(name, reason, message string) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
	}
	terminated := func(name, reason string, restarts int32) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, RestartCount: restarts, LastTerminationState: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{Reason: reason, ExitCode: 128},
		}}
	}
	const wrapped, bare = `{"container":"main","features":["env","wrapper"]}`, `{"container":"main","features":["env"]}`
	cases := map[string]struct {
		annotation string
		init, main []corev1.ContainerStatus
		want       Verdict
	}{
		"not ours":                        {"", nil, []corev1.ContainerStatus{terminated("main", "Error", 9)}, Fine},
		"an annotation that is none":      {"x", nil, []corev1.ContainerStatus{terminated("main", "Error", 9)}, Fine},
		"running":                         {wrapped, nil, []corev1.ContainerStatus{{Name: "main"}}, Fine},
		"the init image can't be pulled":  {wrapped, []corev1.ContainerStatus{waiting(installContainer, "ImagePullBackOff", "")}, nil, NoImage},
		"the model's image can't":         {wrapped, nil, []corev1.ContainerStatus{waiting("main", "ImagePullBackOff", "example.test/vllm")}, Fine},
		"the volume's image can't":        {wrapped, nil, []corev1.ContainerStatus{waiting("main", "ImagePullBackOff", "example.test/wrapper:1: gone")}, NoImage},
		"the init container can't start":  {wrapped, []corev1.ContainerStatus{terminated(installContainer, "StartError", 1)}, nil, NoStart},
		"the target can't start":          {wrapped, nil, []corev1.ContainerStatus{terminated("main", "StartError", 1)}, NoStart},
		"the target crashed once":         {wrapped, nil, []corev1.ContainerStatus{terminated("main", "Error", 1)}, Fine},
		"the target crashes":              {wrapped, nil, []corev1.ContainerStatus{terminated("main", "Error", 2)}, Crashing},
		"it crashes without the wrapper":  {bare, nil, []corev1.ContainerStatus{terminated("main", "Error", 2)}, SameBare},
		"another container crashes":       {wrapped, nil, []corev1.ContainerStatus{terminated("forwarder", "Error", 5)}, Fine},
		"it has no wrapper and no errors": {bare, nil, []corev1.ContainerStatus{{Name: "main"}}, Fine},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{}
			if c.annotation != "" {
				pod.Annotations = map[string]string{config.StatusAnnotation: c.annotation}
			}
			pod.Spec.Volumes = []corev1.Volume{{Name: "coldtrace", VolumeSource: corev1.VolumeSource{
				Image: &corev1.ImageVolumeSource{Reference: "example.test/wrapper:1"},
			}}}
			pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses = c.init, c.main
			if got := Judge(pod); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
