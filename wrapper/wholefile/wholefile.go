// SPDX-License-Identifier: Apache-2.0

// Package wholefile replaces files whole or not at all: who reads one never sees half of it.
package wholefile

import (
	"io"
	"os"
	"path/filepath"
)

// Write makes a file of what can be read, or leaves what was there. Only a regular file is replaced: a status file that is
// said to be /dev/stdout or /dev/null would take that from all who use it.
func Write(path string, content io.Reader, mode os.FileMode) (err error) {
	if there, err := os.Lstat(path); err == nil && !there.Mode().IsRegular() {
		return &os.PathError{Op: "replace", Path: path, Err: os.ErrExist}
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".coldtrace-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name())
		}
	}()
	_, err = io.Copy(temp, content)
	if err == nil {
		err = temp.Chmod(mode)
	}
	if closed := temp.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	return err
}
