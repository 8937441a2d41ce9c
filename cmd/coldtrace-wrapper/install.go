// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/wrapper/wholefile"
)

// install copies the two programs into a directory, each whole or not at all. This one comes last: where it is, all is.
func install(dir string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	for _, name := range []string{startup.ObserverName, startup.WrapperName} {
		from, err := os.Open(filepath.Join(filepath.Dir(self), name))
		if err != nil {
			return fmt.Errorf("open a program: %w", err)
		}
		err = wholefile.Write(filepath.Join(dir, name), from, 0o755) // the container may run as any user
		from.Close()
		if err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
	}
	return nil
}
