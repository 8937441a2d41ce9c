// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// build is one `go build` invocation: binaries that come from one module with one set of flags.
//
// Modules are separate on purpose. In one module, minimal version selection would raise Kubernetes' own
// dependencies to whatever Helm or containerd ask for, and we would no longer run what its release tested.
type build struct {
	// module is the folder of the go.mod, relative to the checkout.
	module string
	// bins maps the file name under bin/ to the package it is built from.
	bins map[string]string
	// ldflags come on top of `-s -w`.
	ldflags string
	// env is added to the environment of the go command.
	env []string
	// sources are folders, relative to the checkout, whose Go files are part of the stamp: those of
	// binaries whose code lives in this repository.
	sources []string
}

const (
	kubernetesVersion = "v1.36.3"
	containerdVersion = "v2.4.2"
	helmVersion       = "v4.3.1"
)

// builds is every binary the cluster runs. To add one, add a row (and, if it runs as a process of the
// node, a row in addons).
var builds = []build{
	{
		module: "test/cluster",
		bins: map[string]string{
			"kube-apiserver":          "k8s.io/kubernetes/cmd/kube-apiserver",
			"kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
			"kube-scheduler":          "k8s.io/kubernetes/cmd/kube-scheduler",
			"kube-proxy":              "k8s.io/kubernetes/cmd/kube-proxy",
			"kubelet":                 "k8s.io/kubernetes/cmd/kubelet",
			"kubectl":                 "k8s.io/kubernetes/cmd/kubectl",
		},
		// Without a version clients and Helm refuse to talk to the API server.
		ldflags: versionFlags("k8s.io/component-base/version", map[string]string{
			"gitVersion": kubernetesVersion, "gitMajor": "1", "gitMinor": "36", "gitTreeState": "clean",
		}),
	},
	{
		module: "test/cluster/etcd",
		bins:   map[string]string{"etcd": "go.etcd.io/etcd/server/v3"},
		env:    []string{"CGO_ENABLED=0"},
	},
	{
		module: "test/cluster/containerd",
		bins: map[string]string{
			"containerd":              "github.com/containerd/containerd/v2/cmd/containerd",
			"containerd-shim-runc-v2": "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
		},
		ldflags: versionFlags("github.com/containerd/containerd/v2/version", map[string]string{"Version": containerdVersion}),
		env:     []string{"CGO_ENABLED=0"},
	},
	{
		module: "test/cluster/registry",
		bins:   map[string]string{"crane": "github.com/google/go-containerregistry/cmd/crane"},
		env:    []string{"CGO_ENABLED=0"},
	},
	{
		module: "test/cluster/helm",
		bins:   map[string]string{"helm": "helm.sh/helm/v4/cmd/helm"},
		ldflags: versionFlags("helm.sh/helm/v4/internal/version", map[string]string{
			"version": helmVersion,
		}),
		env: []string{"CGO_ENABLED=0"},
	},
	{
		module:  "test/cluster/dns",
		bins:    map[string]string{"dns": "."},
		env:     []string{"CGO_ENABLED=0"},
		sources: []string{"test/cluster/dns"},
	},
	{
		module:  "test/collector",
		bins:    map[string]string{"collector": "."},
		env:     []string{"CGO_ENABLED=0"},
		sources: []string{"test/collector"},
	},
	{
		module:  "test/s3",
		bins:    map[string]string{"s3": "."},
		env:     []string{"CGO_ENABLED=0"},
		sources: []string{"test/s3"},
	},
	{
		module:  "test/cluster",
		bins:    map[string]string{"pause": "./pause"},
		env:     []string{"CGO_ENABLED=0"},
		sources: []string{"test/cluster/pause"},
	},
}

// controlPlaneBins are what tests against a bare API server need; envtest looks for exactly these names.
var controlPlaneBins = []string{"etcd", "kube-apiserver", "kubectl"}

// nodeBins are what a full `up` needs.
var nodeBins = []string{
	"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl",
	"containerd", "containerd-shim-runc-v2", "crane", "helm", "dns", "pause",
}

