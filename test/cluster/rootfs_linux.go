// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// sysctlMasks are the kernel settings the kubelet insists on. They belong to the whole machine, so instead
// of letting it write them we show it files that already say what it wants.
var sysctlMasks = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// diskTypes are file systems whose mounts the node sees as the host does. Everything else is either ours
// to mount afresh or none of the node's business.
var diskTypes = []string{"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "virtiofs", "9p"}

// enterRoot gives the calling process (PID 1 of a new mount namespace) a root of its own: the machine's
// files below, a tmpfs above that takes every write, and only the cluster's folders shared with the host.
// Components with paths built in (/var/lib/kubelet, /var/log/containers, /etc/cni …) can then write where
// they like, and all of it is gone with the namespace.
func enterRoot(l layout, n network) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	disks, err := diskMounts(l)
	if err != nil {
		return err
	}
	base := filepath.Join(l.run, "root")
	if err := os.MkdirAll(base, 0o755); err != nil {
		return fmt.Errorf("create root: %w", err)
	}
	if err := unix.Mount("tmpfs", base, "tmpfs", 0, "mode=0755,size=2g"); err != nil {
		return fmt.Errorf("mount root: %w", err)
	}
	root := filepath.Join(base, "root")
	for i, disk := range disks {
		if err := overlay(base, i, disk, filepath.Join(root, disk)); err != nil {
			return err
		}
	}
	for _, step := range []func() error{
		func() error { return mountKernel(root) },
		func() error { return bindFolders(l, root) },
		func() error { return maskSysctls(base, root) },
		func() error { return growMachine(base, root) },
		func() error { return writeEtc(root, n) },
		func() error { return pivot(root) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	// The kubelet's volumes must propagate into containers.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make mounts shared: %w", err)
	}
	return nil
}

// diskMounts lists the host's disks, the root first, parents before children.
func diskMounts(l layout) ([]string, error) {
	mounts, err := readMounts()
	if err != nil {
		return nil, err
	}
	disks := []string{"/"}
	for _, m := range mounts {
		hidden := m.point == "/" || within("/proc", m.point) || within("/sys", m.point) ||
			within("/dev", m.point) || within("/run", m.point) || within(l.dir, m.point)
		if hidden || !slices.Contains(diskTypes, m.fstype) {
			continue
		}
		if info, err := os.Stat(m.point); err != nil || !info.IsDir() {
			continue // single files such as a container's /etc/hosts
		}
		disks = append(disks, m.point)
	}
	slices.Sort(disks)
	return slices.Compact(disks), nil
}

func within(dir, path string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func overlay(base string, i int, lower, target string) error {
	upper, work := filepath.Join(base, fmt.Sprintf("upper%d", i)), filepath.Join(base, fmt.Sprintf("work%d", i))
	for _, dir := range []string{upper, work, target} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("create overlay: %w", err)
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work)
	if err := unix.Mount("overlay", target, "overlay", 0, options); err != nil {
		return fmt.Errorf("overlay %s: %w", lower, err)
	}
	return nil
}

// mountKernel mounts the kernel's file systems; proc and sysfs show the new PID and network namespaces.
func mountKernel(root string) error {
	for _, m := range []struct {
		source, target, fstype string
		flags                  uintptr
	}{
		{"proc", "/proc", "proc", 0},
		{"sysfs", "/sys", "sysfs", 0},
		{"/sys/fs/cgroup", "/sys/fs/cgroup", "", unix.MS_BIND | unix.MS_REC},
		{"/dev", "/dev", "", unix.MS_BIND | unix.MS_REC},
		{"tmpfs", "/run", "tmpfs", 0},
	} {
		if err := unix.Mount(m.source, filepath.Join(root, m.target), m.fstype, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	return nil
}

// bindFolders shares the checkout and the cluster's folders with the host, at the same paths, and puts
// what grows (images, volumes, logs of pods) on the disk behind them.
func bindFolders(l layout, root string) error {
	for _, b := range []struct{ source, target string }{
		{l.checkout, l.checkout},
		{l.dir, l.dir},
		{l.bin, l.bin},
		{l.data("containerd"), "/var/lib/containerd"},
		{l.data("kubelet"), "/var/lib/kubelet"},
		{l.data("pods"), "/var/log/pods"},
	} {
		target := filepath.Join(root, b.target)
		for _, dir := range []string{b.source, target} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("create folder: %w", err)
			}
		}
		if err := unix.Mount(b.source, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", b.target, err)
		}
	}
	return nil
}

func maskSysctls(base, root string) error {
	for name, value := range sysctlMasks {
		file := filepath.Join(base, strings.ReplaceAll(name, "/", "."))
		if err := os.WriteFile(file, []byte(value+"\n"), 0o444); err != nil {
			return fmt.Errorf("write sysctl: %w", err)
		}
		if err := bindOver(file, filepath.Join(root, "proc/sys", name)); err != nil {
			return err
		}
	}
	return nil
}

// writeEtc replaces what the host's /etc says about names; pods have no way out of the machine.
func writeEtc(root string, n network) error {
	for name, content := range map[string]string{
		"hosts":       "127.0.0.1 localhost\n" + n.NodeIP + " " + nodeName + "\n",
		"hostname":    nodeName + "\n",
		"resolv.conf": "nameserver " + n.DNSIP + "\n",
	} {
		file := filepath.Join(root, "etc", name)
		// A symbolic link here (systemd-resolved's) would lead elsewhere.
		if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("replace %s: %w", name, err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

func pivot(root string) error {
	if err := os.Chdir(root); err != nil {
		return fmt.Errorf("enter root: %w", err)
	}
	// pivot_root(2): with "." twice the old root is stacked on the new one and can be detached at once.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach old root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return fmt.Errorf("enter root: %w", err)
	}
	return nil
}

// snapshotterFor picks what containerd keeps images in: an overlay can't be stacked on an overlay, which
// is what a checkout inside a container lies on.
func snapshotterFor(dir string) (string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "", &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if st.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return "native", nil
	}
	return "overlayfs", nil
}
