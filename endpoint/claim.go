// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/engine"
	"github.com/coldtrace/coldtrace/startup/gpuname"
)

// classResource is how a limit names a device class, from Kubernetes 1.34 on: a claim is made for it behind the scenes
// (KEP-5004).
const classResource = "deviceclass.resource.kubernetes.io/"

// gpuClass tells if an extended resource is a class of GPUs, such as deviceclass.resource.kubernetes.io/gpu.nvidia.com.
func gpuClass(resource string) bool {
	class, ok := strings.CutPrefix(resource, classResource)
	return ok && speaksOf(class) == aGPU
}

// claims tells if a container uses a device claim that is a GPU's. What a claim asks for stands in another object, which
// admission does not read; what it is called usually tells. If it does not, a container that starts an engine is taken to
// get its GPU there. unread: there is a claim of which nothing tells.
func claims(pod *Pod, c *Container, opts *Options) (gpu, unread bool) {
	for _, used := range c.Resources.Claims {
		switch claimed(pod, used) {
		case aGPU:
			return true, false
		case unclear:
			unread = true
		case somethingElse:
		}
	}
	if unread && (opts.AnyClaim || startsEngine(c, opts)) {
		return true, false
	}
	return false, unread
}

func startsEngine(c *Container, opts *Options) bool {
	entrypoint, cmd := opts.image(c)
	l := commandOf(c, entrypoint, cmd)
	return l.Engine != "" || !l.Known && engine.OfImage(imageRepository(c.Image)) != ""
}

// claimed is what a use of a claim is about: its request's name decides, then the names of the claim.
func claimed(pod *Pod, used corev1.ResourceClaim) meaning {
	if of := speaksOf(used.Request); of != unclear {
		return of
	}
	return speaksOf(claimNames(pod, used)...)
}

// claimNames are what a used claim is called in the pod, and the claim's or template's own name.
func claimNames(pod *Pod, used corev1.ResourceClaim) []string {
	i := slices.IndexFunc(pod.Spec.ResourceClaims, func(c corev1.PodResourceClaim) bool { return c.Name == used.Name })
	if i < 0 {
		return nil
	}
	c := &pod.Spec.ResourceClaims[i]
	return []string{c.Name, value(c.ResourceClaimName), value(c.ResourceClaimTemplateName)}
}

// gpuTypeOfClaims is the GPU that one of a container's claims is called after: a h100 in single-h100.
func gpuTypeOfClaims(pod *Pod, c *Container) string {
	for _, used := range c.Resources.Claims {
		for _, name := range append(claimNames(pod, used), used.Request) {
			if t := gpuname.Find(name); t != "" {
				return t
			}
		}
	}
	return ""
}

// meaning is what a name speaks of.
type meaning int

const (
	unclear meaning = iota
	aGPU
	somethingElse
)

// Words in names of claims, requests and classes. A channel of a compute domain connects GPUs and is none.
var (
	channelWords = []string{"imex", "channel", "domain"}
	gpuWords     = []string{"mig", "tpu", "npu", "accelerator", "accelerators", "neuron", "gaudi", "cuda"}
	otherWords   = []string{"nic", "nics", "rdma", "roce", "net", "network", "dranet", "sriov", "ib", "infiniband", "efa", "fpga", "cpu", "cpus", "memory", "storage", "nvme"}
)

func speaksOf(names ...string) meaning {
	var words []string
	for _, name := range names {
		words = append(words, strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })...)
	}
	has := func(list []string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(list, w) })
	}
	switch {
	case has(channelWords):
		return somethingElse
	case has(gpuWords), slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, "gpu") || gpuname.Find(w) != "" }):
		return aGPU
	case has(otherWords):
		return somethingElse
	}
	return unclear
}
