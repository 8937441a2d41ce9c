// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/coldtrace/coldtrace/startup"
)

func TestGPUTypesHaveShortNames(t *testing.T) {
	for label, want := range map[string]string{
		// model-engine's and EKS's accelerator label
		"nvidia-tesla-t4": "t4", "nvidia-ampere-a10": "a10", "nvidia-ampere-a100": "a100", "nvidia-ampere-a100e": "a100",
		"nvidia-hopper-h100": "h100", "nvidia-hopper-h100-1g20gb": "h100", "nvidia-hopper-h100-3g40gb": "h100", "nvidia-tesla-v100": "v100", "nvidia-l4": "l4",
		// GPU feature discovery's product
		"NVIDIA-H100-80GB-HBM3": "h100", "NVIDIA-H100-NVL": "h100", "NVIDIA-H200": "h200", "NVIDIA-H200-NVL": "h200", "NVIDIA-H20": "h20", "NVIDIA-GH200-480GB": "gh200",
		"NVIDIA-A100-SXM4-40GB": "a100", "NVIDIA-A100-80GB-PCIe": "a100", "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb": "a100", "NVIDIA-A100-SXM4-40GB-SHARED": "a100",
		"NVIDIA-A10": "a10", "NVIDIA-A10G": "a10g", "NVIDIA-L4": "l4", "NVIDIA-L40": "l40", "NVIDIA-L40S": "l40s", "Tesla-T4": "t4", "Tesla-V100-SXM2-16GB": "v100", "Tesla-P100-PCIE-16GB": "p100",
		"NVIDIA-B200": "b200", "NVIDIA-B300": "b300", "NVIDIA-GB200": "gb200", "NVIDIA-GB300": "gb300", "NVIDIA-RTX-6000-Ada-Generation": "rtx6000ada",
		"NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition": "rtxpro6000", "NVIDIA-GeForce-RTX-4090": "rtx4090", "NVIDIA-RTX-A6000": "a6000", "NVIDIA-GB10": "gb10",
		// GKE
		"nvidia-h100-80gb": "h100", "nvidia-h100-mega-80gb": "h100", "nvidia-h200-141gb": "h200", "nvidia-a100-80gb": "a100", "nvidia-b200": "b200", "nvidia-rtx-pro-6000": "rtxpro6000",
		"tpu-v5-lite-podslice": "tpu-v5e", "tpu-v6e-slice": "tpu-v6e", "tpu-v5p-slice": "tpu-v5p", "tpu7x": "tpu7x",
		// Karpenter, CoreWeave, AMD
		"h100": "h100", "l40s": "l40s", "H100_NVLINK_80GB": "h100", "AMD_Instinct_MI300X_OAM": "mi300x", "AMD-Instinct-MI325X": "mi325x", "MI355X": "mi355x",
		"": "", "normal": "", "nvidia": "", "true": "", "gpu": "",
		// one of tomorrow
		"NVIDIA-R300": "r300",
	} {
		if got := gpuOfLabel(productLabel, label); got != want {
			t.Errorf("%q is %q, want %q", label, got, want)
		}
	}
}

