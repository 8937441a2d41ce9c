// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FromPod is the part of a typed pod that coldtrace reads, as its JSON would be decoded. It shares the pod's memory.
func FromPod(pod *corev1.Pod) *Pod {
	s := &pod.Spec
	return &Pod{Metadata: metadataOf(&pod.ObjectMeta), Spec: PodSpec{
		InitContainers: each(s.InitContainers, containerOf), Containers: each(s.Containers, containerOf),
		Volumes:      each(s.Volumes, func(v *corev1.Volume) Volume { return Volume{v.Name} }),
		NodeSelector: kept(s.NodeSelector), NodeName: s.NodeName, Affinity: s.Affinity, ResourceClaims: some(s.ResourceClaims),
		SecurityContext: s.SecurityContext, ImagePullSecrets: some(s.ImagePullSecrets), OS: s.OS,
		RuntimeClassName: value(s.RuntimeClassName), HostUsers: s.HostUsers,
	}}
}

func metadataOf(m *metav1.ObjectMeta) Metadata {
	return Metadata{
		Name: m.Name, GenerateName: m.GenerateName, Namespace: m.Namespace, UID: string(m.UID), Labels: kept(m.Labels), Annotations: kept(m.Annotations),
		OwnerReferences: some(m.OwnerReferences),
		ManagedFields:   each(m.ManagedFields, func(f *metav1.ManagedFieldsEntry) ManagedFields { return ManagedFields{string(f.Operation)} }),
	}
}

func containerOf(c *corev1.Container) Container {
	return Container{
		Name: c.Name, Image: c.Image, Command: some(c.Command), Args: some(c.Args), Env: some(c.Env),
		EnvFrom: each(c.EnvFrom, func(*corev1.EnvFromSource) EnvFrom { return EnvFrom{} }),
		Ports:   some(c.Ports), ReadinessProbe: c.ReadinessProbe, StartupProbe: c.StartupProbe, VolumeMounts: some(c.VolumeMounts),
		Resources:     Resources{quantities(c.Resources.Requests), quantities(c.Resources.Limits), some(c.Resources.Claims)},
		RestartPolicy: string(value(c.RestartPolicy)),
	}
}

func quantities(l corev1.ResourceList) map[string]Quantity {
	if len(l) == 0 {
		return nil
	}
	out := make(map[string]Quantity, len(l))
	for name, q := range l {
		out[string(name)] = Quantity(q.String())
	}
	return out
}

// each converts a list; JSON leaves out one that is empty.
func each[From, To any](from []From, convert func(*From) To) []To {
	if len(from) == 0 {
		return nil
	}
	to := make([]To, len(from))
	for i := range from {
		to[i] = convert(&from[i])
	}
	return to
}

func some[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}

func kept(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return m
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
