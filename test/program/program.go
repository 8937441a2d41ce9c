// SPDX-License-Identifier: Apache-2.0

// Package program builds this repository's programs for tests: as they are released, whatever the tests themselves are built with, and
// once for all packages.
package program

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Build returns the paths of programs, which are named by their folders in the checkout, such as cmd/coldtrace. Go leaves one alone
// that is up to date.
func Build(folders ...string) (paths []string, err error) {
	root, err := checkout()
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(root, ".cluster", "programs")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return nil, err
	}
	lock, err := os.Create(filepath.Join(bin, ".lock"))
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("wait for another build: %w", err)
	}
	args := []string{"build", "-buildvcs=false", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", bin + "/"}
	for _, folder := range folders {
		args = append(args, "./"+folder)
		paths = append(paths, filepath.Join(bin, filepath.Base(folder)))
	}
	build := exec.CommandContext(context.Background(), "go", args...)
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w\n%s", strings.Join(folders, ", "), err, out)
	}
	return paths, look(root, folders)
}

// look lists the folders that the product and a program are in. A test's result is reused while the folders that it listed itself hold
// files of the same sizes and times, and what go build reads for it does not count.
func look(root string, folders []string) error {
	for _, from := range append(folders, ".") {
		err := filepath.WalkDir(filepath.Join(root, from), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() && (filepath.Dir(path) == root && slices.Contains(others, entry.Name()) || entry.Name() == "testdata") {
				return fs.SkipDir
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// others are folders of the checkout that hold no packages of the product.
var others = []string{".git", ".cluster", "bin", "charts", "dist", "docs", "test"}

func checkout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "cmd", "coldtrace", "main.go")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("no checkout of coldtrace around the working folder")
}
