// SPDX-License-Identifier: Apache-2.0

package inject

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/coldtrace/coldtrace/endpoint"
)

// volumeSize bounds the volume that the wrapper is copied to.
var volumeSize = resource.MustParse("64Mi")

// minMemory is what the init container needs to run at all.
var minMemory = resource.MustParse("16Mi")

// footprint is what the init container asks for: of each resource, request and limit of the container that asks for least.
// It has ended when that one starts, so that it adds nothing to the pod. And whatever a LimitRange or a ResourceQuota wants
// of every container (a minimum, a maximum, a ratio, that there be a limit), one that the pod's containers satisfy ours
// does. Where one of them goes without, nothing is wanted, and ours goes without too: so the QoS class stays.
// Not ok: no room.
func (p *patch) footprint() (out corev1.ResourceRequirements, ok bool) {
	spec := &p.req.Pod.Spec
	if bound, ok := storageBound(spec); ok && bound.Cmp(volumeSize) < 0 {
		return out, false // the wrapper's copy alone could get the pod evicted
	}
	out.Requests, out.Limits = corev1.ResourceList{}, corev1.ResourceList{}
	for _, r := range [...]struct { // devices are none of its business
		name corev1.ResourceName
		most string
	}{
		{corev1.ResourceCPU, p.req.Policy.Wrapper.CPU}, {corev1.ResourceMemory, p.req.Policy.Wrapper.Memory}, {corev1.ResourceEphemeralStorage, ""},
	} {
		least, some, everywhere := p.least(r.name)
		if !everywhere {
			continue
		}
		if !some || r.name == corev1.ResourceMemory && least.tooSmall() {
			return out, false
		}
		if most, err := resource.ParseQuantity(r.most); err == nil && most.Cmp(least.request) < 0 {
			least.request, least.limit = most, most
		}
		out.Requests[r.name] = least.request
		if least.limited {
			out.Limits[r.name] = least.limit
		}
	}
	return out, true
}

// share is what a container asks for of one resource.
type share struct {
	request, limit resource.Quantity
	limited        bool
}

// tooSmall tells a limit on memory in which nothing can run. A limit of 0 is none.
func (s *share) tooSmall() bool { return s.limited && !s.limit.IsZero() && s.limit.Cmp(minMemory) < 0 }

// shareOf is what a container asks for; not ok: nothing, or nothing that can be read. A limit without a request is one.
func shareOf(c *endpoint.Container, name corev1.ResourceName) (share, bool) {
	limit, limited := c.Resources.Limits[string(name)]
	request, requested := c.Resources.Requests[string(name)]
	if !requested {
		request = limit
	}
	if !requested && !limited {
		return share{}, false
	}
	q, err := resource.ParseQuantity(string(request))
	s := share{request: q, limit: q, limited: limited}
	if limited && limit != request && err == nil {
		s.limit, err = resource.ParseQuantity(string(limit))
	}
	return s, err == nil
}

// least is the smallest share of a resource among the containers that start after the init container, if every container
// of the pod asks for it. One whose memory is too little to run in is passed over.
func (p *patch) least(name corev1.ResourceName) (least share, some, everywhere bool) {
	target := p.sel.Identity.Position
	for at, c := range p.req.Pod.Spec.All() {
		s, ok := shareOf(c, name)
		if !ok {
			return share{}, false, false
		}
		after := !at.Init || target.Init && c.Sidecar() && at.Index >= target.Index
		if !after || name == corev1.ResourceMemory && s.tooSmall() {
			continue
		}
		if !some || s.request.Cmp(least.request) < 0 {
			least, some = s, true
		}
	}
	return least, some, true
}

// storageBound is the local storage by which the kubelet evicts a pod: the sum of the limits that there are.
func storageBound(spec *endpoint.PodSpec) (sum resource.Quantity, ok bool) {
	for _, c := range spec.Lasting() {
		if s, asks := shareOf(c, corev1.ResourceEphemeralStorage); asks && s.limited {
			sum.Add(s.limit)
			ok = true
		}
	}
	return sum, ok
}
