// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/coldtrace/coldtrace/endpoint"
)

// volumeSize bounds the volume that the wrapper is copied to.
var volumeSize = resource.MustParse("64Mi")

// minMemory is what the init container needs to run at all.
var minMemory = resource.MustParse("16Mi")

// The resources that an init container asks for. Devices are none of its business.
const (
	cpu     = "cpu"
	memory  = "memory"
	storage = "ephemeral-storage"
)

// footprint is what the init container asks for: of each resource, request and limit of the container that asks for least.
// It has ended when that one starts, so that it adds nothing to the pod. And whatever a LimitRange or a ResourceQuota wants
// of every container (a minimum, a maximum, a ratio, that there be a limit), one that the pod's containers satisfy ours
// does. Where one of them goes without, nothing is wanted, and ours goes without too: so the QoS class stays.
// Not ok: no room.
func (p *patch) footprint() (*resources, bool) {
	spec := &p.req.Pod.Spec
	if bound, ok := storageBound(spec); ok && bound.Cmp(volumeSize) < 0 {
		return nil, false // the wrapper's copy alone could get the pod evicted
	}
	out := &resources{Requests: map[string]string{}, Limits: map[string]string{}}
	for _, r := range [...]struct{ name, most string }{
		{cpu, p.req.Policy.Wrapper.CPU}, {memory, p.req.Policy.Wrapper.Memory}, {storage, ""},
	} {
		if !everywhere(spec, r.name) {
			continue
		}
		least, ok := p.least(r.name)
		if !ok {
			return nil, false
		}
		if most, err := resource.ParseQuantity(r.most); err == nil && most.Cmp(least.request) < 0 {
			least.request, least.limit = most, most
		}
		if r.name == memory && least.tooSmall() {
			return nil, false
		}
		out.Requests[r.name] = least.request.String()
		if least.limited {
			out.Limits[r.name] = least.limit.String()
		}
	}
	if len(out.Requests) == 0 {
		return nil, true
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
func shareOf(c *endpoint.Container, name string) (s share, ok bool) {
	request, requested := c.Resources.Requests[name]
	limit, limited := c.Resources.Limits[name]
	if !requested {
		request = limit
	}
	if s.limited = limited; limited {
		q, err := resource.ParseQuantity(string(limit))
		if err != nil {
			return share{}, false
		}
		s.limit = q
	}
	q, err := resource.ParseQuantity(string(request))
	s.request = q
	return s, err == nil
}

// least is the smallest share of a resource among the containers that start after the init container. One whose memory is
// too little to run in is passed over.
func (p *patch) least(name string) (least share, some bool) {
	for at, c := range p.req.Pod.Spec.Lasting() {
		if at.Init && (!p.sel.Identity.Init || at.Index < p.sel.Identity.Index) {
			continue
		}
		s, ok := shareOf(c, name)
		if !ok || name == memory && s.tooSmall() {
			continue
		}
		if !some || s.request.Cmp(least.request) < 0 {
			least, some = s, true
		}
	}
	return least, some
}

// everywhere tells if every container of the pod asks for a resource.
func everywhere(spec *endpoint.PodSpec, name string) bool {
	for _, list := range [...][]endpoint.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			if _, ok := shareOf(&list[i], name); !ok {
				return false
			}
		}
	}
	return true
}

// storageBound is the local storage by which the kubelet evicts a pod: the sum of the limits that there are.
func storageBound(spec *endpoint.PodSpec) (sum resource.Quantity, ok bool) {
	for _, c := range spec.Lasting() {
		if s, asks := shareOf(c, storage); asks && s.limited {
			sum.Add(s.limit)
			ok = true
		}
	}
	return sum, ok
}
