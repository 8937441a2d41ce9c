// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"fmt"
	"os"
	"runtime"
)

func platform() string { return "linux/" + runtime.GOARCH }

// writeTar makes an image layer that holds one executable.
func writeTar(file, name, binary string) error {
	b, err := os.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("read layer's binary: %w", err)
	}
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("create layer: %w", err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(b)), Typeflag: tar.TypeReg}); err != nil {
		return fmt.Errorf("write layer: %w", err)
	}
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("write layer: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("write layer: %w", err)
	}
	return f.Close()
}
