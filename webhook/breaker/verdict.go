// SPDX-License-Identifier: Apache-2.0

// Package breaker stops giving the wrapper to pods that can't start with it.
//
// The leader sees how injected pods fare and writes what it concludes into a ConfigMap; every replica reads that and
// leaves the wrapper out, for an owner or for all, while identity and endpoint variables stay. It closes again by
// itself after a while, or by hand: delete the ConfigMap.
package breaker

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// crashes is how often a container must have restarted before it counts as crashing at start.
const crashes = 2

// Verdict is what a pod's status tells about the wrapper.
type Verdict string

// Verdicts. The first two are ours without doubt; a crash may be the workload's own.
const (
	Fine     Verdict = ""
	NoImage  Verdict = "wrapper-image"   // the wrapper's image can't be pulled or mounted
	NoStart  Verdict = "wrapper-start"   // the wrapper or the init container can't be executed
	Refused  Verdict = "refused"         // a pod was refused, most likely for the init container or its image
	Crashing Verdict = "crash-loop"      // an injected pod crashes at start
	SameBare Verdict = "crash-loop-bare" // a pod without the wrapper crashes as well: it is not us
)

// judge reads a pod that carries our annotation; others are Fine.
func judge(pod *corev1.Pod) Verdict {
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
			if s := &pod.Status.InitContainerStatuses[i]; s.Name == startup.InstallName {
				if v := ofInstall(s); v != Fine {
					return v
				}
			}
		}
	}
	for _, list := range [...][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for i := range list {
			if s := &list[i]; s.Name == d.Container {
				return ofTarget(pod, s, wrapped)
			}
		}
	}
	return Fine
}

func ofInstall(s *corev1.ContainerStatus) Verdict {
	switch waits := waiting(s); {
	case pod.NoImage(waits.Reason):
		return NoImage
	case pod.NotCreated(waits.Reason), failedToStart(s), s.RestartCount > 0 && s.LastTerminationState.Terminated != nil:
		return NoStart
	}
	return Fine
}

func ofTarget(of *corev1.Pod, s *corev1.ContainerStatus, wrapped bool) Verdict {
	crashing := s.RestartCount >= crashes && !s.Ready
	switch waits := waiting(s); {
	case !wrapped && crashing:
		return SameBare
	case !wrapped:
		return Fine
	case pod.NoImage(waits.Reason) && namesImage(of, waits.Message), pod.NotCreated(waits.Reason) && namesVolume(of, waits.Message):
		return NoImage
	case failedToStart(s):
		return NoStart
	case crashing:
		return Crashing
	}
	return Fine
}

// namesImage: a container waits for an image volume with the reasons of its own image; the message names which.
func namesImage(pod *corev1.Pod, message string) bool {
	image := imageVolumes(pod)[inject.VolumeName]
	return image != "" && strings.Contains(message, image)
}

// namesVolume: a message about a container that could not be set up names our volume, by its name, its image or where it is
// mounted; or it speaks of image volumes, of which the pod has no other. containerd mounts them in a folder of that name.
func namesVolume(pod *corev1.Pod, message string) bool {
	images := imageVolumes(pod)
	names := []string{strconv.Quote(inject.VolumeName), startup.MountPath}
	if image := images[inject.VolumeName]; image != "" {
		names = append(names, image)
		if len(images) == 1 {
			names = append(names, "image-volume", "image volume", "image mount")
		}
	}
	return slices.ContainsFunc(names, func(name string) bool { return strings.Contains(message, name) })
}

// imageVolumes are the images that a pod mounts, by the volume's name.
func imageVolumes(pod *corev1.Pod) map[string]string {
	out := map[string]string{}
	for i := range pod.Spec.Volumes {
		if v := &pod.Spec.Volumes[i]; v.Image != nil {
			out[v.Name] = v.Image.Reference
		}
	}
	return out
}

// refusesVolume tells an event of a controller whose pod was refused for a volume that it has. Who refuses is a policy after us,
// which speaks in words of its own; it does not say which volume is meant, and if it is another, all that a wrong guess costs
// is that the namespace's pods get the wrapper by init container.
//
//	Error creating: pods "x-" is forbidden: ValidatingAdmissionPolicy 'p' … denied request: only secret volumes
//	Error creating: admission webhook "validate.kyverno.svc-fail" denied the request: … rule restricted-volumes failed at path /spec/volumes/1/
//	Error creating: pods "x-" is forbidden: unable to validate against any security context constraint: … "image": image volumes are not allowed
func refusesVolume(e *corev1.Event) bool {
	return !names(e, startup.InstallName) && names(e, "volume")
}

// refusesWrapper tells an event of a controller whose pod was refused for what may be the wrapper: by its name, for an image,
// an init container, or what each container has to ask for. A wrong guess costs nothing: the pod is refused without it as well.
//
//	Error creating: admission webhook "validation.gatekeeper.sh" denied the request: [repos] container <coldtrace-install> has an invalid image repo
//	Error creating: admission webhook "mutate.kyverno.svc-fail" denied the request: … failed to verify image ghcr.io/…: no signatures found
//	Error creating: pods "x-" is forbidden: minimum nvidia.com/gpu usage per Container is 1.  No request is specified
func refusesWrapper(e *corev1.Event) bool {
	return !names(e, "exceeded quota") && names(e, "coldtrace", "image", "initcontainer", "init container", "per container", "must specify")
}

// names tells an event of a controller whose pod was refused in words of which one is among these.
func names(e *corev1.Event, words ...string) bool {
	said := strings.ToLower(e.Message)
	if e.Reason != "FailedCreate" || e.InvolvedObject.Kind == "Pod" || !strings.Contains(said, "forbidden") && !strings.Contains(said, "denied") {
		return false
	}
	// A claim that a quota refuses is no volume of a pod that a policy does.
	said = strings.ReplaceAll(said, "persistentvolumeclaims", "")
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(said, w) })
}

// failedToStart: the runtime could not execute the command, which begins with the wrapper or the shell before it.
func failedToStart(s *corev1.ContainerStatus) bool {
	for _, t := range []*corev1.ContainerStateTerminated{s.State.Terminated, s.LastTerminationState.Terminated} {
		if t != nil && pod.CouldNotStart(t.Reason) {
			return true
		}
	}
	return pod.CouldNotStart(waiting(s).Reason)
}

func waiting(s *corev1.ContainerStatus) *corev1.ContainerStateWaiting {
	return cmp.Or(s.State.Waiting, &corev1.ContainerStateWaiting{})
}
