// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"encoding/json"
	"iter"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Pod is the part of a pod that coldtrace reads. It decodes from a pod's JSON several times cheaper than corev1.Pod, because what
// is large there has types of its own here. Nothing is ever encoded from it: changes are patch operations on the original bytes.
type Pod struct {
	Metadata Metadata `json:"metadata"`
	Spec     PodSpec  `json:"spec"`
}

// Metadata is the part of ObjectMeta that coldtrace reads.
type Metadata struct {
	Name            string                  `json:"name,omitempty"`
	GenerateName    string                  `json:"generateName,omitempty"`
	Namespace       string                  `json:"namespace,omitempty"`
	UID             string                  `json:"uid,omitempty"`
	Labels          map[string]string       `json:"labels,omitempty"`
	Annotations     map[string]string       `json:"annotations,omitempty"`
	OwnerReferences []metav1.OwnerReference `json:"ownerReferences,omitempty"`
	ManagedFields   []ManagedFields         `json:"managedFields,omitempty"`
}

// Controller is the owner that made the pod and makes it again; nil: the pod is a bare one.
func (m *Metadata) Controller() *metav1.OwnerReference {
	for i := range m.OwnerReferences {
		if o := &m.OwnerReferences[i]; o.Controller != nil && *o.Controller {
			return o
		}
	}
	return nil
}

// Static tells the image of a static pod, which its kubelet runs as the node's file says.
func Static(m *Metadata) bool {
	_, mirrors := m.Annotations["kubernetes.io/config.mirror"]
	return mirrors
}

// ManagedFields is who wrote fields of an object, as far as coldtrace reads it.
type ManagedFields struct {
	Operation string `json:"operation,omitempty"` // Apply or Update
}

// PodSpec is the part of a pod's spec that coldtrace reads.
type PodSpec struct {
	InitContainers   []Container                   `json:"initContainers,omitempty"`
	Containers       []Container                   `json:"containers"`
	Volumes          []Volume                      `json:"volumes,omitempty"`
	NodeSelector     map[string]string             `json:"nodeSelector,omitempty"`
	Affinity         *corev1.Affinity              `json:"affinity,omitempty"`
	NodeName         string                        `json:"nodeName,omitempty"`
	ResourceClaims   []corev1.PodResourceClaim     `json:"resourceClaims,omitempty"`
	SecurityContext  *corev1.PodSecurityContext    `json:"securityContext,omitempty"`
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`
	OS               *corev1.PodOS                 `json:"os,omitempty"`
	RuntimeClassName string                        `json:"runtimeClassName,omitempty"`
	HostUsers        *bool                         `json:"hostUsers,omitempty"` // false: the pod has a user namespace
}

// Position is where a container stands in a pod's spec.
type Position struct {
	Index int  // -1: nowhere
	Init  bool // in initContainers, as a restartable one
}

// Container is the one at a position.
func (s *PodSpec) Container(at Position) *Container {
	if at.Init {
		return &s.InitContainers[at.Index]
	}
	return &s.Containers[at.Index]
}

// All are the containers: the ordinary ones, then those that initialise.
func (s *PodSpec) All() iter.Seq2[Position, *Container] {
	return func(yield func(Position, *Container) bool) {
		for i := range s.Containers {
			if !yield(Position{Index: i}, &s.Containers[i]) {
				return
			}
		}
		for i := range s.InitContainers {
			if !yield(Position{Index: i, Init: true}, &s.InitContainers[i]) {
				return
			}
		}
	}
}

// Lasting are the containers that stay while the pod does: the ordinary ones, and the restartable init containers (native
// sidecars), which are containers in all but their place.
func (s *PodSpec) Lasting() iter.Seq2[Position, *Container] {
	return func(yield func(Position, *Container) bool) {
		for at, c := range s.All() {
			if (!at.Init || c.Sidecar()) && !yield(at, c) {
				return
			}
		}
	}
}

// Container is the part of a container that coldtrace reads.
type Container struct {
	Name           string                 `json:"name"`
	Image          string                 `json:"image,omitempty"`
	Command        []string               `json:"command,omitempty"`
	Args           []string               `json:"args,omitempty"`
	Env            []corev1.EnvVar        `json:"env,omitempty"`
	EnvFrom        []EnvFrom              `json:"envFrom,omitempty"`
	Ports          []corev1.ContainerPort `json:"ports,omitempty"`
	ReadinessProbe *corev1.Probe          `json:"readinessProbe,omitempty"`
	StartupProbe   *corev1.Probe          `json:"startupProbe,omitempty"`
	Resources      Resources              `json:"resources"`
	RestartPolicy  string                 `json:"restartPolicy,omitempty"` // Always: a native sidecar
	VolumeMounts   []corev1.VolumeMount   `json:"volumeMounts,omitempty"`
}

// Sidecar tells a restartable init container, which starts before the ordinary containers and stays.
func (c *Container) Sidecar() bool { return c.RestartPolicy == "Always" }

// variable is an entry of the container's own list; nil: there is none. The last one of a name wins.
func (c *Container) variable(name string) *corev1.EnvVar {
	for i := len(c.Env) - 1; i >= 0; i-- {
		if e := &c.Env[i]; e.Name == name {
			return e
		}
	}
	return nil
}

// Defines tells if the container's own list has a variable.
func (c *Container) Defines(name string) bool { return c.variable(name) != nil }

// Literal is the value of a variable if it stands in the pod as such.
func (c *Container) Literal(name string) string {
	if e := c.variable(name); e != nil && e.ValueFrom == nil && !strings.Contains(e.Value, "$(") {
		return e.Value
	}
	return ""
}

// EnvFrom is a source of environment entries whose names admission cannot see.
type EnvFrom struct{}

// Resources are requests and limits, as written.
type Resources struct {
	Requests map[string]Quantity    `json:"requests,omitempty"`
	Limits   map[string]Quantity    `json:"limits,omitempty"`
	Claims   []corev1.ResourceClaim `json:"claims,omitempty"`
}

// Quantity is a resource quantity as written; the API server writes a string, people also write numbers.
type Quantity string

// UnmarshalJSON takes a string or a number.
func (q *Quantity) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(q))
	}
	*q = Quantity(b)
	return nil
}

// Volume is a pod's volume.
type Volume struct {
	Name string `json:"name"`
}
