// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"strings"

	"github.com/coldtrace/coldtrace/startup"
)

// evictable is the annotation that tells the cluster autoscaler which local volumes do not keep it from removing a
// node. Without it, our emptyDir would pin every GPU node (kubernetes/autoscaler#2048).
const evictable = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"

func (p *patch) markEvictable() {
	value := p.req.Pod.Metadata.Annotations[evictable]
	for name := range strings.SplitSeq(value, ",") {
		if strings.TrimSpace(name) == volumeName {
			return
		}
	}
	if value != "" {
		value += ","
	}
	p.annotate(evictable, value+volumeName)
}

// installContainer is the init container. It meets the restricted Pod Security Standard whatever the pod's does.
type installContainer struct {
	Name            string          `json:"name"`
	Image           string          `json:"image"`
	ImagePullPolicy string          `json:"imagePullPolicy,omitempty"`
	Command         []string        `json:"command"`
	Resources       *resources      `json:"resources,omitempty"`
	SecurityContext securityContext `json:"securityContext"`
	VolumeMounts    []volumeMount   `json:"volumeMounts"`
}

type resources struct {
	Requests amounts `json:"requests,omitzero"`
	Limits   amounts `json:"limits,omitzero"`
}

type amounts struct {
	CPU     string `json:"cpu,omitempty"`
	Storage string `json:"ephemeral-storage,omitempty"`
	Memory  string `json:"memory,omitempty"`
}

type securityContext struct {
	AllowPrivilegeEscalation bool           `json:"allowPrivilegeEscalation"`
	Capabilities             capabilities   `json:"capabilities"`
	ReadOnlyRootFilesystem   bool           `json:"readOnlyRootFilesystem"`
	RunAsNonRoot             bool           `json:"runAsNonRoot"`
	RunAsUser                *int64         `json:"runAsUser,omitempty"`
	SeccompProfile           seccompProfile `json:"seccompProfile"`
}

type capabilities struct {
	Drop []string `json:"drop"`
}

type seccompProfile struct {
	Type string `json:"type"`
}

// nobody is the user of the wrapper's image. It is written out only where the pod says that its containers run as
// root: OpenShift gives each namespace its own range of users and rejects any other.
var nobody int64 = 65532

func (w *wrapping) install(p *patch) installContainer {
	c := installContainer{
		Name:            installName,
		Image:           p.req.Policy.Wrapper.Image,
		ImagePullPolicy: p.req.Policy.Wrapper.ImagePullPolicy,
		Resources:       w.resources,
		Command:         []string{"/coldtrace-wrapper", "install", startup.MountPath},
		SecurityContext: securityContext{
			Capabilities:           capabilities{Drop: []string{"ALL"}},
			ReadOnlyRootFilesystem: true,
			RunAsNonRoot:           true,
			SeccompProfile:         seccompProfile{Type: "RuntimeDefault"},
		},
		VolumeMounts: []volumeMount{{Name: volumeName, MountPath: startup.MountPath}},
	}
	if sc := p.req.Pod.Spec.SecurityContext; sc != nil && sc.RunAsUser != nil && *sc.RunAsUser == 0 {
		c.SecurityContext.RunAsUser = &nobody
	}
	return c
}
