// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// cgroupName is the group all pods of the cluster in dir live under, in every hierarchy.
func cgroupName(dir string) string {
	return fmt.Sprintf("coldtrace-%x", sha256.Sum256([]byte(dir)))[:len("coldtrace-")+8]
}

// cgroupRoots are the mount points of every hierarchy: one on v2, one per controller on v1.
func cgroupRoots() ([]string, error) {
	mounts, err := readMounts()
	if err != nil {
		return nil, err
	}
	var roots []string
	for _, m := range mounts {
		if (m.fstype == "cgroup" || m.fstype == "cgroup2") && strings.HasPrefix(m.point, "/sys/fs/cgroup") {
			roots = append(roots, m.point)
		}
	}
	if len(roots) == 0 {
		return nil, errors.New("find cgroups: nothing is mounted under /sys/fs/cgroup")
	}
	return roots, nil
}

func createCgroups(name string) error {
	roots, err := cgroupRoots()
	if err != nil {
		return err
	}
	if err := enableControllers(roots); err != nil {
		return err
	}
	for _, root := range roots {
		group := filepath.Join(root, name)
		if err := os.Mkdir(group, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("create cgroup: %w", err)
		}
		// A v1 cpuset starts without CPUs and memory nodes and takes no process until it has both.
		for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
			b, err := os.ReadFile(filepath.Join(root, f))
			if err != nil {
				continue // not the cpuset hierarchy
			}
			if err := os.WriteFile(filepath.Join(group, f), b, 0); err != nil {
				return fmt.Errorf("initialise cpuset: %w", err)
			}
		}
	}
	return nil
}

// enableControllers lets groups below the root of a v2 hierarchy use its controllers, as the kubelet
// demands. systemd has most of them enabled already. They stay enabled: others may have come to use them.
func enableControllers(roots []string) error {
	if len(roots) != 1 {
		return nil // v1, or both: the controllers are on v1
	}
	all, err := os.ReadFile(filepath.Join(roots[0], "cgroup.controllers"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read controllers: %w", err)
	}
	file := filepath.Join(roots[0], "cgroup.subtree_control")
	enabled, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read controllers: %w", err)
	}
	for _, c := range strings.Fields(string(all)) {
		if slices.Contains(strings.Fields(string(enabled)), c) {
			continue
		}
		if err := os.WriteFile(file, []byte("+"+c), 0); err != nil {
			return fmt.Errorf("enable cgroup controller %s (in a container, its processes must not be in the root group): %w", c, err)
		}
	}
	return nil
}

// removeCgroups removes the tree. Groups stay busy for a moment after their last process was killed.
func removeCgroups(name string) error {
	roots, err := cgroupRoots()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(10 * time.Second)
	for _, root := range roots {
		for {
			err := removeCgroupTree(filepath.Join(root, name))
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				return err
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

func removeCgroupTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read cgroup: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeCgroupTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	// Not os.Remove: it would try to unlink first.
	if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("remove cgroup %s: %w", dir, err)
	}
	return nil
}
