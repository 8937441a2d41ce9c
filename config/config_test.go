// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/coldtrace/coldtrace/startup"
)

var update = flag.Bool("update", false, "rewrite docs/annotations.md")

func TestTheExampleIsTheDefaultAndHasEveryField(t *testing.T) {
	data, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	policy, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.KnownImages = []KnownImage{} // the example writes an empty list
	if !reflect.DeepEqual(policy, want) {
		t.Errorf("the example is\n%+v\nthe default\n%+v", policy, want)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	missing(t, "", reflect.TypeFor[Policy](), tree)
}

func missing(t *testing.T, at string, of reflect.Type, tree map[string]any) {
	for i := range of.NumField() {
		name := of.Field(i).Tag.Get("yaml")
		if name == "-" {
			continue
		}
		value, ok := tree[name]
		if !ok {
			t.Errorf("the example lacks %s%s", at, name)
		}
		if inner, ok := value.(map[string]any); ok && of.Field(i).Type.Kind() == reflect.Struct {
			missing(t, at+name+".", of.Field(i).Type, inner)
		}
	}
}

func TestABadPolicyIsRefusedWithItsLine(t *testing.T) {
	for name, c := range map[string]struct{ policy, want string }{
		"an unknown field":             {"region: a\nclustername: b\n", "line 2: there is no field clustername"},
		"an unknown nested field":      {"wrapper:\n  imge: b\n", "line 2: there is no field wrapper.imge"},
		"a wrong type":                 {"region: a\ncanaryPercent: many\n", "line 2: canaryPercent: a text, where a number belongs"},
		"a list of choices":            {"wrapper: {delivery: [off]}\n", "line 1: wrapper.delivery: a list, where a text belongs"},
		"a number for a duration":      {"wrapper:\n  timeout: 30\n", "line 2: wrapper.timeout: a number, where a duration such as 30m belongs"},
		"a text for an object":         {"wrapper: off\n", "line 1: wrapper: a text, where an object belongs"},
		"a text for a list":            {"selection: {gpuResources: x}\n", "line 1: selection.gpuResources: a text, where a list belongs"},
		"a word for a switch":          {"region: a\npodEvents: maybe\n", "line 2: podEvents: a text, where true or false belongs"},
		"two on one line":              {"wrapper: {timeout: 5, runtimeClasses: foo}\n", "wrapper.timeout: a number, where a duration such as 30m belongs; line 1: wrapper.runtimeClasses: a text, where a list belongs"},
		"one item of a list":           {"selection:\n  labelValues:\n  - a\n  - [b]\n", "line 4: selection.labelValues: a list, where a text belongs"},
		"an unknown field in a list":   {"knownImages:\n- {image: a, entrypont: [b]}\n", "line 2: there is no field knownImages.entrypont"},
		"a list for all of it":         {"- a\n", "parse policy: line 1: a list, where an object belongs"},
		"a bad choice":                 {"wrapper:\n  image: a\n  delivery: pigeon\n", `line 3: wrapper.delivery: "pigeon" is not one of auto, image-volume, init-container, off`},
		"a bad hash":                   {"traceID: sha1\n", `line 1: traceID: "sha1" is not one of md5, sha256`},
		"an endpoint without scheme":   {"otlp:\n  endpoint: collector:4317\n", "line 2: otlp.endpoint: is not an http:// or https:// URL with a host"},
		"an endpoint with a password":  {"otlp: {endpoint: 'http://a:b@c:4317'}\n", "holds credentials"},
		"an endpoint with a quote":     {"otlp: {endpoint: 'http://c:4317/\"'}\n", "a character that a shell would read"},
		"a ratio above one":            {"requestSampling:\n  ratio: 1.5\n", "line 2: requestSampling.ratio: 1.5 is not between 0 and 1"},
		"a ratio that is no number":    {"requestSampling: {ratio: .nan}\n", "is not between 0 and 1"},
		"a percentage above 100":       {"canaryPercent: 101\n", "line 1: canaryPercent: 101 is not between 0 and 100"},
		"a negative duration":          {"wrapper: {timeout: -1s}\n", "wrapper.timeout: is negative"},
		"a flush beyond a pod's grace": {"wrapper: {flushTimeout: 11s}\n", "line 1: wrapper.flushTimeout: 11s is more than 10s"},
		"a duration without unit":      {"wrapper: {timeout: 30}\n", "line 1"},
		"a bad quantity":               {"wrapper: {memory: lots}\n", "wrapper.memory"},
		"memory without its unit":      {"wrapper: {memory: 64}\n", `wrapper.memory: "64" is less than 16Mi`},
		"memory to start nothing in":   {"wrapper: {memory: 4Mi}\n", `wrapper.memory: "4Mi" is less than 16Mi`},
		"no processor at all":          {"wrapper: {cpu: 0}\n", `wrapper.cpu: "0" is less than 1m`},
		"a negative quantity":          {"wrapper: {cpu: -1}\n", "wrapper.cpu"},
		"a star amid a resource":       {"selection: {gpuResources: ['*.com/gpu']}\n", `selection.gpuResources: "*.com/gpu" is not a resource's name`},
		"every resource":               {"selection: {gpuResources: [nvidia.com/gpu, '*']}\n", `selection.gpuResources: "*" is not`},
		"a resource without a name":    {"selection: {gpuResources: ['']}\n", `selection.gpuResources: "" is not`},
		"an image that is no pattern":  {"knownImages: [{image: 'a[b', cmd: [c]}]\n", `knownImages: number 1: "a[b" is not a pattern`},
		"an image by its digest":       {"knownImages: [{image: 'a@sha256:0', cmd: [c]}]\n", "knownImages: number 1: images are compared without a digest"},
		"no GPU resources":             {"selection: {gpuResources: []}\n", "no pod would be selected"},
		"a label required but none":    {"selection: {requireLabel: true, labelKey: ''}\n", "needs selection.labelKey"},
		"an image without entrypoint":  {"knownImages:\n- image: a\n", "line 2: knownImages: number 1 needs image and entrypoint or cmd"},
		"a port out of range":          {"wrapper: {startupz: ':99999'}\n", "is not a port"},
		"a status file without a root": {"wrapper: {statusFile: state.json}\n", "line 1: wrapper.statusFile"},
		"a region of two lines":        {"region: \"a\\nb\"\n", "line 1: region: is empty, longer than 253 bytes or holds control characters"},
		"a long cluster name":          {"clusterName: " + strings.Repeat("a", 254) + "\n", "line 1: clusterName"},
		"two documents":                {"region: a\n---\nregion: b\n", "more than one YAML document"},
		"two mistakes, both named":     {"traceID: x\nvllmFlag: y\n", "line 2: vllmFlag"},
		"not YAML":                     {"region: [a\n", "line 1"},
		"a key twice":                  {"region: a\nregion: b\n", "line 2"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(c.policy))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestAnEmptyPolicyIsTheDefault(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "{}\n", "---\n"} {
		if p, err := Parse([]byte(text)); err != nil || !reflect.DeepEqual(p, Default()) {
			t.Errorf("%q: %v, %+v", text, err, p)
		}
	}
}

func TestAnUnquotedOffOfHelmIsOff(t *testing.T) {
	p, err := Parse([]byte("vllmFlag: false\nwrapper: {delivery: false}\nrequestSampling: {sampler: false}\n"))
	if err != nil || p.VLLMFlag != startup.VLLMFlagOff || p.Wrapper.Delivery != DeliveryOff || p.RequestSampling.Sampler != "off" {
		t.Errorf("%v: %+v", err, p)
	}
}

func TestTheStoreKeepsTheLastGoodPolicyAndReportsABadOne(t *testing.T) {
	// A ConfigMap mount: the file is a link through a folder that is swapped.
	dir := t.TempDir()
	put := func(version, text string) {
		if err := os.Mkdir(filepath.Join(dir, version), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, version, "policy.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		next := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(version, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	put("v1", "region: one\n")
	path := filepath.Join(dir, "policy.yaml")
	if err := os.Symlink("..data/policy.yaml", path); err != nil {
		t.Fatal(err)
	}
	store, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	store.interval = time.Millisecond
	type change struct {
		region string
		err    error
	}
	changes := make(chan change)
	store.OnChange = func(p *Policy, err error) { changes <- change{p.Region, err} }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- store.Run(ctx) }()

	put("v2", "region: two\n")
	if c := <-changes; c.region != "two" || c.err != nil {
		t.Errorf("after a good change: %+v", c)
	}
	put("v3", "regoin: three\n")
	if c := <-changes; c.region != "two" || c.err == nil || !strings.Contains(c.err.Error(), "line 1") {
		t.Errorf("after a bad change: %+v", c)
	}
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if c := <-changes; c.region != "two" || c.err == nil {
		t.Errorf("without the file: %+v", c)
	}
	put("v4", "region: four\n")
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	if c := <-changes; c.region != "four" || c.err != nil {
		t.Errorf("after the file came back: %+v", c)
	}
	cancel()
	if err := <-done; err != nil || store.Policy().Region != "four" {
		t.Errorf("%v, %s", err, store.Policy().Region)
	}
}

func TestOpeningABadOrMissingFileFails(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing file is no error")
	}
	bad := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(bad, []byte("x: y\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(bad); err == nil || !strings.Contains(err.Error(), bad) {
		t.Errorf("error is %v", err)
	}
	if s, err := Open(""); err != nil || !reflect.DeepEqual(s.Policy(), Default()) {
		t.Errorf("without a path: %v", err)
	}
}

func TestPodWinsOverNamespaceOverPolicy(t *testing.T) {
	p := Default()
	p.Region, p.OTLP.Endpoint = "policy", "http://policy:4317"
	s, warnings := p.Settings(
		map[string]string{Prefix + "region": "namespace", Prefix + "timeout": "5m", Prefix + "container": "x", "other/a": "b"},
		map[string]string{Prefix + "region": "pod", Prefix + "vllm_flag": "off", Prefix + "request-ratio": "2", StatusAnnotation: "{}"},
	)
	if s.Region != "pod" || s.Wrapper.Timeout != 5*time.Minute || s.OTLP.Endpoint != "http://policy:4317" || s.RequestSampling.Ratio != 0.01 || s.Container != "" {
		t.Errorf("settings are %+v", s)
	}
	want := []string{"namespace annotation", `"coldtrace.io/request-ratio" is ignored: 2 is not between 0 and 1`, `did you mean "coldtrace.io/vllm-flag"?`}
	if len(warnings) != len(want) {
		t.Fatalf("warnings are %q", warnings)
	}
	for i := range want {
		if !strings.Contains(warnings[i].Text, want[i]) {
			t.Errorf("warning %d is %q, want %q", i, warnings[i], want[i])
		}
	}
}

func TestAnAnnotationNamesEveryEngineWhoseLogIsRead(t *testing.T) {
	for _, engine := range []string{"vllm", "sglang", "tgi", "tensorrt_llm", "triton", "nim", "lightllm", "lmdeploy", "llama_cpp"} {
		if s, warnings := Default().Settings(nil, map[string]string{Prefix + "engine": engine}); s.Engine != engine || len(warnings) > 0 {
			t.Errorf("%s is taken for %q: %q", engine, s.Engine, warnings)
		}
	}
}

func FuzzParse(f *testing.F) {
	if data, err := os.ReadFile("example.yaml"); err == nil {
		f.Add(data)
	}
	f.Add([]byte("wrapper: {delivery: off}\nknownImages: [{image: a, cmd: [b]}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := Parse(data); (p == nil) == (err == nil) {
			t.Errorf("policy %v and error %v", p, err)
		}
	})
}

func TestAnnotationsAreDocumented(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(`<!-- Made of config.Table by make golden. -->
# Annotations

A pod's annotation wins over its namespace's, which wins over the policy ([example](../config/example.yaml)). What is not
known under the prefix, or has a bad value, is named in a warning to whoever creates the pod; the rest applies.

The namespace itself is switched on by the label ` + "`coldtrace.io/inject=enabled`" + `.

| annotation | values | default | on | what it does |
|---|---|---|---|---|
`)
	cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
	for _, row := range Table {
		if row.Annotation == "" {
			continue
		}
		on := "pod, namespace"
		if row.PodOnly {
			on = "pod"
		}
		values, standard := row.Type, row.Default
		if values == "" {
			values = strings.Join(row.of, " | ")
		}
		if standard == "" {
			standard = "policy `" + row.Field + "`"
		}
		fmt.Fprintf(&b, "| `%s%s` | %s | %s | %s | %s |\n", Prefix, row.Annotation, cell(values), cell(standard), on, cell(row.Doc))
	}
	fmt.Fprintf(&b, `
coldtrace writes one annotation itself: `+"`%s`"+`, the decision it made for the pod as JSON. Its reasons are
explained in [reasons.md](reasons.md), and by `+"`coldtrace explain -n NAMESPACE POD`"+`.
`, StatusAnnotation)
	path := filepath.Join("..", "docs", "annotations.md")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, b.Bytes()) {
		t.Errorf("docs/annotations.md is stale (%v): make golden", err)
	}
}

// What the wrapper takes for 0s is its own to say; the documents are held against it.
func TestTheWrappersTimesAreDocumented(t *testing.T) {
	words := map[time.Duration]string{time.Hour: "an hour", 2 * time.Second: "2 s", 10 * time.Second: "10 s"}
	example, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for annotation, times := range map[string][]time.Duration{
		"timeout": {startup.DefaultTimeout}, "flush-timeout": {startup.DefaultFlushTimeout, startup.MaxFlushTimeout},
	} {
		row := Table[slices.IndexFunc(Table, func(s Setting) bool { return s.Annotation == annotation })]
		before, _, _ := strings.Cut(string(example), "\n"+strings.Replace(row.Field, "wrapper.", "  ", 1)+":")
		comment := before[strings.LastIndexByte(before, '\n'):]
		for _, d := range times {
			if !strings.Contains(row.Doc, words[d]) || !strings.Contains(comment, words[d]) {
				t.Errorf("%s: %s stands not in %q, or not in the example's %q", annotation, d, row.Doc, comment)
			}
		}
	}
}

func TestEveryAnnotationRefusesNonsense(t *testing.T) {
	for _, row := range Table {
		if row.Annotation == "" {
			continue
		}
		s := Settings{Policy: *Default()}
		if err := row.set(&s, "\x00"); err == nil && row.Annotation != "container" {
			t.Errorf("%s takes a zero byte", row.Annotation)
		} else if err != nil && !reflect.DeepEqual(s, Settings{Policy: *Default()}) {
			t.Errorf("%s is refused and has an effect", row.Annotation)
		}
		if row.Doc == "" || row.Type == "" && row.of == nil || row.Default == "" && row.Field == "" {
			t.Errorf("%s is not documented", row.Annotation)
		}
	}
}

func TestAPolicyIsAskedWhatAnAnnotationIsAsked(t *testing.T) {
	example, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(example, &root); err != nil {
		t.Fatal(err)
	}
	for _, row := range Table {
		if row.Field == "" {
			continue
		}
		if lineOf(&root, row.Field) == 0 {
			t.Errorf("the policy has no field %s", row.Field)
		}
		if row.Annotation == "" {
			continue
		}
		for _, text := range []string{"nonsense\x00", "-1", "http://a:b@c:4317", "/a\nb", ":0", "off", "false", "1.5", "-5m", "11s"} {
			var s Settings
			refused := row.set(&s, text)
			tree := any(text)
			for _, name := range slices.Backward(strings.Split(row.Field, ".")) {
				tree = map[string]any{name: tree}
			}
			policy, err := yaml.Marshal(tree)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse(policy)
			off := text == "false" && slices.Contains(row.of, "off")
			if !off && (err == nil) != (refused == nil) {
				t.Errorf("%q: the annotation %s says %v, the policy %v", text, row.Annotation, refused, err)
			}
		}
	}
}