func TestInstanceTypesTellTheGPU(t *testing.T) {
	for instance, want := range map[string]string{
		// AWS
		"p5.48xlarge": "h100", "p5.4xlarge": "h100", "p5e.48xlarge": "h200", "p5en.48xlarge": "h200", "p4d.24xlarge": "a100", "p4de.24xlarge": "a100", "p3.2xlarge": "v100", "p3dn.24xlarge": "v100",
		"p6-b200.48xlarge": "b200", "p6-b300.48xlarge": "b300", "p6e-gb200.36xlarge": "gb200", "g4dn.xlarge": "t4", "g4ad.xlarge": "v520", "g5.12xlarge": "a10g", "g5g.xlarge": "t4g", "g6.xlarge": "l4", "g6e.48xlarge": "l40s",
		"g6f.large": "l4", "gr6.4xlarge": "l4", "g7e.2xlarge": "rtxpro6000", "trn1.32xlarge": "trainium", "trn2.48xlarge": "trainium2", "inf2.xlarge": "inferentia2", "dl1.24xlarge": "gaudi",
		"p5": "h100", "g6e": "l40s", "m5.large": "", "c7g.xlarge": "", "p55.large": "", "g50.large": "",
		// Google Cloud
		"a2-highgpu-1g": "a100", "a2-ultragpu-8g": "a100", "a2-megagpu-16g": "a100", "a3-highgpu-8g": "h100", "a3-megagpu-8g": "h100", "a3-edgegpu-8g": "h100", "a3-ultragpu-8g": "h200", "a4-highgpu-8g": "b200",
		"a4x-highgpu-4g": "gb200", "g2-standard-4": "l4", "g4-standard-48": "rtxpro6000", "ct5lp-hightpu-4t": "tpu-v5e", "ct6e-standard-4t": "tpu-v6e", "n1-standard-8": "", "e2-medium": "",
		// Azure
		"Standard_NC24ads_A100_v4": "a100", "Standard_ND96asr_v4": "a100", "Standard_ND96amsr_A100_v4": "a100", "Standard_ND96isr_H100_v5": "h100", "Standard_NC40ads_H100_v5": "h100", "Standard_ND96isr_H200_v5": "h200",
		"Standard_ND96isr_MI300X_v5": "mi300x", "Standard_NC16as_T4_v3": "t4", "Standard_NV36ads_A10_v5": "a10", "Standard_NC6s_v3": "v100", "Standard_NC24rs_v3": "v100", "Standard_NC6s_v2": "p100", "Standard_NC6": "k80", "Standard_ND40rs_v2": "v100",
		"Standard_D8s_v5": "", "Standard_E4_v3": "",
		// Oracle Cloud
		"BM.GPU.H100.8": "h100", "BM.GPU.A100-v2.8": "a100", "BM.GPU4.8": "a100", "BM.GPU.B4.8": "a100", "VM.GPU.A10.1": "a10", "BM.GPU.MI300X.8": "mi300x", "VM.Standard3.Flex": "",
		"": "",
	} {
		if got := gpuTypeOfInstance(instance); got != want {
			t.Errorf("%q is %q, want %q", instance, got, want)
		}
	}
}

func TestMIGProfiles(t *testing.T) {
	for label, want := range map[string]string{
		"NVIDIA-A100-SXM4-40GB-MIG-1g.5gb": "1g.5gb", "nvidia-hopper-h100-1g20gb": "1g.20gb", "NVIDIA-H100-80GB-HBM3-MIG-3g.40gb": "3g.40gb",
		"NVIDIA-H100-80GB-HBM3": "", "": "", "nvidia-tesla-t4": "", "9g.5gb": "", "1ggb": "",
	} {
		if got := migProfile(label); got != want {
			t.Errorf("%q has %q, want %q", label, got, want)
		}
	}
}

func TestTheNodeTellsWhatThePodDoesNot(t *testing.T) {
	node := map[string]string{
		"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb", "topology.kubernetes.io/region": "eu-west-1", "node.kubernetes.io/instance-type": "p4d.24xlarge",
	}
	got := Identity{}.WithNode(node)
	if got.GPUType != "a100" || got.Region != "eu-west-1" || got.InstanceType != "p4d.24xlarge" || got.MIG != "1g.5gb" {
		t.Errorf("identity is %+v", got)
	}
	got = Identity{Endpoint: startup.Endpoint{GPUType: "h100", Region: "own"}}.WithNode(node)
	if got.GPUType != "h100" || got.Region != "own" {
		t.Errorf("the node overrode the pod: %+v", got)
	}
	if got := (Identity{}).WithNode(map[string]string{"node.kubernetes.io/instance-type": "g6e.xlarge"}); got.GPUType != "l40s" {
		t.Errorf("the instance type tells %q", got.GPUType)
	}
	if got := (Identity{}).WithNode(nil); got.GPUType != "" || got.Region != "" {
		t.Errorf("no labels tell %+v", got)
	}
}

