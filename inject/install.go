// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/startup"
)

// evictable is the annotation that tells the cluster autoscaler which local volumes do not keep it from removing a
// node. Without it, our emptyDir would pin every GPU node (kubernetes/autoscaler#2048).
const evictable = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"

func (p *patch) markEvictable() {
	value := p.req.Pod.Metadata.Annotations[evictable]
	for name := range strings.SplitSeq(value, ",") {
		if strings.TrimSpace(name) == VolumeName {
			return
		}
	}
	if value != "" {
		value += ","
	}
	p.annotate(evictable, value+VolumeName)
}

// nobody is the user of the wrapper's image. It is written out only where the pod says that its containers run as
// root: OpenShift gives each namespace its own range of users and rejects any other.
const nobody int64 = 65532

// install is the init container. It meets the restricted Pod Security Standard whatever the pod's does.
func (w *wrapping) install(p *patch) corev1.Container {
	c := corev1.Container{
		Name:            startup.InstallName,
		Image:           p.req.Policy.Wrapper.Image,
		ImagePullPolicy: corev1.PullPolicy(p.req.Policy.Wrapper.ImagePullPolicy),
		Resources:       w.resources,
		Command:         []string{"/coldtrace-wrapper", "install", startup.MountPath},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			ReadOnlyRootFilesystem:   new(true),
			RunAsNonRoot:             new(true),
			SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: VolumeName, MountPath: startup.MountPath}},
	}
	if sc := p.req.Pod.Spec.SecurityContext; sc != nil && sc.RunAsUser != nil && *sc.RunAsUser == 0 {
		c.SecurityContext.RunAsUser = new(nobody)
	}
	return c
}
