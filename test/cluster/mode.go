// SPDX-License-Identifier: Apache-2.0

package main

// mode is one of the two things that up can boot.
type mode struct {
	keeper string // the subcommand that holds it
	bins   []string
	node   bool // with a kubelet, which needs root and Debian's tools
	what   string
}

var (
	fullMode         = mode{keeper: "keeper", bins: nodeBins, node: true, what: "Kubernetes"}
	controlPlaneMode = mode{
		keeper: "control-plane",
		bins:   append([]string{"kube-controller-manager"}, controlPlaneBins...),
		what:   "The control plane of Kubernetes",
	}
)
