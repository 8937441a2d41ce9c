// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// output runs a command on a manifest.
func output(t *testing.T, cmd *cobra.Command, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(append([]string{}, args...)) // nil would be the test's own
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err = cmd.Execute()
	return out.String(), errs.String(), err
}

const podTemplateYAML = `
    metadata:
      labels: {managed-by: model-engine, endpoint_name: llama}
    spec:
      containers:
      - name: main
        image: vllm/vllm-openai:v0.17.0
        command: [vllm, serve, a/b]
        resources: {limits: {nvidia.com/gpu: 1}}
`

func TestInjectFindsThePodsInEveryKind(t *testing.T) {
	indented := strings.ReplaceAll(podTemplateYAML, "\n", "\n    ")
	for name, c := range map[string]struct {
		manifest string
		pods     int
	}{
		"a pod":                              {"kind: Pod\n" + strings.ReplaceAll(podTemplateYAML, "\n    ", "\n"), 1},
		"a Deployment":                       {"kind: Deployment\nmetadata: {name: d}\nspec:\n  template:" + podTemplateYAML, 1},
		"a StatefulSet":                      {"kind: StatefulSet\nspec:\n  template:" + podTemplateYAML, 1},
		"a Job":                              {"kind: Job\nspec:\n  template:" + podTemplateYAML, 1},
		"a CronJob":                          {"kind: CronJob\nspec:\n  jobTemplate:\n    spec:\n      template:" + indented, 1},
		"a LeaderWorkerSet":                  {"kind: LeaderWorkerSet\nspec:\n  leaderWorkerTemplate:\n    leaderTemplate:" + strings.ReplaceAll(podTemplateYAML, "\n", "\n  ") + "\n    workerTemplate:" + strings.ReplaceAll(podTemplateYAML, "\n", "\n  "), 2},
		"a LeaderWorkerSet without a leader": {"kind: LeaderWorkerSet\nspec:\n  leaderWorkerTemplate:\n    workerTemplate:" + strings.ReplaceAll(podTemplateYAML, "\n", "\n  "), 1},
		"a List":                             {"kind: List\nitems:\n- kind: ConfigMap\n- kind: Deployment\n  spec:\n    template:" + strings.ReplaceAll(podTemplateYAML, "\n", "\n  "), 1},
		"two documents":                      {"kind: ConfigMap\ndata: {a: b}\n---\n# only a comment\n---\nkind: Job\nspec:\n  template:" + podTemplateYAML, 1},
		"no pod":                             {"kind: ConfigMap\ndata: {a: b}\n", 0},
		"a Deployment without a template":    {"kind: Deployment\nspec: {replicas: 1}\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := output(t, newInjectCommand(), c.manifest, "-f", "-", "-n", "team-a")
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(out, "/coldtrace/coldtrace-wrapper\n"); n != c.pods {
				t.Errorf("%d pods are wrapped, want %d:\n%s", n, c.pods, out)
			}
			for doc := range strings.SplitSeq(out, "---\n") {
				var v any
				if err := yaml.Unmarshal([]byte(doc), &v); err != nil {
					t.Errorf("%v in\n%s", err, doc)
				}
			}
			again, _, err := output(t, newInjectCommand(), out, "-f", "-", "-n", "team-a")
			if err != nil || again != out {
				t.Errorf("a second time it is different (%v):\n%s", err, again)
			}
		})
	}
}

func TestInjectDiffShowsOnlyTheChange(t *testing.T) {
	out, _, err := output(t, newInjectCommand(), "kind: Job\nmetadata: {name: j}\nspec:\n  template:"+podTemplateYAML, "-f", "-", "--diff")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "-") && !strings.HasPrefix(line, "--- ") {
			t.Errorf("something is removed: %s", line)
		}
	}
	if !strings.HasPrefix(out, "--- job/j\n+++ job/j (injected)\n") || !strings.Contains(out, "\n+        - /coldtrace/coldtrace-wrapper\n") {
		t.Errorf("diff is\n%s", out)
	}
	if out, _, err = output(t, newInjectCommand(), "kind: ConfigMap\n", "-f", "-", "--diff"); err != nil || out != "" {
		t.Errorf("no change prints %q (%v)", out, err)
	}
}

func TestBadInputIsAnErrorThatSaysWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		cmd         *cobra.Command
		stdin, want string
		args        []string
	}{
		"no file":               {newInjectCommand(), "", "name a manifest with -f", nil},
		"a missing file":        {newInjectCommand(), "", "no such file", []string{"-f", "/does/not/exist"}},
		"an empty file":         {newInjectCommand(), "", "holds no object", []string{"-f", "-"}},
		"not YAML":              {newInjectCommand(), "a: [", "document 1", []string{"-f", "-"}},
		"a list, not a pod":     {newInjectCommand(), "- a\n", "document 1", []string{"-f", "-"}},
		"a pod of a wrong type": {newInjectCommand(), "kind: Pod\nspec: {containers: 3}\n", "decode pod", []string{"-f", "-"}},
		"a bad policy":          {newExplainCommand(), "kind: Pod\n", "no such file", []string{"-f", "-", "--policy", "/does/not/exist"}},
		"nothing to explain":    {newExplainCommand(), "kind: ConfigMap\n", "holds no pod", []string{"-f", "-"}},
		"a pod and a file":      {newExplainCommand(), "", "not both", []string{"-f", "-", "a-pod"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := output(t, c.cmd, c.stdin, c.args...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
		})
	}
}
