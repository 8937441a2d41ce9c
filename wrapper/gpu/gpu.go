// SPDX-License-Identifier: Apache-2.0

// Package gpu asks the NVIDIA driver what GPU this is.
package gpu

import (
	"os"
	"strings"

	"github.com/coldtrace/coldtrace/startup/gpuname"
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
				if t := gpuname.Product(model); t != "" {
					return t
				}
			}
		}
	}
	return ""
}
