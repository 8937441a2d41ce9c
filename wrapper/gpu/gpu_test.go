// SPDX-License-Identifier: Apache-2.0

package gpu

import (
	"os"
	"path/filepath"
	"testing"
)

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
