// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// redactPod is the part of a pod that the timeline and the pod's identity need. No command, argument, environment or
// annotation that could say anything else is in it.
func redactPod(p *corev1.Pod) *corev1.Pod {
	out := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name: p.Name, Namespace: p.Namespace, UID: p.UID, Labels: p.Labels,
			CreationTimestamp: p.CreationTimestamp, DeletionTimestamp: p.DeletionTimestamp,
			DeletionGracePeriodSeconds: p.DeletionGracePeriodSeconds,
		},
		Spec: corev1.PodSpec{
			NodeName: p.Spec.NodeName, NodeSelector: p.Spec.NodeSelector,
			SchedulingGates: p.Spec.SchedulingGates, RestartPolicy: p.Spec.RestartPolicy, ReadinessGates: p.Spec.ReadinessGates,
			TerminationGracePeriodSeconds: p.Spec.TerminationGracePeriodSeconds,
			InitContainers:                redactContainers(p.Spec.InitContainers),
			Containers:                    redactContainers(p.Spec.Containers),
		},
		Status: corev1.PodStatus{
			Phase: p.Status.Phase, Reason: p.Status.Reason, Conditions: p.Status.Conditions,
			InitContainerStatuses: redactStatuses(p.Status.InitContainerStatuses),
			ContainerStatuses:     redactStatuses(p.Status.ContainerStatuses),
		},
	}
	for _, o := range p.OwnerReferences { // which pods were made together
		if o.Controller != nil && *o.Controller {
			out.OwnerReferences = append(out.OwnerReferences, metav1.OwnerReference{APIVersion: o.APIVersion, Kind: o.Kind, Name: o.Name, UID: o.UID, Controller: o.Controller})
		}
	}
	for key, value := range p.Annotations {
		if strings.HasPrefix(key, config.Prefix) || endpoint.Grouping(key) {
			metav1.SetMetaDataAnnotation(&out.ObjectMeta, key, value)
		}
	}
	for _, v := range p.Spec.Volumes {
		if v.Image != nil {
			out.Spec.Volumes = append(out.Spec.Volumes, corev1.Volume{Name: v.Name, VolumeSource: corev1.VolumeSource{Image: v.Image}})
		}
	}
	out.Status.Conditions = slices.Clone(out.Status.Conditions)
	for i := range out.Status.Conditions {
		if c := &out.Status.Conditions[i]; c.Type != corev1.PodScheduled || c.Reason != corev1.PodReasonUnschedulable {
			c.Message = "" // else it is the scheduler's
		}
	}
	return out
}

func redactContainers(in []corev1.Container) []corev1.Container {
	out := make([]corev1.Container, 0, len(in))
	for i := range in {
		c := corev1.Container{Name: in[i].Name, Image: in[i].Image, RestartPolicy: in[i].RestartPolicy, Resources: in[i].Resources}
		if in[i].ReadinessProbe != nil {
			c.ReadinessProbe = &corev1.Probe{}
		}
		if in[i].StartupProbe != nil {
			c.StartupProbe = &corev1.Probe{}
		}
		out = append(out, c)
	}
	return out
}

func redactStatuses(in []corev1.ContainerStatus) []corev1.ContainerStatus {
	out := make([]corev1.ContainerStatus, 0, len(in))
	for i := range in {
		s := corev1.ContainerStatus{
			Name: in[i].Name, State: *in[i].State.DeepCopy(), LastTerminationState: *in[i].LastTerminationState.DeepCopy(),
			RestartCount: in[i].RestartCount, Ready: in[i].Ready, Started: in[i].Started,
		}
		for _, state := range []*corev1.ContainerState{&s.State, &s.LastTerminationState} {
			if state.Waiting != nil {
				state.Waiting.Message = pod.Cause(state.Waiting.Message)
			}
			if t := state.Terminated; t != nil { // a termination message is the container's own words, unless it never ran
				if t.Message, t.ContainerID = pod.Cause(t.Message), ""; !pod.CouldNotStart(t.Reason) {
					t.Message = ""
				}
			}
		}
		out = append(out, s)
	}
	return out
}

// RedactEvent is the part of an event that the timeline reads, nil if it reads nothing of it.
func RedactEvent(e *corev1.Event) *corev1.Event {
	text, ok := pod.Needed(e)
	if !ok {
		return nil
	}
	return &corev1.Event{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Event"},
		ObjectMeta: metav1.ObjectMeta{Name: e.Name, Namespace: e.Namespace, CreationTimestamp: e.CreationTimestamp},
		InvolvedObject: corev1.ObjectReference{
			Kind: e.InvolvedObject.Kind, Namespace: e.InvolvedObject.Namespace, Name: e.InvolvedObject.Name,
			UID: e.InvolvedObject.UID, FieldPath: e.InvolvedObject.FieldPath,
		},
		Reason: e.Reason, Message: text, Count: e.Count, Series: e.Series,
		FirstTimestamp: e.FirstTimestamp, LastTimestamp: e.LastTimestamp, EventTime: e.EventTime,
	}
}
