// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

const ownSampler = `
        env: [{name: OTEL_TRACES_SAMPLER, value: always_off}]`

// groupPod is one as a StatefulSet of nodes makes it.
const groupPod = `
apiVersion: v1
kind: Pod
metadata:
  name: llama-3
  uid: 5f6d2c9e-0f39-4b6b-8a52-3c1f6d8e9a01
  labels: {managed-by: model-engine, apps.kubernetes.io/pod-index: "3"}
  ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: llama, uid: s, controller: true}]
spec:
  containers:
    - name: main
      command: [vllm, serve, a/b, --nnodes=4, --headless]
      resources: {limits: {nvidia.com/gpu: 8}}
`

func TestExplainSaysWhatEachRuleSawAndDecidedAndWhatToDo(t *testing.T) {
	endpoint := func(change ...string) string {
		return "kind: Deployment\nmetadata: {name: j}\nspec:\n  template:" + strings.NewReplacer(change...).Replace(podTemplateYAML)
	}
	for name, c := range map[string]struct {
		manifest string
		args     []string
	}{
		"a job":                                     {strings.Replace(endpoint(), "Deployment", "Job", 1), nil},
		"a leader and its workers":                  {strings.Replace(strings.Replace(endpoint(), "Deployment", "LeaderWorkerSet", 1), "spec:\n  template:", "spec:\n leaderWorkerTemplate:\n  workerTemplate:", 1), nil},
		"an endpoint that gets everything":          {endpoint(), nil},
		"an endpoint on nodes that mount images":    {endpoint(), []string{"--image-volumes"}},
		"an endpoint with a shell string":           {endpoint("[vllm, serve, a/b]", "[bash, -c, 'sleep 1; vllm serve a/b']"), nil},
		"an endpoint without a command":             {endpoint("        command: [vllm, serve, a/b]\n", ""), nil},
		"an endpoint with variables from elsewhere": {endpoint("        command:", "        envFrom: [{configMapRef: {name: x}}]\n        command:"), nil},
		"an endpoint with its own sampler":          {endpoint("\n        command:", ownSampler+"\n        command:"), nil},
		"another engine":                            {endpoint("[vllm, serve, a/b]", "[python3, -m, sglang.launch_server, --model-path, a/b]"), nil},
		"a pod without a GPU":                       {endpoint("{nvidia.com/gpu: 1}", "{cpu: 1}"), nil},
		"a pod that is no endpoint":                 {endpoint("managed-by: model-engine", "a: b", "[vllm, serve, a/b]", "[sleep, inf]"), nil},
		"an endpoint that opts out":                 {endpoint("labels:", "annotations: {coldtrace.io/inject: 'false'}\n      labels:"), nil},
		"an annotation with a typing error":         {endpoint("labels:", "annotations: {coldtrace.io/delivry: 'off'}\n      labels:"), nil},
		"a namespace that switches the wrapper off": {endpoint(), []string{"--namespace-annotation", "coldtrace.io/delivery=off"}},
		"a pod of a group":                          {groupPod, nil},
		"a pod that is none of a group":             {strings.NewReplacer("--nnodes=4, --headless", "--max-model-len=4096").Replace(groupPod), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := output(t, newExplainCommand(), c.manifest, append([]string{"-f", "-", "-n", "team-a"}, c.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			fits(t, "it", helpWidth, got)
			for _, width := range []string{"40", "120"} {
				columns, _ := strconv.Atoi(width)
				at, _, err := output(t, newExplainCommand(), c.manifest, append([]string{"-f", "-", "-n", "team-a", "--width", width}, c.args...)...)
				if err != nil || strings.Join(strings.Fields(at), " ") != strings.Join(strings.Fields(got), " ") {
					t.Errorf("on %s columns something else is said (%v):\n%s", width, err, at)
				}
				fits(t, "on "+width+" columns it", columns, at)
			}
			path := filepath.Join("testdata", "explain", strings.ReplaceAll(name, " ", "-")+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want, err := os.ReadFile(path); err != nil || string(want) != got {
				t.Errorf("%s differs (%v); `make golden` rewrites it, then look at git diff.\n%s", path, err, got)
			}
		})
	}
}

func TestSeveralManifestsAreAllExplained(t *testing.T) {
	args := []string{"-n", "team-a"}
	for _, name := range []string{"one", "two"} {
		file := filepath.Join(t.TempDir(), name+".yaml")
		if err := os.WriteFile(file, []byte("kind: Deployment\nmetadata: {name: "+name+"}\nspec:\n  template:"+podTemplateYAML), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-f", file)
	}
	got, _, err := output(t, newExplainCommand(), "", args...)
	if err != nil || !strings.Contains(got, "Deployment one: injected") || !strings.Contains(got, "Deployment two: injected") {
		t.Errorf("%v\n%s", err, got)
	}
}

// Who looks before a roll-out whether an endpoint is among the share that is injected is told what admission then does.
func TestAManifestIsInTheCanaryIfItsPodsAreAtAdmission(t *testing.T) {
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, []byte("{canaryPercent: 50, otlp: {endpoint: 'http://x:4317'}, wrapper: {image: w}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	in := func(manifest string) bool {
		t.Helper()
		text, _, err := output(t, newExplainCommand(), manifest, "-f", "-", "-n", "team-a", "--policy", policy)
		if err != nil {
			t.Fatal(err)
		}
		return !strings.Contains(text, "outside-canary")
	}
	pod := "kind: Pod" + strings.ReplaceAll(podTemplateYAML, "\n    ", "\n")
	seen := map[bool]int{}
	for i := range 20 {
		name := "llama-" + strconv.Itoa(i)
		seen[in("kind: Deployment\nmetadata: {name: "+name+"}\nspec:\n  template:"+podTemplateYAML)]++
		for kind, c := range map[string]struct{ manifest, labels, owner string }{
			"Deployment":  {"spec:\n  template:" + podTemplateYAML, ", pod-template-hash: 5d4f", "{kind: ReplicaSet, name: " + name + "-5d4f"},
			"StatefulSet": {"spec:\n  template:" + podTemplateYAML, "", "{kind: StatefulSet, name: " + name},
			"CronJob":     {"spec:\n  jobTemplate:\n    spec:\n      template:" + strings.ReplaceAll(podTemplateYAML, "\n", "\n    "), "", "{kind: Job, name: " + name + "-29733127"},
		} {
			made := strings.Replace(pod, "endpoint_name: llama}", "endpoint_name: llama"+c.labels+"}\n  ownerReferences: ["+c.owner+", controller: true}]", 1)
			if in("kind: "+kind+"\nmetadata: {name: "+name+"}\n"+c.manifest) != in(made) {
				t.Errorf("%s %s is told otherwise than it is done", kind, name)
			}
		}
	}
	if seen[true] == 0 || seen[false] == 0 {
		t.Errorf("of 20 Deployments %d are in", seen[true])
	}
}
