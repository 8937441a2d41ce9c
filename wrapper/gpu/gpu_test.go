// SPDX-License-Identifier: Apache-2.0

package gpu

import (
	"os"
	"path/filepath"
	"testing"
)

func TestNamesOfProducts(t *testing.T) {
	for model, want := range map[string]string{
		"NVIDIA H100 80GB HBM3": "h100", "NVIDIA A100-SXM4-80GB": "a100", "NVIDIA A10G": "a10g", "Tesla T4": "t4",
		"NVIDIA L40S": "l40s", "NVIDIA L4": "l4", "NVIDIA B200": "b200", "NVIDIA GH200 480GB": "gh200", "NVIDIA RTX A6000": "a6000",
		"NVIDIA GeForce RTX 4090": "rtx4090", "Tesla V100-SXM2-16GB": "v100", "NVIDIA H20": "h20", "": "", "NVIDIA": "",
	} {
		if got := short(model); got != want {
			t.Errorf("%s: %q, want %q", model, got, want)
		}
	}
}

func TestTheDriversListIsRead(t *testing.T) {
	dir := t.TempDir()
	if got := Type(dir + "/nothing"); got != "" {
		t.Error(got)
	}
	if err := os.MkdirAll(filepath.Join(dir, "0000:07:00.0"), 0o755); err != nil {
		t.Fatal(err)
	}
	text := "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 100\n"
	if err := os.WriteFile(filepath.Join(dir, "0000:07:00.0", "information"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := Type(dir); got != "h100" {
		t.Error(got)
	}
}
