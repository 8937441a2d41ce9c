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
		"NVIDIA H200": "h200", "NVIDIA H100 NVL": "h100", "NVIDIA H100 PCIe": "h100", "NVIDIA A100 80GB PCIe": "a100", "NVIDIA A10": "a10",
		"NVIDIA A30": "a30", "NVIDIA GB200": "gb200", "NVIDIA B300 SXM6 AC": "b300", "NVIDIA GB10": "gb10", "Tesla P100-PCIE-16GB": "p100",
		"Tesla K80": "k80", "NVIDIA A100-SXM4-80GB MIG 1g.10gb": "a100", "NVIDIA L40": "l40", "Unknown": "",
	} {
		if got := short(model); got != want {
			t.Errorf("%s: %q, want %q", model, got, want)
		}
	}
}

// information is a file of the driver, whose columns are a space, tabs and a space.
func information(model, more string) string {
	return "Model: \t\t " + model + "\nIRQ:   \t\t 77\nGPU UUID: \t GPU-01234567-89ab-cdef-0123-456789abcdef\nVideo BIOS: \t 94.02.26.40.81\n" +
		"Bus Type: \t PCIe\nDMA Size: \t 47 bits\nDMA Mask: \t 0x7fffffffffff\nBus Location: \t 0000:07:00.0\nDevice Minor: \t 0\n" + more
}

func TestTheDriversListIsRead(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string // by the GPU's address
		want  string
	}{
		"a driver of today":           {map[string]string{"0000:07:00.0": information("NVIDIA H100 80GB HBM3", "GPU Firmware: \t 590.48.01\nGPU Excluded:\t No\n")}, "h100"},
		"a driver of some years ago":  {map[string]string{"0000:00:04.0": information("Tesla K80", "Blacklisted:\t No\n")}, "k80"},
		"several, all alike":          {map[string]string{"0000:07:00.0": information("NVIDIA A10G", ""), "0000:0f:00.0": information("NVIDIA A10G", "")}, "a10g"},
		"the first does not answer":   {map[string]string{"0000:00:08.0": information("Unknown", ""), "0000:00:09.0": information("NVIDIA L4", "")}, "l4"},
		"a GPU that fell off the bus": {map[string]string{"0000:00:08.0": ""}, ""},
		"no GPU":                      {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for address, text := range c.files {
				if err := os.MkdirAll(filepath.Join(dir, address), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, address, "information"), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, address, "registry"), []byte("Binary: \"\"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got := Type(dir); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	if got := Type(filepath.Join(t.TempDir(), "nothing")); got != "" {
		t.Errorf("without a driver: %q", got)
	}
}
