// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/coldtrace/coldtrace/endpoint"
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
	Requests map[string]string `json:"requests"`
	Limits   map[string]string `json:"limits"`
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
	if len(w.limits) > 0 {
		c.Resources = &resources{Requests: w.limits, Limits: w.limits}
	}
	return c
}

// volumeSize bounds the volume that the wrapper is copied to.
var volumeSize = resource.MustParse("64Mi")

// minMemory is what the init container needs to run at all.
var minMemory = resource.MustParse("16Mi")

// footprint is what the init container asks for: of each resource that the pod's containers ask for, never more than the
// least of them does. So neither the pod's effective requests nor its QoS class change (a Guaranteed pod stays so as
// requests equal limits; a BestEffort pod gets none), and limits that a LimitRange sets for containers hold for ours.
// Not ok: no room.
func (p *patch) footprint() (map[string]string, bool) {
	spec := &p.req.Pod.Spec
	if spec.Resources != nil && len(spec.Resources.Requests)+len(spec.Resources.Limits) > 0 {
		return nil, true // the pod's own budget covers its init containers
	}
	if bound, ok := storageBound(spec.Containers); ok && bound.Cmp(volumeSize) < 0 {
		return nil, false // the wrapper's copy alone could get the pod evicted
	}
	pol := &p.req.Policy.Wrapper
	out := map[string]string{}
	for _, r := range [...]struct{ name, want string }{
		{"cpu", pol.CPU}, {"memory", pol.Memory}, {"ephemeral-storage", volumeSize.String()},
	} {
		least, some := leastRequest(spec.Containers, r.name)
		if !some || r.name == "ephemeral-storage" && !limited(spec.Containers, r.name) {
			continue
		}
		want, err := resource.ParseQuantity(r.want)
		if err != nil {
			return nil, false
		}
		if least.Cmp(want) < 0 {
			want = least
		}
		if want.IsZero() || r.name == "memory" && want.Cmp(minMemory) < 0 {
			return nil, false
		}
		out[r.name] = want.String()
	}
	return out, true
}

// storageBound is the local storage by which the kubelet evicts a pod: the sum of the limits that there are.
func storageBound(containers []endpoint.Container) (sum resource.Quantity, ok bool) {
	for i := range containers {
		if s, has := containers[i].Resources.Limits["ephemeral-storage"]; has {
			if q, err := resource.ParseQuantity(string(s)); err == nil {
				sum.Add(q)
				ok = true
			}
		}
	}
	return sum, ok
}

// limited tells if every container has a limit. The kubelet evicts a pod that uses more local storage than its containers'
// limits add up to, whichever of them have one: with ours as the only one it would be ours.
func limited(containers []endpoint.Container, name string) bool {
	for i := range containers {
		if _, ok := containers[i].Resources.Limits[name]; !ok {
			return false
		}
	}
	return true
}

// leastRequest is the smallest request of any container that has one. A limit without a request is one.
func leastRequest(containers []endpoint.Container, name string) (least resource.Quantity, some bool) {
	for i := range containers {
		r := &containers[i].Resources
		s, ok := r.Requests[name]
		if !ok {
			s, ok = r.Limits[name]
		}
		if !ok {
			continue
		}
		q, err := resource.ParseQuantity(string(s))
		if err == nil && !q.IsZero() && (!some || q.Cmp(least) < 0) {
			least, some = q, true
		}
	}
	return least, some
}
