// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"encoding/json"
	"iter"
	"slices"
)

// Pod is the part of a pod that coldtrace reads. It decodes from a pod's JSON several times cheaper than corev1.Pod,
// and nothing is ever encoded from it: changes are patch operations on the original bytes.
type Pod struct {
	Metadata Metadata `json:"metadata"`
	Spec     PodSpec  `json:"spec"`
}

// Metadata is the part of ObjectMeta that coldtrace reads.
type Metadata struct {
	Name            string            `json:"name,omitempty"`
	GenerateName    string            `json:"generateName,omitempty"`
	Namespace       string            `json:"namespace,omitempty"`
	UID             string            `json:"uid,omitempty"`
	Labels          map[string]string `json:"labels,omitempty"`
	Annotations     map[string]string `json:"annotations,omitempty"`
	OwnerReferences []OwnerReference  `json:"ownerReferences,omitempty"`
	ManagedFields   []ManagedFields   `json:"managedFields,omitempty"`
}

// Controller is the owner that made the pod and makes it again; nil: the pod is a bare one.
func (m *Metadata) Controller() *OwnerReference {
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

// OwnerReference names an owner of a pod.
type OwnerReference struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
	Controller *bool  `json:"controller,omitempty"`
}

// PodSpec is the part of a pod's spec that coldtrace reads.
type PodSpec struct {
	InitContainers   []Container        `json:"initContainers,omitempty"`
	Containers       []Container        `json:"containers"`
	Volumes          []Volume           `json:"volumes,omitempty"`
	NodeSelector     map[string]string  `json:"nodeSelector,omitempty"`
	Affinity         *Affinity          `json:"affinity,omitempty"`
	NodeName         string             `json:"nodeName,omitempty"`
	ResourceClaims   []PodResourceClaim `json:"resourceClaims,omitempty"`
	SecurityContext  *SecurityContext   `json:"securityContext,omitempty"`
	ImagePullSecrets []NamedRef         `json:"imagePullSecrets,omitempty"`
	OS               *struct {
		Name string `json:"name"`
	} `json:"os,omitempty"`
	RuntimeClassName string `json:"runtimeClassName,omitempty"`
	HostUsers        *bool  `json:"hostUsers,omitempty"` // false: the pod has a user namespace
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
	Name           string        `json:"name"`
	Image          string        `json:"image,omitempty"`
	Command        []string      `json:"command,omitempty"`
	Args           []string      `json:"args,omitempty"`
	Env            []EnvVar      `json:"env,omitempty"`
	EnvFrom        []EnvFrom     `json:"envFrom,omitempty"`
	Ports          []Port        `json:"ports,omitempty"`
	ReadinessProbe *Probe        `json:"readinessProbe,omitempty"`
	StartupProbe   *Probe        `json:"startupProbe,omitempty"`
	Resources      Resources     `json:"resources"`
	RestartPolicy  string        `json:"restartPolicy,omitempty"` // Always: a native sidecar
	VolumeMounts   []VolumeMount `json:"volumeMounts,omitempty"`
}

// Sidecar tells a restartable init container, which starts before the ordinary containers and stays.
func (c *Container) Sidecar() bool { return c.RestartPolicy == "Always" }

// Defines tells if the container's own list has a variable.
func (c *Container) Defines(name string) bool {
	return slices.ContainsFunc(c.Env, func(v EnvVar) bool { return v.Name == name })
}

// EnvVar is an environment entry. ValueFrom is set if the value comes from elsewhere.
type EnvVar struct {
	Name      string          `json:"name"`
	Value     string          `json:"value,omitempty"`
	ValueFrom json.RawMessage `json:"valueFrom,omitempty"`
}

// EnvFrom is a source of environment entries whose names admission cannot see.
type EnvFrom struct{}

// Port is a container's port.
type Port struct {
	Name          string `json:"name,omitempty"`
	ContainerPort int32  `json:"containerPort"`
}

// Probe is what a probe asks.
type Probe struct {
	HTTPGet *struct {
		Path   string          `json:"path,omitempty"`
		Port   json.RawMessage `json:"port"` // a number or the name of a port
		Host   string          `json:"host,omitempty"`
		Scheme string          `json:"scheme,omitempty"`
	} `json:"httpGet,omitempty"`
	GRPC *struct {
		Port    int    `json:"port"`
		Service string `json:"service,omitempty"`
	} `json:"grpc,omitempty"`
	TCPSocket *struct {
		Port json.RawMessage `json:"port"`
		Host string          `json:"host,omitempty"`
	} `json:"tcpSocket,omitempty"`
	Exec *struct {
		Command []string `json:"command,omitempty"`
	} `json:"exec,omitempty"`
}

// Resources are requests and limits, as written.
type Resources struct {
	Requests map[string]Quantity `json:"requests,omitempty"`
	Limits   map[string]Quantity `json:"limits,omitempty"`
	Claims   []ClaimUse          `json:"claims,omitempty"`
}

// ClaimUse is a container's use of one of the pod's device claims, or of one request in it.
type ClaimUse struct {
	Name    string `json:"name"`
	Request string `json:"request,omitempty"`
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

// SecurityContext is the part of a pod's security context that coldtrace reads.
type SecurityContext struct {
	RunAsUser *int64 `json:"runAsUser,omitempty"`
}

// Volume is a pod's volume.
type Volume struct {
	Name string `json:"name"`
}

// VolumeMount is a container's mount.
type VolumeMount struct {
	Name      string `json:"name"`
	MountPath string `json:"mountPath"`
}

// NamedRef refers to an object by name.
type NamedRef struct {
	Name string `json:"name"`
}

// PodResourceClaim is a claim for a device (dynamic resource allocation).
type PodResourceClaim struct {
	Name                      string `json:"name"`
	ResourceClaimName         string `json:"resourceClaimName,omitempty"`
	ResourceClaimTemplateName string `json:"resourceClaimTemplateName,omitempty"`
}

// Affinity is the required node affinity.
type Affinity struct {
	NodeAffinity *struct {
		Required *struct {
			NodeSelectorTerms []struct {
				MatchExpressions []struct {
					Key      string   `json:"key"`
					Operator string   `json:"operator"`
					Values   []string `json:"values,omitempty"`
				} `json:"matchExpressions,omitempty"`
			} `json:"nodeSelectorTerms"`
		} `json:"requiredDuringSchedulingIgnoredDuringExecution,omitempty"`
	} `json:"nodeAffinity,omitempty"`
}
