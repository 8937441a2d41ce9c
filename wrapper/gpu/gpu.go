// SPDX-License-Identifier: Apache-2.0

// Package gpu asks the NVIDIA driver what GPU this is.
package gpu

import (
	"os"
	"strings"
)

// Dir is where the driver lists its GPUs, in containers too.
const Dir = "/proc/driver/nvidia/gpus"

// Type is the short form (h100, a10g, l40s) of the first GPU that the driver lists; empty if there is none.
func Type(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		b, err := os.ReadFile(dir + "/" + e.Name() + "/information")
		if err != nil {
			continue
		}
		for line := range strings.SplitSeq(string(b), "\n") {
			if model, ok := strings.CutPrefix(line, "Model:"); ok {
				if t := short(model); t != "" {
					return t
				}
			}
		}
	}
	return ""
}

// short finds the part of a product's name that says which GPU it is: letters, digits, at most one letter more.
//
//	NVIDIA H100 80GB HBM3, NVIDIA A100-SXM4-80GB, Tesla T4, NVIDIA RTX A6000, NVIDIA GeForce RTX 4090
func short(model string) string {
	words := strings.FieldsFunc(strings.ToLower(model), func(r rune) bool { return r == ' ' || r == '-' || r == '\t' })
	for i, w := range words {
		if w == "rtx" && i+1 < len(words) && isModel(words[i+1], 0) {
			return "rtx" + words[i+1]
		}
		if isModel(w, 1) {
			return w
		}
	}
	return ""
}

// isModel tells h100 and a10g from sxm4, 80gb and hbm3.
func isModel(w string, letters int) bool {
	i := 0
	for i < len(w) && w[i] >= 'a' && w[i] <= 'z' {
		i++
	}
	if i < letters || i > 2*letters {
		return false
	}
	digits := i
	for i < len(w) && w[i] >= '0' && w[i] <= '9' {
		i++
	}
	digits = i - digits
	return digits >= 1 && digits <= 4 && len(w)-i <= 1 && (letters > 0 || digits == 4)
}
