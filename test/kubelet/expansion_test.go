// SPDX-License-Identifier: Apache-2.0

// Package kubelet_test holds what coldtrace thinks of the kubelet's $(NAME) against the kubelet's own function. It is a module
// of its own, because the product must not depend on k8s.io/kubernetes.
package kubelet_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
	"sigs.k8s.io/yaml"

	"github.com/coldtrace/coldtrace/endpoint"
)

// variables are a container's, and how the kubelet has them when it expands command and args.
var (
	variables = []corev1.EnvVar{{Name: "A", Value: "old"}, {Name: "A", Value: "a value"}, {Name: "B.b-1", Value: ")("}, {Name: "EMPTY"}}
	values    = map[string]string{"A": "a value", "B.b-1": ")(", "EMPTY": ""}
)

// compare looks at the text as an argument of an engine, which admission reads as the engine will get it.
func compare(t *testing.T, text string) {
	t.Helper()
	var pod endpoint.Pod
	pod.Spec.Containers = []endpoint.Container{{Name: "main", Command: []string{"vllm", "serve", "--model", text}, Env: variables}}
	args := endpoint.Identify(&pod, endpoint.Options{Declared: endpoint.Declared{Container: "main"}}).Command.Args
	if len(args) == 0 {
		t.Fatalf("%q: no command was found that it is an argument of", text)
	}
	want := expansion.Expand(text, expansion.MappingFuncFor(values))
	if got := args[len(args)-1]; got.Text != want || !got.Known {
		t.Errorf("%q comes to %q (known %v), the kubelet makes %q of it", text, got.Text, got.Known, want)
	}
}

// Every string of up to seven of the characters that matter.
func TestEveryShortStringExpandsAsTheKubeletExpandsIt(t *testing.T) {
	const alphabet, longest = "$()A", 7
	var extend func(prefix string)
	extend = func(prefix string) {
		compare(t, prefix)
		if t.Failed() || len(prefix) == longest {
			return
		}
		for _, c := range alphabet {
			extend(prefix + string(c))
		}
	}
	extend("")
}

func TestGeneratedCommandsExpandAsTheKubeletExpandsThem(t *testing.T) {
	pieces := []string{
		"$", "$$", "$(", ")", "(", "$(A)", "$(B.b-1)", "$(EMPTY)", "$(C)", "$$(A)", "${A}", "$((1+1))", "$(date -u)", "`date`", "\\$", "'$A'", "\"$(A)\"", "\n", "ü", " ",
		"vllm serve", "echo", ";", "$A", "$1", "$@", // no bytes that are not UTF-8: JSON has none
	}
	rng := rand.New(rand.NewPCG(1, 36))
	for range 50_000 {
		var b strings.Builder
		for range 1 + rng.IntN(12) {
			b.WriteString(pieces[rng.IntN(len(pieces))])
		}
		compare(t, b.String())
		if t.Failed() {
			return
		}
	}
}

// environment is what the kubelet makes of a container's env: in order, each value seeing those before it, the last of a
// name winning. What comes from elsewhere has a value of its own.
func environment(env []corev1.EnvVar) map[string]string {
	out := map[string]string{}
	for _, e := range env {
		if e.ValueFrom != nil {
			out[e.Name] = "from-elsewhere"
			continue
		}
		out[e.Name] = expansion.Expand(e.Value, expansion.MappingFuncFor(out))
	}
	return out
}

// unresolved are the names that a text refers to and that an environment lacks, by the kubelet's own reading of the text.
func unresolved(text string, env map[string]string) (names []string) {
	expansion.Expand(text, func(name string) string {
		if _, ok := env[name]; !ok {
			names = append(names, name)
		}
		return ""
	})
	return names
}

func read(t *testing.T, path string) *corev1.Pod {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pod := new(corev1.Pod)
	if err := yaml.Unmarshal(data, pod); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return pod
}

func TestTheKubeletResolvesEveryReferenceThatInjectionAddsToAGolden(t *testing.T) {
	paths, err := filepath.Glob("../../inject/testdata/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	added := 0
	for _, path := range paths {
		before, after := read(t, path), read(t, path+".injected")
		for i, c := range after.Spec.Containers {
			added += check(t, filepath.Base(path), &before.Spec.Containers[i], &c)
		}
	}
	t.Logf("%d references in %d pods", added, len(paths))
	if added == 0 {
		t.Error("no golden has a reference that injection adds: this test shows nothing")
	}
}

// check compares the references of a container before and after, and tells how many there are more.
func check(t *testing.T, pod string, before, after *corev1.Container) (added int) {
	was, is := environment(before.Env), environment(after.Env)
	own := map[string]bool{}
	for _, e := range before.Env {
		own[e.Name] = true
	}
	for i, e := range after.Env {
		if own[e.Name] || e.ValueFrom != nil {
			continue
		}
		seen := environment(after.Env[:i])
		for _, name := range unresolved(e.Value, seen) {
			t.Errorf("%s: %s refers to %s, which the kubelet does not have there", pod, e.Name, name)
		}
		added += strings.Count(e.Value, "$(")
	}
	for name, value := range was {
		if is[name] != value {
			t.Errorf("%s: %s comes to %q and came to %q", pod, name, is[name], value)
		}
	}
	var had []string
	for _, word := range append(append([]string{}, before.Command...), before.Args...) {
		had = append(had, unresolved(word, was)...)
	}
	for _, word := range append(append([]string{}, after.Command...), after.Args...) {
		for _, name := range unresolved(word, is) {
			if i := index(had, name); i >= 0 {
				had = append(had[:i], had[i+1:]...)
				continue
			}
			t.Errorf("%s: the command refers to %s, which the kubelet does not have", pod, name)
		}
		added += strings.Count(word, "=$(OTEL_EXPORTER_OTLP_ENDPOINT)")
	}
	if len(had) > 0 {
		t.Errorf("%s: %q became known to the kubelet, which changes the pod's own command", pod, had)
	}
	return added
}

func index(list []string, s string) int {
	for i, v := range list {
		if v == s {
			return i
		}
	}
	return -1
}
