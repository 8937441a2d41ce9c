// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestTheEnvironmentIsReadAsTheClusterWritesIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "env")
	const text = "export KUBECONFIG=\"/a b/kubeconfig\"\nexport REGISTRY=\"10.0.0.1:5000\"\nexport PATH=\"/bin\":\"$PATH\"\n\n# a remark\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readEnv(path)
	if err != nil {
		t.Fatal(err)
	}
	delete(got, "PATH")
	if want := map[string]string{"KUBECONFIG": "/a b/kubeconfig", "REGISTRY": "10.0.0.1:5000"}; !reflect.DeepEqual(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
}

func TestOnlyTheClustersVariablesAreExpanded(t *testing.T) {
	s := &Stage{env: map[string]string{"NODE_IP": "10.0.0.2"}, tag: "dev-1", pull: ownRegistry}
	const manifest = `http://${NODE_IP}:9000 ${NODE_IP_V6} $NODE_IP $(POD_UID) $$ "$CHAT_TEMPLATE" ${CHAT:-x} registry.coldtrace.test/sim:dev registry.coldtrace.test/sim:develop`
	want := strings.Replace(strings.Replace(manifest, "${NODE_IP}", "10.0.0.2", 1), "sim:dev ", "sim:dev-1 ", 1)
	if got := s.Expand(manifest); got != want {
		t.Errorf("expanded to %s, want %s", got, want)
	}
}

// TestADemoOnAClusterOfYoursBootsNone: whoever names half of what it needs is told so, and no kubelet is started as root.
func TestADemoOnAClusterOfYoursBootsNone(t *testing.T) {
	for typed, want := range map[string]bool{"KUBECONFIG=f": true, "REGISTRY=h/p": true, "KUBECONFIG=": true, "KEEP=1": false} {
		cmd := exec.Command("make", "--dry-run", "--directory", "../..", "demo", typed)
		cmd.Env = append(os.Environ(), "MAKEFLAGS=", "REGISTRY=of-the-environment")
		out, err := cmd.CombinedOutput()
		if visits := strings.Contains(string(out), "-kubeconfig"); err != nil || visits != want {
			t.Errorf("make demo %s: visits a cluster: %t, want %t\n%v %s", typed, visits, want, err, out)
		}
	}
	for _, g := range []Guest{{}, {Kubeconfig: "f"}, {Registry: "h/p"}} {
		if _, err := Visit(t.Context(), t.Output(), g); err == nil || !strings.Contains(err.Error(), "make demo KUBECONFIG=FILE REGISTRY=HOST/PATH") {
			t.Errorf("%+v: %v", g, err)
		}
	}
}

func TestAnEndpointRunsOnAClusterWithoutGPUs(t *testing.T) {
	manifest, err := os.ReadFile("../e2e/testdata/endpoint.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := &Stage{env: map[string]string{"NODE_IP": "around.svc"}, tag: "dev-1", pull: "localhost:5001/x", guest: &Guest{}}
	got := s.Expand(string(manifest))
	for _, needed := range []string{"nvidia.com/gpu:", "nodeSelector", "registry.coldtrace.test", "${NODE_IP}"} {
		if strings.Contains(got, needed) {
			t.Errorf("it needs %s:\n%s", needed, got)
		}
	}
	for _, want := range []string{"image: localhost:5001/x/sim:dev-1\n", "--endpoint-url http://around.svc:9000 ", `limits: {cpu: "1", memory: 1Gi}`} {
		if !strings.Contains(got, want) {
			t.Errorf("it lacks %s:\n%s", want, got)
		}
	}
}

func TestADemoForAClusterWithoutARegistryIsRefused(t *testing.T) {
	for _, g := range []Guest{{Kubeconfig: "x"}, {Registry: "x"}} {
		if _, err := Visit(t.Context(), t.Output(), g); err == nil || !strings.Contains(err.Error(), "REGISTRY=") {
			t.Errorf("%v: %v", g, err)
		}
	}
}

func TestACommandThatFailsSaysWhatItSaid(t *testing.T) {
	s := &Stage{checkout: t.TempDir()}
	err := s.run(t.Context(), "/bin/sh", "-c", "echo to stdout; echo to stderr >&2; exit 7")
	for _, want := range []string{"exit status 7", "to stdout", "to stderr"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want it to say %q", err, want)
		}
	}
}

func TestAnInterruptReachesTheWholeCommand(t *testing.T) {
	s := &Stage{checkout: t.TempDir()}
	ctx, cancel := context.WithCancel(t.Context())
	// The child of the shell has to end, too: else Run waits for its standard output until the grace is over.
	cmd := s.command(ctx, "/bin/sh", "-c", "(echo begun; exec sleep 60); echo survived")
	out := &notify{begun: cancel}
	cmd.Stdout = out
	if err := cmd.Run(); err == nil {
		t.Error("the command ended well")
	}
	if strings.Contains(out.said.String(), "survived") {
		t.Error("the command went on after the interrupt")
	}
}

// notify calls begun at the first write.
type notify struct {
	said  bytes.Buffer
	begun func()
}

func (n *notify) Write(b []byte) (int, error) {
	n.begun()
	return n.said.Write(b)
}

func TestStepsSayHowTheyEnded(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(&out)
	failure := errors.New("no")
	if err := p.Step("good", func() error { return nil }); err != nil {
		t.Error(err)
	}
	if err := p.Step("bad", func() error { return failure }); !errors.Is(err, failure) {
		t.Errorf("error %v, want %v", err, failure)
	}
	ready := func(status corev1.ConditionStatus) *corev1.Pod {
		return &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}}}
	}
	see := p.Milestones(Ready)
	for _, status := range []corev1.ConditionStatus{corev1.ConditionFalse, corev1.ConditionTrue, corev1.ConditionTrue} {
		if done, err := see(ready(status)); err != nil || done != (status == corev1.ConditionTrue) {
			t.Errorf("with Ready=%s: done %v, error %v", status, done, err)
		}
	}
	if got := out.String(); strings.Count(got, "✓ good") != 1 || strings.Count(got, "✗ bad") != 1 || strings.Count(got, "✓ endpoint ready") != 1 {
		t.Errorf("said\n%s", got)
	}
}
