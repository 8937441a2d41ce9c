// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/coldtrace/coldtrace/startup/gpuname"
)

// devices are a container's GPUs.
type devices struct {
	has     bool
	count   int    // 0 if a claim hides it, or only shares of one are asked for
	mig     string // the profile, if they are slices
	claimed bool   // by device claim
	unread  bool   // it uses a claim of which nothing tells what it is
}

// gpus are a container's GPUs, by count or by claim.
func gpus(pod *Pod, c *Container, opts *Options) (d devices) {
	for _, list := range [...]map[string]Quantity{c.Resources.Limits, c.Resources.Requests} {
		for name, q := range list {
			if !MatchAny(opts.GPUResources, name) && !gpuClass(name) {
				continue
			}
			if n := whole(q); n > 0 {
				d.has = true
				if amount(name) {
					continue
				}
				d.count += n
				if profile, found := strings.CutPrefix(name, "nvidia.com/mig-"); found {
					d.mig = strings.TrimSuffix(profile, ".shared")
				}
			}
		}
		if d.has { // extended resources cannot be overcommitted: requests repeat the limits
			return d
		}
	}
	d.claimed, d.unread = claims(pod, c, opts)
	d.has = d.claimed
	return d
}

// whole is a number of devices, however it is written: 1, "1.0", 1000m. 0: it is none.
func whole(q Quantity) int {
	amount, err := resource.ParseQuantity(string(q))
	if m := amount.MilliValue(); err == nil && m%1000 == 0 {
		return int(m / 1000)
	}
	return 0
}

// amount tells a resource that is how much of a GPU a container gets, and not how many: HAMi's nvidia.com/gpumem and
// huawei.com/Ascend910B-memory, Tencent's vcuda-core. A pattern may match it as well as the GPU, or be meant for it.
// Amazon's neuroncore is one that one gets whole.
func amount(resource string) bool {
	name := strings.ToLower(resource[strings.LastIndexByte(resource, '/')+1:])
	return strings.Contains(name, "mem") || strings.Contains(name, "percentage") || strings.Contains(name, "ratio") ||
		strings.Contains(name, "core") && name != "neuroncore"
}

// MatchAny tells if a name is one of the patterns; a trailing * matches any rest.
func MatchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		prefix, wild := strings.CutSuffix(p, "*")
		return p == name || wild && strings.HasPrefix(name, prefix)
	})
}

// Node labels that tell the GPU, the most telling first.
var (
	gpuTypeKeys = []string{
		"k8s.amazonaws.com/accelerator", productLabel, "cloud.google.com/gke-accelerator",
		"karpenter.k8s.aws/instance-gpu-name", "karpenter.k8s.aws/instance-accelerator-name", "karpenter.azure.com/sku-gpu-name",
		"eks.amazonaws.com/instance-gpu-name", "eks.amazonaws.com/instance-accelerator-name",
		"gpu.nvidia.com/class", "gpu.nvidia.com/model", "amd.com/gpu.product-name", "amd.com/gpu.product",
		"cloud.google.com/gke-tpu-accelerator", "gpu.intel.com/product", "accelerator",
	}
	instanceTypeKeys = []string{
		"node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type", "karpenter.k8s.aws/instance-family",
		"eks.amazonaws.com/instance-family", "karpenter.azure.com/sku-name", "cloud.google.com/machine-family",
	}
	regionKeys = []string{"topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"}
	osKeys     = []string{"kubernetes.io/os", "beta.kubernetes.io/os"}
)

// Windows tells a pod that asks for a Windows node, in one of the ways there are.
func Windows(spec *PodSpec) bool {
	return spec.OS != nil && spec.OS.Name == corev1.Windows || placement(spec, osKeys) == "windows"
}

// productLabel holds the driver's own name of the GPU: GPU feature discovery writes it.
const productLabel = "nvidia.com/gpu.product"

// gpuOfLabel is the short name of the GPU that a node's label tells.
func gpuOfLabel(key, value string) string {
	if key == productLabel {
		return gpuname.Product(value)
	}
	return gpuname.Find(value)
}

// gpuTypeOf is the short name of the GPU that a pod asks for by nodeSelector, required affinity or instance type.
func gpuTypeOf(spec *PodSpec) string {
	for _, key := range gpuTypeKeys {
		if t := agreed(spec, key, func(v string) string { return gpuOfLabel(key, v) }); t != "" {
			return t
		}
	}
	for _, key := range instanceTypeKeys {
		if t := agreed(spec, key, gpuTypeOfInstance); t != "" {
			return t
		}
	}
	for _, key := range ownKeys(spec) {
		if t := agreed(spec, key, func(v string) string { return gpuOfLabel(key, v) }); t != "" {
			return t
		}
	}
	return ""
}

// ownKeys are the labels of a cluster's own making by which a pod picks nodes and that are called after GPUs, sorted.
func ownKeys(spec *PodSpec) []string {
	keys := slices.Collect(maps.Keys(spec.NodeSelector))
	for _, term := range requiredTerms(spec) {
		for _, e := range term.MatchExpressions {
			keys = append(keys, e.Key)
		}
	}
	keys = slices.DeleteFunc(keys, func(key string) bool {
		key = strings.ToLower(key)
		return !strings.Contains(key, "gpu") && !strings.Contains(key, "accelerator")
	})
	slices.Sort(keys)
	return keys
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
	common := ""
	for _, term := range requiredTerms(spec) {
		of := ""
		for _, e := range term.MatchExpressions {
			if e.Key != key || e.Operator != corev1.NodeSelectorOpIn || len(e.Values) == 0 {
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

// requiredTerms are those of the required node affinity.
func requiredTerms(spec *PodSpec) []corev1.NodeSelectorTerm {
	a := spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	return a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
}
