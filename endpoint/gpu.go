// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"slices"
	"strconv"
	"strings"
)

// hasGPU tells if a container has a GPU, by count or by claim.
func hasGPU(pod *Pod, c *Container, resources []string) bool {
	_, _, ok := gpus(pod, c, resources)
	return ok
}

// gpus are a container's GPUs: how many (0 if a device claim hides it), and the MIG profile if they are slices.
func gpus(pod *Pod, c *Container, resources []string) (count int, mig string, ok bool) {
	for _, list := range [...]map[string]Quantity{c.Resources.Limits, c.Resources.Requests} {
		for name, q := range list {
			if !matchAny(resources, name) {
				continue
			}
			if n, err := strconv.Atoi(string(q)); err == nil && n > 0 {
				count += n
				if profile, found := strings.CutPrefix(name, "nvidia.com/mig-"); found {
					mig = profile
				}
			}
		}
		if count > 0 { // extended resources cannot be overcommitted: requests repeat the limits
			return count, mig, true
		}
	}
	return 0, "", claimsGPU(pod, c)
}

// claimsGPU tells if a container uses a device claim that is called after a GPU. What a claim asks for is in another
// object, which admission does not read.
func claimsGPU(pod *Pod, c *Container) bool {
	for _, used := range c.Resources.Claims {
		for _, claim := range pod.Spec.ResourceClaims {
			if claim.Name != used.Name {
				continue
			}
			for _, name := range [...]string{claim.Name, claim.ResourceClaimName, claim.ResourceClaimTemplateName} {
				for _, word := range [...]string{"gpu", "mig", "tpu", "accelerator", "neuron", "gaudi"} {
					if strings.Contains(name, word) {
						return true
					}
				}
			}
		}
	}
	return false
}

// matchAny tells if a name is one of the patterns; a trailing * matches any rest.
func matchAny(patterns []string, name string) bool {
	for _, p := range patterns {
		if prefix, wild := strings.CutSuffix(p, "*"); p == name || wild && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// Node labels that tell the GPU, the most telling first.
var (
	gpuTypeKeys = []string{
		"k8s.amazonaws.com/accelerator", "nvidia.com/gpu.product", "cloud.google.com/gke-accelerator",
		"karpenter.k8s.aws/instance-gpu-name", "karpenter.k8s.aws/instance-accelerator-name",
		"gpu.nvidia.com/class", "gpu.nvidia.com/model", "amd.com/gpu.product-name", "amd.com/gpu.product",
		"cloud.google.com/gke-tpu-accelerator", "gpu.intel.com/product", "accelerator",
	}
	instanceTypeKeys = []string{
		"node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type", "karpenter.k8s.aws/instance-family",
		"karpenter.azure.com/sku-name", "cloud.google.com/machine-family",
	}
	regionKeys = []string{"topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"}
)

// gpuTypeOf is the short name of the GPU that a pod asks for by nodeSelector, required affinity or instance type.
func gpuTypeOf(spec *PodSpec) string {
	for _, key := range gpuTypeKeys {
		if t := agreed(spec, key, gpuType); t != "" {
			return t
		}
	}
	for _, key := range instanceTypeKeys {
		if t := agreed(spec, key, gpuTypeOfInstance); t != "" {
			return t
		}
	}
	return ""
}

// placement is the one value that a pod asks of the first of the node labels it constrains.
func placement(spec *PodSpec, keys []string) string {
	for _, key := range keys {
		if v := agreed(spec, key, func(s string) string { return s }); v != "" {
			return v
		}
	}
	return ""
}

// agreed is what all values that a pod allows for a node label come to; empty if they differ.
// nodeSelector alone decides if it has the label. Node selector terms are alternatives: each must say the same.
func agreed(spec *PodSpec, key string, short func(string) string) string {
	if v := spec.NodeSelector[key]; v != "" {
		return short(v)
	}
	if spec.Affinity == nil || spec.Affinity.NodeAffinity == nil || spec.Affinity.NodeAffinity.Required == nil {
		return ""
	}
	common := ""
	for _, term := range spec.Affinity.NodeAffinity.Required.NodeSelectorTerms {
		of := ""
		for _, e := range term.MatchExpressions {
			if e.Key != key || e.Operator != "In" || len(e.Values) == 0 {
				continue
			}
			of = short(e.Values[0])
			if slices.ContainsFunc(e.Values[1:], func(v string) bool { return short(v) != of }) {
				return ""
			}
		}
		if of == "" || common != "" && common != of {
			return ""
		}
		common = of
	}
	return common
}
