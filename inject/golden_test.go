// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/inject"
)

var update = flag.Bool("update", false, "rewrite golden files")

// testPolicy is the policy that fixtures build on.
const testPolicy = `
clusterName: prod-1
otlp: {endpoint: "http://collector.coldtrace.svc:4317"}
wrapper: {image: registry.example/coldtrace-wrapper:1}
`

// fixture is a pod and what it is injected under. Comment lines of the file say it:
//
//	#policy: vllmFlag: always     (YAML, one line each, over testPolicy)
//	#namespace: coldtrace.io/region: eu-1
//	#image-volumes
//	#image-volumes-refused        (in this namespace)
type fixture struct {
	raw     []byte // the pod as JSON
	request inject.Request
}

func readFixture(t testing.TB, path string) fixture {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := yaml.YAMLToJSON(data)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var policyText strings.Builder
	ns, volumes, refused := map[string]string{}, false, inject.Reason("")
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if text, ok := strings.CutPrefix(line, "#policy: "); ok {
			policyText.WriteString(text + "\n")
		}
		if text, ok := strings.CutPrefix(line, "#namespace: "); ok {
			key, value, _ := strings.Cut(text, ": ")
			ns[key] = value
		}
		volumes = volumes || line == "#image-volumes"
		if line == "#image-volumes-refused" {
			refused = inject.ReasonRefused
		}
	}
	return fixture{raw: raw, request: inject.Request{
		Pod:                  decode(t, raw),
		Namespace:            "team-a",
		NamespaceAnnotations: ns,
		Policy:               mergedPolicy(t, policyText.String()),
		ImageVolumes:         volumes,
		NoImageVolume:        refused,
		Version:              "test",
	}}
}

// merged are the policies made so far: fuzzing asks for the same one a million times.
var merged sync.Map

// mergedPolicy puts lines of a policy over testPolicy.
func mergedPolicy(t testing.TB, text string) *config.Policy {
	t.Helper()
	if p, ok := merged.Load(text); ok {
		return p.(*config.Policy)
	}
	var under, over map[string]any
	if err := yaml.Unmarshal([]byte(testPolicy), &under); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(text), &over); err != nil {
		t.Fatal(err)
	}
	for k, v := range over {
		if m, ok := v.(map[string]any); ok && under[k] != nil {
			for k2, v2 := range m {
				under[k].(map[string]any)[k2] = v2
			}
			continue
		}
		under[k] = v
	}
	whole, err := yaml.Marshal(under)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := config.Parse(whole)
	if err != nil {
		t.Fatal(err)
	}
	merged.Store(text, policy)
	return policy
}

func decode(t testing.TB, raw []byte) *endpoint.Pod {
	t.Helper()
	pod := new(endpoint.Pod)
	if err := json.Unmarshal(raw, pod); err != nil {
		t.Fatalf("decode pod: %v", err)
	}
	return pod
}

// apply is the pod after its patch, as JSON, and the decision.
func apply(t testing.TB, f fixture) ([]byte, inject.Decision) {
	t.Helper()
	ops, decision := inject.Pod(f.request)
	if len(ops) == 0 {
		return f.raw, decision
	}
	out, err := applyOps(f.raw, ops)
	if err != nil {
		t.Fatalf("apply: %v", err)
	}
	return out, decision
}

func TestGoldenPods(t *testing.T) {
	for _, path := range fixtures(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			f := readFixture(t, path)
			injected, decision := apply(t, f)
			compareGolden(t, path+".injected", render(t, injected, decision))

			again := f
			again.raw = injected
			again.request.Pod = decode(t, injected)
			ops, second := inject.Pod(again.request)
			if len(ops) != 0 || second.Outcome != inject.Already && string(injected) != string(f.raw) {
				t.Errorf("reinvocation is %s with %v, want no operations", second.Outcome, ops)
			}
		})
	}
}

func fixtures(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	return paths
}

// render is a golden file: the warnings as comments, then the pod.
func render(t testing.TB, raw []byte, d inject.Decision) []byte {
	t.Helper()
	out, err := yaml.JSONToYAML(raw)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, w := range d.Warnings {
		b.WriteString("# warning: " + w + "\n")
	}
	b.Write(out)
	return []byte(b.String())
}

func compareGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (make golden writes it)", err)
	}
	if string(want) != string(got) {
		t.Errorf("%s differs; `make golden` rewrites it, then look at git diff.\n%s", path, got)
	}
}
