// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func TestAClaimIsAGPUsWhereItsNamesOrItsUserSaySo(t *testing.T) {
	for name, c := range map[string]struct {
		spec    string
		options Options
		want    string // the target; empty: none
		count   int
		gpuType string
	}{
		"by its name in the pod":          {`{containers: [{name: a, resources: {claims: [{name: gpu}]}}], resourceClaims: [{name: gpu, resourceClaimName: x}]}`, Options{}, "a", 0, ""},
		"by the template's name":          {`{containers: [{name: a, resources: {claims: [{name: d}]}}], resourceClaims: [{name: d, resourceClaimTemplateName: single-h100}]}`, Options{}, "a", 0, "h100"},
		"by the claim's name":             {`{containers: [{name: a, resources: {claims: [{name: d}]}}], resourceClaims: [{name: d, resourceClaimName: team-mig-slices}]}`, Options{}, "a", 0, ""},
		"by the request":                  {`{containers: [{name: a, resources: {claims: [{name: d, request: nic}]}}, {name: b, resources: {claims: [{name: d, request: gpu}]}}], resourceClaims: [{name: d}]}`, Options{}, "b", 0, ""},
		"a request for something else":    {`{containers: [{name: a, resources: {claims: [{name: gpus, request: rdma}]}}], resourceClaims: [{name: gpus}]}`, Options{}, "", 0, ""},
		"a claim for something else":      {`{containers: [{name: a, resources: {claims: [{name: d}]}}], resourceClaims: [{name: d, resourceClaimTemplateName: sriov-net}]}`, Options{}, "", 0, ""},
		"no name tells, the command does": {`{containers: [{name: a, resources: {claims: [{name: d}]}, command: [vllm, serve, m]}], resourceClaims: [{name: d}]}`, Options{}, "a", 0, ""},
		"no name tells, the image does":   {`{containers: [{name: a, resources: {claims: [{name: d}]}, image: "vllm/vllm-openai:1"}], resourceClaims: [{name: d}]}`, Options{}, "a", 0, ""},
		"nothing tells":                   {`{containers: [{name: a, resources: {claims: [{name: d}]}, command: [sleep, inf]}], resourceClaims: [{name: d}]}`, Options{}, "", 0, ""},
		"nothing tells, somebody does":    {`{containers: [{name: a, resources: {claims: [{name: d}]}, command: [sleep, inf]}], resourceClaims: [{name: d}]}`, Options{AnyClaim: true}, "a", 0, ""},
		"a claim the pod does not have":   {`{containers: [{name: a, resources: {claims: [{name: d}]}, command: [sleep, inf]}]}`, Options{}, "", 0, ""},
		"a channel between GPUs":          {`{containers: [{name: a, resources: {claims: [{name: gpu-domain-channel}]}, command: [vllm, serve, m]}], resourceClaims: [{name: gpu-domain-channel}]}`, Options{}, "", 0, ""},
		"a count beside a claim":          {`{containers: [{name: a, resources: {limits: {nvidia.com/gpu: 4}, claims: [{name: gpu}]}}], resourceClaims: [{name: gpu}]}`, Options{}, "a", 4, ""},
		"a device class":                  {`{containers: [{name: a, resources: {limits: {deviceclass.resource.kubernetes.io/gpu.nvidia.com: 2}}}]}`, Options{}, "a", 2, ""},
		"a class of something else":       {`{containers: [{name: a, resources: {limits: {deviceclass.resource.kubernetes.io/rdma.example.com: 2}}}]}`, Options{}, "", 0, ""},
		"the node selector before names":  {`{nodeSelector: {nvidia.com/gpu.product: NVIDIA-B200}, containers: [{name: a, resources: {claims: [{name: h100}]}}], resourceClaims: [{name: h100}]}`, Options{}, "a", 0, "b200"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &Pod{}
			if err := yaml.Unmarshal([]byte(c.spec), &pod.Spec); err != nil {
				t.Fatal(err)
			}
			c.options.GPUResources = []string{"nvidia.com/gpu"}
			id := Identify(pod, c.options)
			if id.Container != c.want || id.NumGPUs != c.count || id.GPUType != c.gpuType || id.GPU != (c.want != "") {
				t.Errorf("%q with %d of %q (GPU %v), want %q with %d of %q", id.Container, id.NumGPUs, id.GPUType, id.GPU, c.want, c.count, c.gpuType)
			}
		})
	}
}

func TestTheNodeKnowsBetterThanAClaimsName(t *testing.T) {
	pod := &Pod{Spec: PodSpec{
		Containers:     []Container{{Name: "main", Resources: Resources{Claims: []corev1.ResourceClaim{{Name: "gpu"}}}}},
		ResourceClaims: []corev1.PodResourceClaim{{Name: "gpu", ResourceClaimTemplateName: new("h100-or-better")}},
	}}
	id := Identify(pod, Options{})
	if id.GPUType != "h100" || id.NumGPUs != 0 || !id.Claimed {
		t.Errorf("identity is %+v", id)
	}
	if got := id.WithNode(map[string]string{"nvidia.com/gpu.product": "NVIDIA-H200"}).GPUType; got != "h200" {
		t.Errorf("with the node it is %q", got)
	}
	if got := id.WithNode(nil).GPUType; got != "h100" {
		t.Errorf("without labels it is %q", got)
	}
}