func versionFlags(pkg string, vars map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(mapKeys(vars)) {
		fmt.Fprintf(&b, " -X %s.%s=%s", pkg, name, vars[name])
	}
	return strings.TrimSpace(b.String())
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// buildsFor returns the rows that make the named binaries; all rows for no name.
func buildsFor(names []string) ([]build, error) {
	if len(names) == 0 {
		return builds, nil
	}
	var rows []build
	for i := range builds {
		if slices.ContainsFunc(names, func(n string) bool { return builds[i].bins[n] != "" }) {
			rows = append(rows, builds[i].only(names))
		}
	}
	for _, n := range names {
		if !slices.ContainsFunc(rows, func(b build) bool { return b.bins[n] != "" }) {
			return nil, fmt.Errorf("build %s: no such binary", n)
		}
	}
	return rows, nil
}

// only narrows a row to the named binaries.
func (b build) only(names []string) build {
	bins := map[string]string{}
	for name, pkg := range b.bins {
		if slices.Contains(names, name) {
			bins[name] = pkg
		}
	}
	b.bins = bins
	return b
}

// buildAll makes what is missing or out of date, one row at a time: a link of Kubernetes takes all the
// memory and cores there are.
func buildAll(ctx context.Context, l layout, out *progress, names ...string) error {
	rows, err := buildsFor(names)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(l.bin, 0o755); err != nil {
		return fmt.Errorf("create bin folder: %w", err)
	}
	unlock, err := lockFile(ctx, filepath.Join(l.bin, ".lock"))
	if err != nil {
		return err
	}
	defer unlock()
	for _, b := range rows {
		if err := b.ensure(ctx, l, out); err != nil {
			return err
		}
	}
	return nil
}

func (b build) ensure(ctx context.Context, l layout, out *progress) error {
	stamp, err := b.stamp(l.checkout)
	if err != nil {
		return err
	}
	var stale []string
	for _, name := range slices.Sorted(mapKeys(b.bins)) {
		if !fresh(l, name, stamp) {
			stale = append(stale, name)
		}
	}
	if len(stale) == 0 {
		return nil
	}
	return out.step("built "+strings.Join(stale, ", "), func() error {
		if err := b.goBuild(ctx, l, stale); err != nil {
			return err
		}
		for _, name := range stale {
			if err := os.WriteFile(stampFile(l, name), []byte(stamp), 0o644); err != nil {
				return fmt.Errorf("write build stamp: %w", err)
			}
		}
		return nil
	})
}

func stampFile(l layout, name string) string { return filepath.Join(l.bin, "."+name+".stamp") }

func fresh(l layout, name, stamp string) bool {
	if _, err := os.Stat(filepath.Join(l.bin, name)); err != nil {
		return false
	}
	have, err := os.ReadFile(stampFile(l, name))
	return err == nil && string(have) == stamp
}

// goBuild compiles into a folder of its own and renames, so that a running binary is never written to
// and an interrupted build leaves the old one in place.
func (b build) goBuild(ctx context.Context, l layout, names []string) error {
	tmp, err := os.MkdirTemp(l.bin, ".build-")
	if err != nil {
		return fmt.Errorf("create build folder: %w", err)
	}
	defer os.RemoveAll(tmp)

	flags := strings.TrimSpace("-s -w " + b.ldflags)
	args := []string{"build", "-buildvcs=false", "-trimpath", "-ldflags", flags}
	// One package is named by us (etcd's folder is called v3); several go by their own names.
	if len(names) == 1 {
		args = append(args, "-o", filepath.Join(tmp, names[0]), b.bins[names[0]])
	} else {
		args = append(args, "-o", tmp+string(filepath.Separator))
		for _, name := range names {
			args = append(args, b.bins[name])
		}
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(l.checkout, b.module)
	cmd.Env = append(os.Environ(), b.env...)
	if outp, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", strings.Join(names, ", "), err, outp)
	}
	for _, name := range names {
		if err := os.Rename(filepath.Join(tmp, name), filepath.Join(l.bin, name)); err != nil {
			return fmt.Errorf("install %s: %w", name, err)
		}
	}
	return nil
}

// stamp identifies everything that decides what the row's binaries are.
func (b build) stamp(checkout string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH, b.ldflags, b.env)
	// With code of our own in the checkout the pinned versions are only half of it.
	files := []string{filepath.Join(checkout, b.module, "go.mod"), filepath.Join(checkout, b.module, "go.sum")}
	for _, dir := range b.sources {
		found, err := goFiles(filepath.Join(checkout, dir))
		if err != nil {
			return "", err
		}
		files = append(files, found...)
	}
	for _, f := range files {
		if err := hashFile(h, f); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func goFiles(dir string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list sources: %w", err)
	}
	return found, nil
}

// hashFile adds name and content; a module without dependencies has no go.sum.
func hashFile(h io.Writer, name string) error {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open source: %w", err)
	}
	defer f.Close()
	fmt.Fprintln(h, filepath.Base(name))
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("read source: %w", err)
	}
	return nil
}
