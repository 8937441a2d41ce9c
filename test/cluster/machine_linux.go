// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"

	"golang.org/x/sys/unix"
)

// What the node claims to have, so that pods with a model server's requests (tens of CPUs, hundreds of GiB)
// can be placed on any machine: an AWS p5.48xlarge. The kubelet has no setting for it and reports what it
// reads below /proc and /sys, so it is shown other files there. Containers mount their own and see the
// real machine.
const (
	claimedCPUs  = 192
	claimedKiB   = 2 << 30 // 2 TiB
	nodesFolder  = "sys/devices/system/node"
	memoryReport = "proc/meminfo"
)

var memTotal = regexp.MustCompile(`(?m)^MemTotal:.*$`)

// growMachine mounts the larger machine over the node's view of this one.
func growMachine(base, root string) error {
	info, err := os.ReadFile(filepath.Join(root, memoryReport))
	if err != nil {
		return fmt.Errorf("read memory: %w", err)
	}
	memory := filepath.Join(base, "meminfo")
	info = memTotal.ReplaceAll(info, fmt.Appendf(nil, "MemTotal:       %d kB", claimedKiB))
	if err := os.WriteFile(memory, info, 0o444); err != nil {
		return fmt.Errorf("write memory: %w", err)
	}
	if err := bindOver(memory, filepath.Join(root, memoryReport)); err != nil {
		return err
	}
	nodes := filepath.Join(base, "nodes")
	if err := writeTopology(nodes, runtime.NumCPU()); err != nil {
		return err
	}
	return bindOver(nodes, filepath.Join(root, nodesFolder))
}

// writeTopology lists the real CPUs again and again, once for each of as many NUMA nodes as it takes: the
// kubelet counts all of them, but writes their numbers to cgroups, where only real ones are accepted.
func writeTopology(dir string, realCPUs int) error {
	for node := range (claimedCPUs + realCPUs - 1) / realCPUs {
		for cpu := range realCPUs {
			topology := filepath.Join(dir, fmt.Sprintf("node%d", node), fmt.Sprintf("cpu%d", cpu), "topology")
			if err := os.MkdirAll(topology, 0o755); err != nil {
				return fmt.Errorf("write topology: %w", err)
			}
			for name, id := range map[string]int{"core_id": cpu, "physical_package_id": node} {
				if err := os.WriteFile(filepath.Join(topology, name), fmt.Appendf(nil, "%d\n", id), 0o444); err != nil {
					return fmt.Errorf("write topology: %w", err)
				}
			}
		}
	}
	return nil
}

// bindOver hides target behind source; a kernel without target needs no hiding.
func bindOver(source, target string) error {
	if _, err := os.Stat(target); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind over %s: %w", target, err)
	}
	return nil
}
