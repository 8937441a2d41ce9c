// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// debianTool is a program we take from the distribution: C code that is no Go module.
type debianTool struct {
	name string // the command, or a file below cniDirs
	pkg  string
	cni  bool
}

// Debian's runc is used because one built without the seccomp tag can't run a pod. bash-static and
// busybox-static go into test images.
var debianTools = []debianTool{
	{name: "runc", pkg: "runc"},
	{name: "ptp", pkg: "containernetworking-plugins", cni: true},
	{name: "iptables", pkg: "iptables"},
	{name: "bash-static", pkg: "bash-static"},
	{name: "busybox", pkg: "busybox-static"},
	{name: "tini", pkg: "tini"}, // these for the wrapper's tests
	{name: "dumb-init", pkg: "dumb-init"},
	{name: "python3", pkg: "python3-minimal"},
	{name: "pkill", pkg: "procps"},
}

// cniDirs are where distributions put CNI plugins: Debian and Ubuntu, then everyone else.
var cniDirs = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}

// sbinPath finds what a user's PATH may leave out.
const sbinPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func findTool(name string) (string, error) {
	for _, dir := range append(filepath.SplitList(sbinPath), filepath.SplitList(os.Getenv("PATH"))...) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("find %s: not installed", name)
}

// findToolIn resolves a command as a shell with that environment would.
func findToolIn(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, e := range env {
		path, ok := strings.CutPrefix(e, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(path) {
			file := filepath.Join(dir, name)
			if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return file, nil
			}
		}
	}
	return "", fmt.Errorf("find %s: not on the node's PATH", name)
}

func findCNI() (string, error) {
	for _, dir := range cniDirs {
		if _, err := os.Stat(filepath.Join(dir, "ptp")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("find CNI plugins: not installed")
}

func missingPackages() []string {
	var missing []string
	for _, t := range debianTools {
		var err error
		if t.cni {
			_, err = findCNI()
		} else {
			_, err = findTool(t.name)
		}
		if err != nil {
			missing = append(missing, t.pkg)
		}
	}
	return missing
}

// packages installs what is missing, for those who may; for others it is only told.
func packages(ctx context.Context, out *progress) error {
	if os.Geteuid() == 0 {
		return ensureDebian(ctx, out)
	}
	if missing := missingPackages(); len(missing) > 0 {
		fmt.Printf("Some tests and the real node need %s, which root can install.\n", strings.Join(missing, ", "))
	}
	return nil
}

// ensureDebian installs what is missing where there is apt, else says what to install.
func ensureDebian(ctx context.Context, out *progress) error {
	missing := missingPackages()
	if len(missing) == 0 {
		return nil
	}
	apt, err := exec.LookPath("apt-get")
	if err != nil {
		return fmt.Errorf("%s missing, and there is no apt-get to install it: install what your distribution calls %s",
			strings.Join(missing, ", "), strings.Join(missing, ", "))
	}
	return out.step("installed "+strings.Join(missing, ", "), func() error {
		// The package lists of a fresh machine are empty or old; try without first.
		install := append([]string{"install", "-y", "--no-install-recommends"}, missing...)
		if aptGet(ctx, apt, install) == nil {
			return nil
		}
		if err := aptGet(ctx, apt, []string{"update"}); err != nil {
			return err
		}
		return aptGet(ctx, apt, install)
	})
}

func aptGet(ctx context.Context, apt string, args []string) error {
	cmd := exec.CommandContext(ctx, apt, args...)
	cmd.Env = append(slices.Clip(os.Environ()), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}
