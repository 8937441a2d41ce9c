// SPDX-License-Identifier: Apache-2.0

package gpuname

import (
	"slices"
	"strings"
	"testing"
)

func TestTheTableIsSorted(t *testing.T) {
	if !slices.IsSortedFunc(names[:], func(a, b struct{ word, name string }) int { return strings.Compare(a.word, b.word) }) {
		t.Error("it is searched by halves")
	}
}

// NVIDIA's product names, as the driver writes them. GPU feature discovery makes a node's label of the same name.
func TestTheDriverAndTheNodesLabelNameAGPUAlike(t *testing.T) {
	for product, want := range map[string]string{
		"NVIDIA H100 80GB HBM3": "h100", "NVIDIA H100 NVL": "h100", "NVIDIA H100 PCIe": "h100", "NVIDIA H200": "h200", "NVIDIA H20": "h20", "NVIDIA H20-3e": "h20",
		"NVIDIA A100-SXM4-80GB": "a100", "NVIDIA A100 80GB PCIe": "a100", "NVIDIA A100X": "a100", "NVIDIA A100-SXM4-80GB MIG 1g.10gb": "a100", "NVIDIA A800-SXM4-80GB": "a800",
		"NVIDIA A10": "a10", "NVIDIA A10G": "a10g", "NVIDIA A30": "a30", "NVIDIA A40-48Q": "a40", "NVIDIA L4": "l4", "NVIDIA L40": "l40", "NVIDIA L40S": "l40s",
		"Tesla T4": "t4", "Tesla V100-SXM2-16GB": "v100", "Tesla V100S-PCIE-32GB": "v100", "Tesla P100-PCIE-16GB": "p100", "Tesla K80": "k80", "Tesla M40 24GB": "m40",
		"NVIDIA B200": "b200", "NVIDIA B300 SXM6 AC": "b300", "NVIDIA GB200": "gb200", "NVIDIA GB10": "gb10", "NVIDIA GH200 480GB": "gh200",
		"NVIDIA RTX A6000": "a6000", "NVIDIA RTX A2000 12GB": "a2000", "NVIDIA RTX 6000 Ada Generation": "rtx6000ada", "NVIDIA RTX 4000 SFF Ada Generation": "rtx4000ada",
		"NVIDIA RTX PRO 6000 Blackwell Server Edition": "rtxpro6000", "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition": "rtxpro6000", "NVIDIA RTX PRO 2000 Blackwell": "rtxpro2000",
		"Quadro RTX 8000": "rtx8000", "NVIDIA GeForce RTX 4090": "rtx4090", "NVIDIA GeForce RTX 4090 D": "rtx4090", "NVIDIA GeForce RTX 2080 Ti": "rtx2080",
		"NVIDIA R200": "r200", "TITAN RTX": "", "NVIDIA TITAN V": "", "Graphics Device": "", "": "",
	} {
		if got := Product(product); got != want {
			t.Errorf("the driver's %q is %q, want %q", product, got, want)
		}
		for _, label := range []string{strings.ReplaceAll(product, " ", "-"), strings.ReplaceAll(product, " ", "_"), strings.ToLower(product)} {
			if got := Product(label); got != want {
				t.Errorf("the label %q is %q, want %q", label, got, want)
			}
			if got := Product(label + "-SHARED"); product != "" && got != want {
				t.Errorf("the label %q of a shared GPU is %q, want %q", label, got, want)
			}
		}
	}
}

func TestATextAboutAnythingNamesOnlyGPUsThatAreKnown(t *testing.T) {
	for text, want := range map[string]string{
		"single-h100": "h100", "pool-e2": "", "ns1": "", "zone-c3": "", "rtx": "", "team-rtx-on": "", "tpu-v5-lite-podslice": "tpu-v5e", "Intel-Data-Center-GPU-Max-1550": "max",
	} {
		if got := Find(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
