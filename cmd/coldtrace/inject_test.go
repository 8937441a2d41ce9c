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
		"a missing file":        {newInjectCommand(), "", "there is no ", []string{"-f", "/does/not/exist"}},
		"an empty file":         {newInjectCommand(), "", "holds no object", []string{"-f", "-"}},
		"not YAML":              {newInjectCommand(), "a: [", "document 1", []string{"-f", "-"}},
		"a list, not a pod":     {newInjectCommand(), "- a\n", "document 1", []string{"-f", "-"}},
		"a pod of a wrong type": {newInjectCommand(), "kind: Pod\nspec: {containers: 3}\n", "decode pod", []string{"-f", "-"}},
		"a bad policy":          {newExplainCommand(), "kind: Pod\n", "there is no ", []string{"-f", "-", "--policy", "/does/not/exist"}},
		"a file without -f":     {newExplainCommand(), "", "inject_test.go is a file: give it with -f inject_test.go", []string{"inject_test.go"}},
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

// A manifest that the API server would refuse is broken. Whether its pod has a GPU is the second question.
func TestAManifestThatIsNoPodIsSaidToBeBroken(t *testing.T) {
	for name, c := range map[string]struct{ manifest, want string }{
		"broken YAML":                            {"kind: Pod\nmetadata:\n  name: x\n spec: {}\n", "document 1 of - is broken: no YAML: line 3"},
		"a tab":                                  {"kind: Pod\nspec:\n\tcontainers: []\n", "document 1 of - is broken: no YAML: line"},
		"the second document":                    {"kind: ConfigMap\n---\nkind: Pod\n", `document 2 of - is broken: decode pod of Pod ""`},
		"no spec":                                {"kind: Pod\nmetadata: {name: p}\n", "it has no containers, which stand in spec.containers"},
		"no containers":                          {"kind: Pod\nmetadata: {name: p}\nspec: {containers: []}\n", "it has no containers"},
		"containers beside the spec":             {"kind: Pod\nspec:\ncontainers:\n- {name: a}\n", `unknown field "containers"; is that indented as it should be?`},
		"containers beside a template's spec":    {"kind: Job\nspec:\n  template:\n    spec:\n    containers:\n    - {name: a}\n", `unknown field "containers"`},
		"a template beside the spec":             {"kind: Deployment\nmetadata: {name: d}\nspec: {replicas: 1}\ntemplate: {spec: {containers: [{name: a}]}}\n", `Deployment "d" has no spec.template`},
		"a CronJob that is written as a Job":     {"kind: CronJob\nspec:\n  template: {spec: {containers: [{name: a}]}}\n", "has no spec.jobTemplate.spec.template"},
		"a LeaderWorkerSet without any template": {"kind: LeaderWorkerSet\nspec: {replicas: 1}\n", "has no spec.leaderWorkerTemplate"},
		"a number for a variable's text":         {"kind: Pod\nspec: {containers: [{name: a, env: [{name: X, value: 3}]}]}\n", "spec.containers.env.value: a number, where a text belongs"},
		"a limit that is no quantity":            {"kind: Pod\nspec: {containers: [{name: a, resources: {limits: {nvidia.com/gpu: one}}}]}\n", `limits.nvidia.com/gpu: "one" is no quantity`},
		"containers as a map":                    {"kind: Pod\nspec: {containers: {main: {image: a}}}\n", "decode pod"},
		"in a list":                              {"kind: List\nitems:\n- kind: Pod\n", "item 0: decode pod"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, cmd := range []*cobra.Command{newExplainCommand(), newInjectCommand()} {
				out, _, err := output(t, cmd, c.manifest, "-f", "-")
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(out, "no-gpu") {
					t.Errorf("%s: error is %v, want %q\n%s", cmd.Name(), err, c.want, out)
				}
			}
		})
	}
}

// A newer API server may know the field, so the pod is explained all the same.
func TestAFieldThatIsNotKnownIsSaidBeforeAPodIsExplained(t *testing.T) {
	const manifest = "kind: Pod\nmetadata: {name: p, labels: {managed-by: model-engine}}\nspec:\n  containers:\n  - {name: main, command: [vllm, serve, m], limits: {nvidia.com/gpu: 1}}\n"
	out, _, err := output(t, newExplainCommand(), manifest, "-f", "-")
	out = strings.Join(strings.Fields(out), " ")
	warned := strings.Index(out, `unknown field "spec.containers[0].limits"`)
	if explained := strings.Index(out, "no-gpu"); err != nil || warned < 0 || explained < warned {
		t.Errorf("error %v, said\n%s", err, out)
	}
	out, errs, err := output(t, newInjectCommand(), manifest, "-f", "-")
	if err != nil || !strings.Contains(errs, "is broken, or newer than this") || !strings.Contains(out, "limits:") {
		t.Errorf("error %v, warned\n%s, printed\n%s", err, errs, out)
	}
}

func TestASlipInAManifestIsSaidInItsWritersWords(t *testing.T) {
	container := func(of string) string {
		return "kind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - {name: main, image: i, " + of + "}\n"
	}
	for name, c := range map[string]struct{ manifest, want string }{
		"only a text":              {"just text", "the whole of it: a text, where an object belongs"},
		"a list":                   {"- a\n- b\n", "the whole of it: a list, where an object belongs"},
		"a kind that is a number":  {"kind: 5", "kind: a number, where a text belongs"},
		"a list of no items":       {"kind: List\nitems: x", "items: a text, where a list belongs"},
		"an item that is none":     {"kind: List\nitems: [x]", "item 0: it is no object of Kubernetes: the whole of it: a text"},
		"a label that is a number": {"kind: Pod\nmetadata: {labels: {a: 5}}\n", "metadata.labels: a number, where a text belongs: put it in quotes"},
		"an annotation of no text": {"kind: Pod\nmetadata: {annotations: {coldtrace.io/inject: false}}\n", "metadata.annotations: true or false, where a text belongs: put it in quotes"},
		"a command in one text":    {container("command: vllm serve"), "spec.containers.command: a text, where a list belongs"},
		"a limit that is a word":   {container("resources: {limits: {nvidia.com/gpu: x}}"), `limits.nvidia.com/gpu: "x" is no quantity`},
		"a limit with its unit":    {container(`resources: {requests: {memory: "8 Gi"}}`), `requests.memory: "8 Gi" is no quantity`},
		"a limit that is not set":  {container("resources: {limits: {cpu: null, memory: x}}"), `limits.memory: "x" is no quantity`},
		"a template that is none":  {"kind: Job\nmetadata: {name: j}\nspec: {template: [1]}\n", "a list, where an object belongs"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := output(t, newInjectCommand(), c.manifest, "-f", "-")
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "Go ") {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
