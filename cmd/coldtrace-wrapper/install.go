// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/coldtrace/coldtrace/startup"
)

// install copies this program into a directory, whole or not at all.
func install(dir string) (err error) {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	from, err := os.Open(self)
	if err != nil {
		return fmt.Errorf("open this program: %w", err)
	}
	defer from.Close()
	to, err := os.CreateTemp(dir, ".coldtrace-*")
	if err != nil {
		return fmt.Errorf("create a file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(to.Name())
		}
	}()
	if _, err = io.Copy(to, from); err != nil {
		_ = to.Close()
		return fmt.Errorf("copy this program: %w", err)
	}
	// The container may run as any user.
	if err = to.Chmod(0o755); err != nil {
		_ = to.Close()
		return fmt.Errorf("make the copy executable: %w", err)
	}
	if err = to.Close(); err != nil {
		return fmt.Errorf("write the copy: %w", err)
	}
	if err = os.Rename(to.Name(), filepath.Join(dir, filepath.Base(startup.WrapperPath))); err != nil {
		return fmt.Errorf("name the copy: %w", err)
	}
	return nil
}
