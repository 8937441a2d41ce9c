// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/startup"
)

const bareManifest = `apiVersion: v1
kind: Pod
metadata:
  name: scratch
  labels: {team: search}
spec:
  automountServiceAccountToken: false
  containers:
  - name: main
    image: example.test/vllm:1
    command: [vllm, serve, org/model]
    env: [{name: HF_HOME, value: /cache}]
    resources: {limits: {nvidia.com/gpu: "1"}}
`

// What a tool says the first time, it says again: an unchanged manifest of a bare pod is as welcome with coldtrace as without.
func TestABarePodCanBeAppliedAgain(t *testing.T) {
	install(t, 1, nil, patient, "webhook.failurePolicy=Fail")
	dir := t.TempDir()
	manifest := filepath.Join(dir, "pod.yaml")
	must(t, os.WriteFile(manifest, []byte(bareManifest), 0o600))
	release := chartOf(t, bareManifest)
	kubectl := func(args ...string) []string { return append([]string{"kubectl", "-f", manifest}, args...) }
	helm := func(args ...string) []string { return append([]string{"helm", "r", release}, args...) }
	for name, c := range map[string]struct {
		first, again []string
		applied      bool // what is there in the end, by what is known of it
	}{
		"kubectl apply":                {kubectl("apply"), kubectl("apply"), true},
		"kubectl apply by the server":  {kubectl("apply", "--server-side"), kubectl("apply", "--server-side"), true},
		"kubectl create, then apply":   {kubectl("create", "--save-config"), kubectl("apply"), true},
		"kubectl replace by force":     {kubectl("apply"), kubectl("replace", "--force", "--grace-period=0"), false},
		"kubectl replace":              {kubectl("create"), kubectl("replace"), false},
		"a Helm release":               {helm("install"), helm("upgrade"), true},
		"a Helm release by the server": {helm("install", "--server-side=true"), helm("upgrade", "--server-side=true"), true},
	} {
		t.Run(name, func(t *testing.T) {
			plain, traced := "off-"+randomName(), labelled(t)
			makeNamespace(t, plain, nil)
			attempt := func(ns string) error {
				if err := as(t, ns, c.first); err != nil {
					t.Fatalf("the first time: %v", err)
				}
				if !slices.Contains(c.again, "--force") { // a kubelet would have to end it
					bind(t, ns)
				}
				return as(t, ns, c.again)
			}
			without, with := attempt(plain), attempt(traced)
			if (without == nil) != (with == nil) {
				t.Errorf("without coldtrace: %v\nwith it: %v", without, with)
			}
			pod, err := suite.client.CoreV1().Pods(traced).Get(t.Context(), "scratch", metav1.GetOptions{})
			must(t, err)
			if !injected(pod) {
				t.Errorf("it was not seen: %v", pod.Annotations)
			}
			wrapped := strings.Contains(strings.Join(pod.Spec.Containers[0].Command, " "), startup.WrapperPath)
			if wrapped == c.applied {
				t.Errorf("command %q", pod.Spec.Containers[0].Command)
			}
		})
	}
}

// bind does what a scheduler does: from then on Kubernetes refuses more.
func bind(t *testing.T, ns string) {
	t.Helper()
	must(t, suite.client.CoreV1().Pods(ns).Bind(t.Context(), &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: "scratch"}, Target: corev1.ObjectReference{Kind: "Node", Name: "gpu-1"},
	}, metav1.CreateOptions{}))
}

// as runs a tool against a namespace; the verb comes after what it is about.
func as(t *testing.T, ns string, command []string) error {
	t.Helper()
	args := append([]string{command[3]}, command[1:3]...)
	args = append(append(args, command[4:]...), "--namespace", ns, "--kubeconfig", suite.kubeconfig)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), command[0]), args...).CombinedOutput()
	if err != nil {
		return &toolError{err, string(out)}
	}
	return nil
}

type toolError struct {
	error
	said string
}

func (e *toolError) Error() string { return e.error.Error() + ": " + e.said }

// chartOf is a Helm chart of one manifest.
func chartOf(t *testing.T, manifest string) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "templates"), 0o700))
	for name, text := range map[string]string{
		"Chart.yaml": "apiVersion: v2\nname: scratch\nversion: 0.1.0\n", "templates/pod.yaml": manifest,
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}
