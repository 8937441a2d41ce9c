// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"strings"

	"github.com/coldtrace/coldtrace/startup/gpuname"
)

// instanceFamilies are beginnings of instance types whose names do not hold the GPU's. The longest match wins.
var instanceFamilies = []struct{ prefix, name string }{
	// AWS: https://aws.amazon.com/ec2/instance-types/ accelerated computing
	{"p2", "k80"}, {"p3", "v100"}, {"p3dn", "v100"}, {"p4d", "a100"}, {"p4de", "a100"}, {"p5", "h100"}, {"p5e", "h200"}, {"p5en", "h200"},
	{"p6-b200", "b200"}, {"p6-b300", "b300"}, {"p6e-gb200", "gb200"}, {"p6e-gb300", "gb300"},
	{"g3", "m60"}, {"g3s", "m60"}, {"g4dn", "t4"}, {"g4ad", "v520"}, {"g5", "a10g"}, {"g5g", "t4g"}, {"g6", "l4"}, {"g6f", "l4"}, {"gr6", "l4"}, {"gr6f", "l4"}, {"g6e", "l40s"},
	{"g7e", "rtxpro6000"}, {"inf1", "inferentia"}, {"inf2", "inferentia2"}, {"trn1", "trainium"}, {"trn1n", "trainium"}, {"trn2", "trainium2"}, {"dl1", "gaudi"},
	// Google Cloud: https://cloud.google.com/compute/docs/gpus
	{"a2", "a100"}, {"a3", "h100"}, {"a3-ultragpu", "h200"}, {"a4", "b200"}, {"a4x", "gb200"}, {"a4x-maxgpu", "gb300"}, {"g2", "l4"}, {"g4", "rtxpro6000"},
	{"ct4p", "tpu-v4"}, {"ct5lp", "tpu-v5e"}, {"ct5l", "tpu-v5e"}, {"ct5p", "tpu-v5p"}, {"ct6e", "tpu-v6e"}, {"tpu7x", "tpu7x"},
	// Oracle Cloud
	{"bm.gpu4", "a100"}, {"bm.gpu.b4", "a100"}, {"bm.gpu3", "v100"}, {"vm.gpu3", "v100"}, {"bm.gpu2", "p100"}, {"vm.gpu2", "p100"},
}

// azureSizes are Azure's sizes without a GPU in the name, by series and version.
var azureSizes = []struct{ series, version, name string }{
	{"nc", "", "k80"}, {"nc", "v2", "p100"}, {"nc", "v3", "v100"}, {"nd", "", "p40"}, {"nd", "v2", "v100"}, {"nd", "v4", "a100"},
	{"nv", "", "m60"}, {"nv", "v3", "m60"},
}

// gpuTypeOfInstance is the GPU of an AWS, Google, Azure or Oracle instance type or family, empty if not in the tables.
func gpuTypeOfInstance(instance string) string {
	instance = strings.ToLower(instance)
	if rest, azure := strings.CutPrefix(instance, "standard_"); azure {
		if t := gpuname.Find(rest); t != "" {
			return t
		}
		return azureGPU(rest)
	}
	best, name := -1, ""
	for _, f := range instanceFamilies {
		rest, ok := strings.CutPrefix(instance, f.prefix)
		if ok && len(f.prefix) > best && (rest == "" || rest[0] == '.' || rest[0] == '-') {
			best, name = len(f.prefix), f.name
		}
	}
	if name != "" {
		return name
	}
	if strings.HasPrefix(instance, "bm.gpu") || strings.HasPrefix(instance, "vm.gpu") {
		return gpuname.Find(instance)
	}
	return ""
}

// azureGPU reads sizes such as nc6s_v3: series, number, features, version.
func azureGPU(size string) string {
	name, version, _ := strings.Cut(size, "_")
	series := strings.TrimRight(name, "abcdefghijklmnopqrstuvwxyz")
	series = strings.TrimRight(series, "0123456789")
	if i := strings.LastIndexByte(version, '_'); i >= 0 {
		version = version[i+1:]
	}
	for _, s := range azureSizes {
		if s.series == series && s.version == version {
			return s.name
		}
	}
	return ""
}

// migProfile is the slice in a product name such as NVIDIA-A100-SXM4-40GB-MIG-1g.5gb or nvidia-hopper-h100-1g20gb.
func migProfile(label string) string {
	for word := range strings.SplitSeq(strings.ToLower(label), "-") {
		gi, rest, ok := strings.Cut(word, "g")
		if !ok || len(gi) != 1 || gi[0] < '1' || gi[0] > '7' {
			continue
		}
		gb, ok := strings.CutSuffix(strings.TrimPrefix(rest, "."), "gb")
		if ok && gb != "" && strings.Trim(gb, "0123456789") == "" {
			return gi + "g." + gb + "gb"
		}
	}
	return ""
}
