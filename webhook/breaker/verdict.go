// SPDX-License-Identifier: Apache-2.0

// Package breaker stops giving the wrapper to pods that can't start with it.
//
// The leader sees how injected pods fare and writes what it concludes into a ConfigMap; every replica reads that and
// leaves the wrapper out, for an owner or for all, while identity and endpoint variables stay. It closes again by
// itself after a while, or by hand: delete the ConfigMap.
package breaker

import (
	"encoding/json"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/inject"
)

// installContainer is the name of the init container that delivers the wrapper.
const installContainer = "coldtrace-install"

// crashes is how often a container must have restarted before it counts as crashing at start.
const crashes = 2

// Verdict is what a pod's status tells about the wrapper.
type Verdict string

// Verdicts. The first two are ours without doubt; a crash may be the workload's own.
const (
	Fine     Verdict = ""
	NoImage  Verdict = "wrapper-image"   // the wrapper's image can't be pulled or mounted
	NoStart  Verdict = "wrapper-start"   // the wrapper or the init container can't be executed
	Crashing Verdict = "crash-loop"      // an injected pod crashes at start
	SameBare Verdict = "crash-loop-bare" // a pod without the wrapper crashes as well: it is not us
)

var noImage = []string{"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"}

// Judge reads a pod that carries our annotation; others are Fine.
func Judge(pod *corev1.Pod) Verdict {
	text, ok := pod.Annotations[config.StatusAnnotation]
	if !ok {
		return Fine
	}
	var d inject.Decision
	if json.Unmarshal([]byte(text), &d) != nil || d.Container == "" {
		return Fine
	}
	wrapped := slices.Contains(d.Features, inject.FeatureWrapper)
	if wrapped {
		for i := range pod.Status.InitContainerStatuses {
			if s := &pod.Status.InitContainerStatuses[i]; s.Name == installContainer {
				if v := ofInstall(s); v != Fine {
					return v
				}
			}
		}
	}
	for i := range pod.Status.ContainerStatuses {
		if s := &pod.Status.ContainerStatuses[i]; s.Name == d.Container {
			return ofTarget(pod, s, wrapped)
		}
	}
	return Fine
}

func ofInstall(s *corev1.ContainerStatus) Verdict {
	switch {
	case s.State.Waiting != nil && slices.Contains(noImage, s.State.Waiting.Reason):
		return NoImage
	case failedToStart(s), s.RestartCount > 0 && s.LastTerminationState.Terminated != nil:
		return NoStart
	}
	return Fine
}

func ofTarget(pod *corev1.Pod, s *corev1.ContainerStatus, wrapped bool) Verdict {
	crashing := s.RestartCount >= crashes && !s.Ready
	switch {
	case !wrapped && crashing:
		return SameBare
	case !wrapped:
		return Fine
	case s.State.Waiting != nil && slices.Contains(noImage, s.State.Waiting.Reason) && aboutVolume(pod, s.State.Waiting.Message):
		return NoImage
	case failedToStart(s):
		return NoStart
	case crashing:
		return Crashing
	}
	return Fine
}

// aboutVolume: a container waits for an image volume with the reasons of its own image; the message names which.
func aboutVolume(pod *corev1.Pod, message string) bool {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.Name == "coldtrace" && v.Image != nil {
			return strings.Contains(message, v.Image.Reference)
		}
	}
	return false
}

// failedToStart: the runtime could not execute the command, which begins with the wrapper or the shell before it.
func failedToStart(s *corev1.ContainerStatus) bool {
	for _, state := range []corev1.ContainerState{s.State, s.LastTerminationState} {
		if t := state.Terminated; t != nil && slices.Contains([]string{"StartError", "ContainerCannotRun"}, t.Reason) {
			return true
		}
		if w := state.Waiting; w != nil && w.Reason == "RunContainerError" {
			return true
		}
	}
	return false
}
