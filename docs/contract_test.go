// SPDX-License-Identifier: Apache-2.0

// Package docs holds the tests that keep the documentation true.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"sigs.k8s.io/yaml"

	"github.com/coldtrace/coldtrace/capture"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// vectorUID is the pod of the span id vectors.
const vectorUID = "0f0e2c1a-6d1b-4f2e-9c55-3d2b1a0e7f10"

func contract(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("contract.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// table is the cells of the first table under a heading, without back quotes.
func table(t *testing.T, text, heading string) [][]string {
	t.Helper()
	_, after, found := strings.Cut(text, "\n"+heading+"\n")
	if !found {
		t.Fatalf("contract.md lacks %q", heading)
	}
	var rows [][]string
	for text := range strings.Lines(after) {
		text = strings.TrimSpace(text)
		if !strings.HasPrefix(text, "|") {
			if len(rows) > 0 {
				break
			}
			continue
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(text, "|"), "|") {
			cells = append(cells, strings.ReplaceAll(strings.TrimSpace(cell), "`", ""))
		}
		rows = append(rows, cells)
	}
	if len(rows) < 3 {
		t.Fatalf("no table under %q", heading)
	}
	return rows[2:]
}

func TestTraceIDVectorsAreTrue(t *testing.T) {
	rows := table(t, contract(t), "### Test vectors: trace ids")
	for _, row := range rows {
		if got := startup.Hash(row[1]).TraceID(row[0]).String(); got != row[2] {
			t.Errorf("%s of %s is %s, the document says %s", row[1], row[0], got, row[2])
		}
	}
}

func TestSpanIDVectorsAreTrue(t *testing.T) {
	text := contract(t)
	if !strings.Contains(text, "All for the pod UID `"+vectorUID+"`.") {
		t.Fatal("the document does not name the pod of its vectors")
	}
	for _, row := range table(t, text, "### Test vectors: span ids") {
		attempt, err := strconv.Atoi(row[2])
		if err != nil {
			t.Fatal(err)
		}
		if row[0] == startup.SpanInitContainer && row[1] != startup.InstallName {
			t.Errorf("coldtrace's init container is %s, the document says %s", startup.InstallName, row[1])
		}
		key := startup.Key(row[0], row[1], attempt)
		if key != row[3] {
			t.Errorf("the key of %s is %s, the document says %s", row[0], key, row[3])
		}
		if got := startup.MD5.SpanID(vectorUID, key).String(); got != row[4] {
			t.Errorf("MD5 id of %s is %s, the document says %s", key, got, row[4])
		}
		if got := startup.SHA256.SpanID(vectorUID, key).String(); got != row[5] {
			t.Errorf("SHA-256 id of %s is %s, the document says %s", key, got, row[5])
		}
	}
}

// TestTheContractNamesWhatTheCodeNames holds the document's tables against the constants of package startup, both ways.
func TestTheContractNamesWhatTheCodeNames(t *testing.T) {
	text := contract(t)
	for _, c := range []struct{ heading, prefix string }{
		{"## Spans", "Span"},
		{"### Time sources", "Time"},
		{"### Events within spans", "Event"},
		{"## Metrics", "Metric"},
	} {
		compare(t, c.heading, first(table(t, text, c.heading)), constants(t, c.prefix))
	}
	documented := append(first(table(t, text, "### Attributes of every span")), first(table(t, text, "### Attributes of some spans"))...)
	compare(t, "attributes", documented, constants(t, "Attr"))
	for _, service := range constants(t, "Service") {
		if !strings.Contains(text, "`"+service+"`") {
			t.Errorf("the document lacks the service %s", service)
		}
	}
}

// TestTheFiguresOfTheContractAreThoseOfTheRecipes holds the document against the recipes' placeholders, both ways.
func TestTheFiguresOfTheContractAreThoseOfTheRecipes(t *testing.T) {
	recipes, err := filepath.Glob("../engine/recipe/recipes/*.yaml")
	if err != nil || len(recipes) == 0 {
		t.Fatal("no recipes", err)
	}
	known := []string{"stated_seconds", "model", "compile_cache"} // the reader's own: of any line that states a length, of a second model
	for _, name := range recipes {
		var recipe struct {
			Lines []struct{ Figures, Attributes map[string]string }
		}
		b, err := os.ReadFile(name)
		if err == nil {
			err = yaml.Unmarshal(b, &recipe)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range recipe.Lines {
			known = slices.AppendSeq(slices.AppendSeq(known, maps.Values(line.Figures)), maps.Values(line.Attributes))
		}
	}
	compare(t, "figures", first(table(t, contract(t), "### Figures from the engine's log")), known)
}

func TestMetricLabelsAreThoseTheCodeGives(t *testing.T) {
	subject := startup.Subject{
		PodUID: vectorUID, PodName: "p", NodeName: "n", ClusterName: "c",
		Endpoint: startup.Endpoint{
			Namespace: "n", Container: "main", EndpointName: "e", ModelName: "m", GPUType: "h100", NumGPUs: 1, ImageTag: "t", Region: "r",
		},
	}
	given := map[string]string{}
	for _, name := range constants(t, "Span") {
		span := startup.Span{Name: name, Attributes: []attribute.KeyValue{attribute.Float64(startup.AttrThroughputMBps, 1)}}
		if name == startup.SpanPodStartup {
			span.Attributes = append(span.Attributes, attribute.String(startup.AttrOutcome, startup.OutcomeReady))
		}
		failed := span
		failed.Failure = "f"
		for _, m := range append(startup.Measurements(subject, span), startup.Measurements(subject, failed)...) {
			var labels []string
			for _, l := range m.Labels {
				labels = append(labels, string(l.Key))
			}
			given[m.Metric] = strings.Join(slices.Sorted(slices.Values(labels)), " ")
		}
	}
	for _, metric := range []string{startup.MetricGroupDuration, startup.MetricGroupStraggler} { // of no span; package group's goldens have the values
		given[metric] = strings.Join(slices.Sorted(slices.Values(startup.LabelsOf(metric))), " ")
	}
	for _, row := range table(t, contract(t), "## Metrics") {
		labels := strings.Split(regexp.MustCompile(`\s*\([^)]*\)`).ReplaceAllString(row[1], ""), ", ")
		if got := strings.Join(slices.Sorted(slices.Values(labels)), " "); got != given[row[0]] {
			t.Errorf("labels of %s are %q, the document says %q", row[0], given[row[0]], got)
		}
	}
}

// types are the words of the attribute tables.
var types = map[attribute.Type]string{
	attribute.STRING: "string", attribute.INT64: "int", attribute.FLOAT64: "double", attribute.BOOL: "bool",
	attribute.STRINGSLICE: "strings",
}

// TestWhatCapturedStartsCarryIsInTheContract holds the document against what the watcher makes of real and scripted starts.
func TestWhatCapturedStartsCarryIsInTheContract(t *testing.T) {
	text := contract(t)
	documented, places, parents := map[string]string{}, map[string]string{}, map[string]string{}
	for _, heading := range []string{"### Attributes of every span", "### Attributes of some spans"} {
		for _, row := range table(t, text, heading) {
			documented[row[0]] = row[1]
		}
	}
	for _, row := range table(t, text, "### Events within spans") {
		places[row[0]] = row[1]
	}
	for _, row := range table(t, text, "## Spans") {
		parents[row[0]] = strings.TrimSuffix(row[3], "none")
	}
	seen := map[string]bool{}
	check := func(path string, attrs []attribute.KeyValue) {
		for _, a := range attrs {
			seen[string(a.Key)] = true
			if got, want := types[a.Value.Type()], documented[string(a.Key)]; got != want {
				t.Errorf("%s: %s is a %s, the document says %q", path, a.Key, got, want)
			}
		}
	}
	for path, starts := range captured(t) {
		for _, start := range starts {
			check(path, start.Subject.Attributes())
			for _, span := range pod.Finished(start.Spans) {
				check(path, span.Attributes)
				if parent, _, _ := strings.Cut(span.ParentKey, ":"); parent != parents[span.Name] {
					t.Errorf("%s: the parent of %s is %q, the document says %q", path, span.Name, parent, parents[span.Name])
				}
				for _, e := range span.Events {
					check(path, e.Attributes)
					if places[e.Name] != span.Name {
						t.Errorf("%s: the event %s is in %s, the document says %q", path, e.Name, span.Name, places[e.Name])
					}
				}
			}
		}
	}
	for _, name := range []string{
		startup.AttrTimeSourceStart, startup.AttrTimePrecision, startup.AttrOutcome, startup.AttrWaitingReason, startup.AttrRestarts,
		startup.AttrReasons, startup.AttrCount, startup.AttrClockSkewSeconds, startup.AttrQueuedSeconds, startup.AttrRegion,
	} {
		if !seen[name] {
			t.Errorf("no captured start carries %s", name)
		}
	}
}

// captured are the starts of the watcher's captures, by path.
func captured(t *testing.T) map[string][]capture.Start {
	t.Helper()
	paths, err := filepath.Glob("../capture/testdata/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	out := map[string][]capture.Start{}
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		out[path], err = capture.Starts(file)
		file.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func compare(t *testing.T, what string, documented, known []string) {
	t.Helper()
	for _, name := range known {
		if !slices.Contains(documented, name) {
			t.Errorf("%s: the document lacks %s", what, name)
		}
	}
	for _, name := range documented {
		if !slices.Contains(known, name) {
			t.Errorf("%s: the code lacks %s", what, name)
		}
	}
}

func first(rows [][]string) []string {
	var out []string
	for _, row := range rows {
		out = append(out, row[0])
	}
	return out
}

// constants are the values of startup's string constants in names.go whose name begins with prefix.
func constants(t *testing.T, prefix string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../startup/names.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, prefix) {
			return true
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
			value, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, value)
		}
		return true
	})
	if len(out) == 0 {
		t.Fatalf("names.go has no constant %s…", prefix)
	}
	return out
}
