// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FromPod is the part of a typed pod that coldtrace reads, as its JSON would be decoded. It shares the pod's memory, and does
// without JSON because the watcher asks it for every pod of a busy cluster.
func FromPod(pod *corev1.Pod) *Pod {
	s := &pod.Spec
	out := &Pod{Metadata: metadataOf(&pod.ObjectMeta), Spec: PodSpec{
		InitContainers: each(s.InitContainers, containerOf), Containers: each(s.Containers, containerOf),
		Volumes:      each(s.Volumes, func(v *corev1.Volume) Volume { return Volume{v.Name} }),
		NodeSelector: kept(s.NodeSelector), NodeName: s.NodeName,
		ResourceClaims: each(s.ResourceClaims, func(c *corev1.PodResourceClaim) PodResourceClaim {
			return PodResourceClaim{c.Name, value(c.ResourceClaimName), value(c.ResourceClaimTemplateName)}
		}),
		ImagePullSecrets: each(s.ImagePullSecrets, func(r *corev1.LocalObjectReference) NamedRef { return NamedRef{r.Name} }),
		RuntimeClassName: value(s.RuntimeClassName), HostUsers: s.HostUsers,
	}}
	// What is small and has many shapes goes by way of JSON.
	through(s.Affinity, &out.Spec.Affinity)
	through(s.OS, &out.Spec.OS)
	if c := s.SecurityContext; c != nil {
		out.Spec.SecurityContext = &SecurityContext{c.RunAsUser}
	}
	return out
}

func metadataOf(m *metav1.ObjectMeta) Metadata {
	return Metadata{
		Name: m.Name, GenerateName: m.GenerateName, Namespace: m.Namespace, UID: string(m.UID), Labels: kept(m.Labels), Annotations: kept(m.Annotations),
		OwnerReferences: each(m.OwnerReferences, func(o *metav1.OwnerReference) OwnerReference {
			return OwnerReference{o.APIVersion, o.Kind, o.Name, string(o.UID), o.Controller}
		}),
		ManagedFields: each(m.ManagedFields, func(f *metav1.ManagedFieldsEntry) ManagedFields { return ManagedFields{string(f.Operation)} }),
	}
}

func containerOf(c *corev1.Container) Container {
	out := Container{
		Name: c.Name, Image: c.Image, Command: some(c.Command), Args: some(c.Args),
		Env:       each(c.Env, func(e *corev1.EnvVar) EnvVar { return EnvVar{e.Name, e.Value, raw(e.ValueFrom)} }),
		EnvFrom:   each(c.EnvFrom, func(*corev1.EnvFromSource) EnvFrom { return EnvFrom{} }),
		Ports:     each(c.Ports, func(p *corev1.ContainerPort) Port { return Port{p.Name, p.ContainerPort} }),
		Resources: resourcesOf(&c.Resources), RestartPolicy: string(value(c.RestartPolicy)),
		VolumeMounts: each(c.VolumeMounts, func(m *corev1.VolumeMount) VolumeMount { return VolumeMount{m.Name, m.MountPath} }),
	}
	through(c.ReadinessProbe, &out.ReadinessProbe)
	through(c.StartupProbe, &out.StartupProbe)
	return out
}

func resourcesOf(r *corev1.ResourceRequirements) Resources {
	return Resources{quantities(r.Requests), quantities(r.Limits), each(r.Claims, func(c *corev1.ResourceClaim) ClaimUse { return ClaimUse{c.Name, c.Request} })}
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

func some(s []string) []string {
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

// raw is a value's JSON; nil: there is none.
func raw[T any](v *T) json.RawMessage {
	if v == nil {
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("marshal a part of a typed pod: %v", err)) // impossible: it has no type that can't be encoded
	}
	return b
}

// through decodes what a value's JSON is; nothing of none.
func through[From, To any](from *From, to *To) {
	if from == nil {
		return
	}
	if err := json.Unmarshal(raw(from), to); err != nil {
		panic(fmt.Sprintf("decode a part of a typed pod: %v", err)) // impossible: see TestPodIsASubsetOfThePodAPI
	}
}
