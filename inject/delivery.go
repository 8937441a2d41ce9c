// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"slices"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/endpoint"
)

// delivery is how the wrapper's binary gets into this pod. Auto looks at the nodes, and then at the pod.
func (p *patch) delivery() config.Delivery {
	asked := p.sel.Settings.Wrapper.Delivery
	if asked != config.DeliveryAuto {
		return asked
	}
	if !p.req.ImageVolumes {
		return config.DeliveryInitContainer
	}
	if r, detail := p.noImageVolume(); r != "" {
		p.note(r, detail)
		return config.DeliveryInitContainer
	}
	return config.DeliveryImageVolume
}

// noImageVolume is why an image can't be mounted in this pod though its nodes can; empty: it can.
func (p *patch) noImageVolume() (r Reason, detail string) {
	spec := &p.req.Pod.Spec
	switch {
	case spec.RuntimeClassName != "" && !slices.Contains(p.req.Policy.Wrapper.RuntimeClasses, spec.RuntimeClassName):
		// A sandbox with a kernel of its own does not see what is mounted outside: kata-containers#13749.
		return ReasonRuntimeClass, spec.RuntimeClassName
	case spec.HostUsers != nil && !*spec.HostUsers:
		return ReasonUserNamespace, "" // containerd#12812
	}
	return p.req.NoImageVolume, ""
}

// applied tells a bare pod that somebody applied, and will again: an unchanged manifest must stay one that changes nothing.
// Lists with keys (env, volumes) are merged; a command is replaced as a whole, which the API server allows in no pod. What a
// controller makes is not applied but made anew.
func applied(m *endpoint.Metadata) bool {
	if m.Controller() != nil {
		return false
	}
	for _, key := range [...]string{
		"kubectl.kubernetes.io/last-applied-configuration", // kubectl apply and all that do as it does
		"meta.helm.sh/release-name",                        // an upgrade compares three manifests, as kubectl does
		"kapp.k14s.io/identity",
	} {
		if _, ok := m.Annotations[key]; ok {
			return true
		}
	}
	return slices.ContainsFunc(m.ManagedFields, func(f endpoint.ManagedFields) bool { return f.Operation == "Apply" })
}
