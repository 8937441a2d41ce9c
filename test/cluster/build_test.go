// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func testLayout(t *testing.T) layout {
	t.Helper()
	l, err := newLayout(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestEveryAddonAndEveryNeededBinaryHasARowToBuildItFrom(t *testing.T) {
	var needed []string
	needed = append(append(needed, nodeBins...), controlPlaneMode.bins...)
	for _, a := range addons {
		needed = append(needed, a.bin)
	}
	if _, err := buildsFor(needed); err != nil {
		t.Error(err)
	}
}

func TestBuildsNarrowToTheNamesAsked(t *testing.T) {
	rows, err := buildsFor([]string{"kubectl", "helm"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range rows {
		names = append(names, slices.Sorted(mapKeys(r.bins))...)
	}
	if got := strings.Join(names, " "); got != "kubectl helm" {
		t.Errorf("built: %s", got)
	}
	if _, err := buildsFor([]string{"kubectl", "kubeadm"}); err == nil || !strings.Contains(err.Error(), "kubeadm") {
		t.Errorf("an unknown name: error %v", err)
	}
}

func TestComponentsOfANodeAreOneLink(t *testing.T) {
	rows, err := buildsFor(nodeBins)
	if err != nil {
		t.Fatal(err)
	}
	got := rows[0].packages(slices.Sorted(mapKeys(rows[0].bins)))
	if want := []string{"k8s.io/kubernetes/cmd/kube-apiserver", "./kubernetes", "k8s.io/kubernetes/cmd/kubectl"}; !slices.Equal(got, want) {
		t.Errorf("linked of Kubernetes: %v, want %v", got, want)
	}
}

// The stamped versions are typed by hand; the modules are what is really built.
func TestStampedVersionsAreTheModules(t *testing.T) {
	l := testLayout(t)
	for module, want := range map[string]string{
		"test/cluster":            "k8s.io/kubernetes " + kubernetesVersion,
		"test/cluster/containerd": "github.com/containerd/containerd/v2 " + containerdVersion,
		"test/cluster/helm":       "helm.sh/helm/v4 " + helmVersion,
	} {
		b, err := os.ReadFile(filepath.Join(l.checkout, module, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), want) {
			t.Errorf("%s/go.mod does not require %s", module, want)
		}
	}
}

func TestAStampChangesWithWhateverDecidesTheBinary(t *testing.T) {
	checkout := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		file := filepath.Join(checkout, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("m/go.mod", "module m\n")
	write("m/main.go", "package main\n")
	b := build{module: "m", sources: []string{"m"}}
	stamp := func() string {
		t.Helper()
		s, err := b.stamp(checkout)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	last := stamp()
	if stamp() != last {
		t.Fatal("the stamp of the same things differs")
	}
	for name, change := range map[string]func(){
		"a required version": func() { write("m/go.mod", "module m\n\nrequire x v1.0.0\n") },
		"a sum":              func() { write("m/go.sum", "x v1.0.0 h1:=\n") },
		"our source":         func() { write("m/main.go", "package main // changed\n") },
		"a new source":       func() { write("m/new.go", "package main\n") },
		"a linker flag":      func() { b.ldflags = "-X main.v=1" },
		"an environment":     func() { b.env = []string{"CGO_ENABLED=0"} },
	} {
		change()
		if now := stamp(); now == last {
			t.Errorf("%s changed, the stamp did not", name)
		} else {
			last = now
		}
	}
	write("m/main_test.go", "package main\n")
	if stamp() != last {
		t.Error("a test changed the stamp")
	}
}

func TestABinaryIsFreshOnlyWithItsStamp(t *testing.T) {
	l := layout{bin: t.TempDir()}
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(l.bin, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(".tool.stamp", "one")
	if fresh(l, "tool", "one") {
		t.Error("a binary that isn't there is fresh")
	}
	write("tool", "binary")
	if !fresh(l, "tool", "one") {
		t.Error("a binary with its stamp is stale")
	}
	if fresh(l, "tool", "two") {
		t.Error("a binary with another stamp is fresh")
	}
}

// A first run compiles what has two versions twice.
func TestModulesShareTheVersionsOfWhatTheyShare(t *testing.T) {
	type version struct{ Path, Version string }
	first := map[string][2]string{}
	rows, err := buildsFor(nodeBins)
	if err != nil {
		t.Fatal(err)
	}
	modules := []string{".", "test/kubelet"}
	for _, r := range rows {
		modules = append(modules, r.module)
	}
	for _, module := range modules {
		cmd := exec.Command("go", "mod", "edit", "-json")
		cmd.Dir = filepath.Join("..", "..", module)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", module, err)
		}
		var mod struct {
			Require []version
			Replace []struct{ Old, New version }
		}
		if err := json.Unmarshal(out, &mod); err != nil {
			t.Fatal(err)
		}
		for _, r := range mod.Require {
			for _, by := range mod.Replace {
				if by.Old.Path == r.Path {
					r.Version = by.New.Version
				}
			}
			if before, ok := first[r.Path]; ok && before[1] != r.Version {
				t.Errorf("%s is %s in %s, %s in %s", r.Path, before[1], before[0], r.Version, module)
			} else if !ok {
				first[r.Path] = [2]string{module, r.Version}
			}
		}
	}
	if len(first) < 100 {
		t.Errorf("%d modules are required", len(first))
	}
}
