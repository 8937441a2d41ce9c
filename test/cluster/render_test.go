// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestConfigurationRendersAndParses(t *testing.T) {
	l := testLayout(t)
	n := newNetwork(10, 200)
	if err := writePKI(filepath.Join(l.run, "pki"), nodeName, []string{n.NodeIP}); err != nil {
		t.Fatal(err)
	}
	s := settings{
		N: n, NodeName: nodeName, RegistryName: registryName, PauseImage: pauseImage, CRISocket: criSocket,
		Snapshotter: "overlayfs", Runc: "/usr/sbin/runc", CNIBin: "/usr/lib/cni", Cgroup: "coldtrace-x", Kubeconfig: l.kubeconfig(),
		Platform: platform(),
	}
	if err := writeNodeConf(l, s); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kubelet.yaml", "kube-proxy.yaml", "audit.yaml", "kubelet.kubeconfig", "scheduler.kubeconfig"} {
		var parsed map[string]any
		if err := yaml.UnmarshalStrict(read(t, l.conf(name)), &parsed); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if parsed["kind"] == nil {
			t.Errorf("%s has no kind", name)
		}
	}
	var cni any
	if err := json.Unmarshal(read(t, l.conf("cni/10-pods.conflist")), &cni); err != nil {
		t.Errorf("cni: %v", err)
	}
	toml := string(read(t, l.conf("containerd.toml")))
	for _, want := range []string{`BinaryName = "/usr/sbin/runc"`, `config_path = "` + l.conf("certs.d") + `"`, `sandbox = "` + pauseImage + `"`} {
		if !strings.Contains(toml, want) {
			t.Errorf("containerd.toml lacks %s", want)
		}
	}
	info, err := os.Stat(l.kubeconfig())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kubeconfig's mode: %v, %v", info, err)
	}
}

func TestTheEnvFileCanBeSourced(t *testing.T) {
	l := testLayout(t)
	if err := writeEnv(l, newNetwork(10, 200)); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sh", "-c", `. "$0" && echo "$KUBECONFIG $REGISTRY $NODE_IP ${PATH%%:*}"`, l.envFile()).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := l.kubeconfig() + " 10.200.255.2:5000 10.200.255.2 " + l.bin + "\n"
	if string(out) != want {
		t.Errorf("got  %swant %s", out, want)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
