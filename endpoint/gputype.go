// SPDX-License-Identifier: Apache-2.0

package endpoint

import "strings"

// gpuNames are the words in product names, labels and Azure and Oracle instance types that are a GPU's short name.
// A word maps to itself unless it says otherwise.
var gpuNames = map[string]string{
	// NVIDIA, data centre
	"k80": "", "m60": "", "p4": "", "p40": "", "p100": "", "v100": "", "v100s": "v100", "t4": "", "t4g": "",
	"a2": "", "a10": "", "a10g": "", "a16": "", "a30": "", "a40": "", "a100": "", "a100e": "a100", "a100x": "a100", "a800": "",
	"l2": "", "l4": "", "l20": "", "l40": "", "l40s": "", "h20": "", "h100": "", "h200": "", "h800": "", "gh200": "",
	"b100": "", "b200": "", "b300": "", "gb10": "", "gb200": "", "gb300": "", "vr200": "", "r100": "",
	// NVIDIA, workstation
	"a4000": "", "a4500": "", "a5000": "", "a5500": "", "a6000": "",
	// AMD
	"mi25": "", "mi50": "", "mi60": "", "mi100": "", "mi210": "", "mi250": "", "mi250x": "", "mi300a": "", "mi300x": "", "mi308x": "",
	"mi325x": "", "mi350x": "", "mi355x": "", "v520": "", "v710": "",
	// Intel, Google, AWS
	"gaudi": "", "gaudi2": "", "gaudi3": "", "pvc": "", "flex": "",
	"trainium": "", "trainium2": "", "trainium3": "", "inferentia": "", "inferentia2": "",
}

// gpuPhrases are names of more than one word, in the order they are looked for.
var gpuPhrases = []struct{ phrase, name string }{
	{"rtx-pro-6000", "rtxpro6000"}, {"rtx-pro-5000", "rtxpro5000"}, {"rtx-pro-4500", "rtxpro4500"}, {"rtx-6000-ada", "rtx6000ada"}, {"rtx-5000-ada", "rtx5000ada"},
	{"rtx-4000-ada", "rtx4000ada"}, {"quadro-rtx-6000", "rtx6000"}, {"quadro-rtx-8000", "rtx8000"},
	{"rtx-5090", "rtx5090"}, {"rtx-5080", "rtx5080"}, {"rtx-4090", "rtx4090"}, {"rtx-4080", "rtx4080"}, {"rtx-3090", "rtx3090"}, {"rtx-3080", "rtx3080"},
	{"data-center-gpu-max", "max"}, {"tpu-v4", "tpu-v4"}, {"tpu-v5p", "tpu-v5p"}, {"tpu-v5-lite", "tpu-v5e"}, {"tpu-v6e", "tpu-v6e"}, {"tpu7x", "tpu7x"},
}

// gpuType is the short name of the GPU in a product name or label: h100 in NVIDIA-H100-80GB-HBM3, a10 in
// nvidia-ampere-a10. Empty if it names none.
func gpuType(label string) string {
	if label == "" {
		return ""
	}
	words := strings.FieldsFunc(strings.ToLower(label), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	joined := strings.Join(words, "-")
	for _, p := range gpuPhrases {
		if strings.Contains(joined, p.phrase) {
			return p.name
		}
	}
	for _, w := range words {
		if name, ok := gpuNames[w]; ok {
			if name == "" {
				return w
			}
			return name
		}
	}
	return ""
}

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
		if t := gpuType(rest); t != "" {
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
		return gpuType(instance)
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