func TestAPodSaysItsGPUByWhatPicksItsNodes(t *testing.T) {
	affinity := func(terms string) string {
		return `{affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [` + terms + `]}}}}`
	}
	for name, c := range map[string]struct{ spec, want string }{
		"the accelerator label":            {`{nodeSelector: {k8s.amazonaws.com/accelerator: nvidia-ampere-a10}}`, "a10"},
		"EKS Auto Mode":                    {`{nodeSelector: {eks.amazonaws.com/instance-gpu-name: l40s}}`, "l40s"},
		"EKS Auto Mode, by family":         {`{nodeSelector: {eks.amazonaws.com/instance-family: g6e}}`, "l40s"},
		"Karpenter on Azure":               {`{nodeSelector: {karpenter.azure.com/sku-gpu-name: A100}}`, "a100"},
		"a label of the cluster's own":     {`{nodeSelector: {example.com/gpu-type: NVIDIA-H200}}`, "h200"},
		"one in another case":              {`{nodeSelector: {GPU: H100-SXM}}`, "h100"},
		"a pool's name is not read":        {`{nodeSelector: {cloud.google.com/gke-nodepool: a2-pool}}`, ""},
		"a label that says only that":      {`{nodeSelector: {nvidia.com/gpu.present: "true"}}`, ""},
		"the product before an own label":  {`{nodeSelector: {gpu-type: T4, nvidia.com/gpu.product: Tesla-V100-SXM2-16GB}}`, "v100"},
		"affinity to an own label":         {affinity(`{matchExpressions: [{key: team/gpu, operator: In, values: [h100]}]}`), "h100"},
		"affinity to two of one kind":      {affinity(`{matchExpressions: [{key: nvidia.com/gpu.product, operator: In, values: [NVIDIA-H100-80GB-HBM3, NVIDIA-H100-NVL]}]}`), "h100"},
		"affinity to two kinds":            {affinity(`{matchExpressions: [{key: nvidia.com/gpu.product, operator: In, values: [NVIDIA-H100-80GB-HBM3, NVIDIA-H200]}]}`), ""},
		"alternatives that agree":          {affinity(`{matchExpressions: [{key: nvidia.com/gpu.product, operator: In, values: [NVIDIA-L4]}]}, {matchExpressions: [{key: nvidia.com/gpu.product, operator: In, values: [NVIDIA-L4]}]}`), "l4"},
		"an alternative that says nothing": {affinity(`{matchExpressions: [{key: nvidia.com/gpu.product, operator: In, values: [NVIDIA-L4]}]}, {matchExpressions: [{key: zone, operator: In, values: [a]}]}`), ""},
		"a GPU that it does not want":      {affinity(`{matchExpressions: [{key: nvidia.com/gpu.product, operator: NotIn, values: [NVIDIA-L4]}]}`), ""},
	} {
		var spec PodSpec
		if err := yaml.Unmarshal([]byte(c.spec), &spec); err != nil {
			t.Fatal(err)
		}
		if got := gpuTypeOf(&spec); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// How much of a GPU a container gets is not how many GPUs.
func TestSharesOfAGPUAreNotCounted(t *testing.T) {
	patterns := []string{"nvidia.com/gpu", "nvidia.com/mig-*", "huawei.com/Ascend*", "vendor.example/*", "tencent.com/vcuda-core", "aws.amazon.com/neuroncore"}
	for limits, want := range map[string]struct {
		gpu   bool
		count int
	}{
		`{nvidia.com/gpu: 2, nvidia.com/gpumem: 3000, nvidia.com/gpucores: 30}`:            {true, 2},
		`{huawei.com/Ascend910B: 1, huawei.com/Ascend910B-memory: 16384}`:                  {true, 1},
		`{vendor.example/gpu: 4, vendor.example/gpu-memory-percentage: 50}`:                {true, 4},
		`{vendor.example/vgpu: 1, vendor.example/vgpu.vMem: 64, vendor.example/vcore: 10}`: {true, 1},
		`{tencent.com/vcuda-core: 30, memory: 8Gi}`:                                        {true, 0},
		`{aws.amazon.com/neuroncore: 2}`:                                                   {true, 2},
		`{nvidia.com/mig-1g.10gb: 3}`:                                                      {true, 3},
		`{nvidia.com/gpu: 0}`:                                                              {false, 0},
		`{nvidia.com/gpu: "2.0"}`:                                                          {true, 2},
		`{nvidia.com/gpu: 1e0}`:                                                            {true, 1},
		`{nvidia.com/gpu: 1000m}`:                                                          {true, 1},
		`{nvidia.com/gpu: 500m}`:                                                           {false, 0},
		`{nvidia.com/gpu: one}`:                                                            {false, 0},
		`{cpu: 4, memory: 8Gi}`:                                                            {false, 0},
	} {
		var c Container
		if err := yaml.Unmarshal([]byte("{name: main, resources: {limits: "+limits+"}}"), &c); err != nil {
			t.Fatal(err)
		}
		id := Identify(&Pod{Spec: PodSpec{Containers: []Container{c}}}, Options{GPUResources: patterns})
		if id.GPU != want.gpu || id.NumGPUs != want.count {
			t.Errorf("%s: a GPU %t, %d of them, want %+v", limits, id.GPU, id.NumGPUs, want)
		}
	}
}
