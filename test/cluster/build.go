// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
)

// build is one `go build` invocation: binaries that come from one module with one set of flags.
//
// Modules are separate since Kubernetes' needs replacements that no other could live with. What they share, they have at coldtrace's
// versions: a package that is the same in two modules is compiled once, which is a quarter of a first run.
type build struct {
	// module is the folder of the go.mod, relative to the checkout.
	module string
	// bins maps the file name under bin/ to the package it is built from.
	bins map[string]string
	// ldflags come on top of `-s -w`.
	ldflags string
	tags    string
	// env is added to the environment of the go command.
	env []string
	// sources are folders, relative to the checkout, whose Go files are part of the stamp: those of
	// binaries whose code lives in this repository.
	sources []string
}

const (
	kubernetesVersion = "v1.37.2"
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
			"kube-controller-manager": "./kubernetes",
			"kube-scheduler":          "./kubernetes",
			"kube-proxy":              "./kubernetes",
			"kubelet":                 "./kubernetes",
			"kubectl":                 "k8s.io/kubernetes/cmd/kubectl",
		},
		// Without a version clients and Helm refuse to talk to the API server.
		ldflags: versionFlags("k8s.io/component-base/version", map[string]string{
			"gitVersion": kubernetesVersion, "gitMajor": "1", "gitMinor": "37", "gitTreeState": "clean",
		}),
		tags:    "kubernetes",
		env:     []string{"CGO_ENABLED=0"},
		sources: []string{"test/cluster/kubernetes"},
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
		// Helm 3's engine is in it: the chart's suites are also a test with the Helm before.
		module: "test/tools/helm-unittest",
		bins:   map[string]string{"helm-unittest": "github.com/helm-unittest/helm-unittest/cmd/helm-unittest"},
		env:    []string{"CGO_ENABLED=0"},
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
		module:  ".",
		bins:    map[string]string{"receiver": "./test/receiver"},
		env:     []string{"CGO_ENABLED=0"},
		sources: []string{"test/receiver"},
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
