// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/coldtrace/coldtrace/startup"
)

// TestTheDrawingInTheREADMEIsWhatItsCommandPrints: the same files are goldens of packages trace and advice.
func TestTheDrawingInTheREADMEIsWhatItsCommandPrints(t *testing.T) {
	readme, drawing := read(t, "../README.md"), read(t, "../trace/testdata/ready-80.txt")+read(t, "../trace/advice/testdata/ready-80.txt")
	if want := "$ coldtrace trace trace/testdata/ready.jsonl --width 80\n" + drawing; !strings.Contains(readme, want) {
		t.Errorf("README.md does not show\n%s", want)
	}
	if own := "image_pull " + startup.InstallName; !strings.Contains(drawing, own) {
		t.Errorf("coldtrace's own init container has another name in it: %s is missing", own)
	}
}

var (
	link   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	target = regexp.MustCompile("`make ([a-z0-9-]+)|(?m)^make ([a-z0-9-]+)")
)

// documents are all that people read.
func documents(t *testing.T) []string {
	t.Helper()
	files := []string{"../README.md", "../CONTRIBUTING.md", "../SECURITY.md", "../CHANGELOG.md", "../test/README.md"}
	for _, pattern := range []string{"*.md", "../.github/*.md", "../cmd/*/README.md", "../charts/*/README.md", "../test/*/README.md", "../engine/recipe/*/README.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 10 {
		t.Fatalf("only %v", files)
	}
	return files
}

func TestEveryLinkToAFileLeadsSomewhere(t *testing.T) {
	for _, file := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, file), -1) {
			path, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(path, "://") {
				continue
			}
			to := filepath.Join(filepath.Dir(file), path)
			if path == "" {
				to = file
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: the link %s leads nowhere", file, m[1])
				continue
			}
			if anchor != "" && !headings(t, to)[anchor] {
				t.Errorf("%s: %s has no heading #%s", file, to, anchor)
			}
		}
	}
}

func TestEveryMakeTargetThatADocumentNamesExists(t *testing.T) {
	makefiles := read(t, "../Makefile") + read(t, "../test/cluster/cluster.mk")
	for _, file := range documents(t) {
		for _, m := range target.FindAllStringSubmatch(read(t, file), -1) {
			if name := m[1] + m[2]; !strings.Contains(makefiles, "\n"+name+":") {
				t.Errorf("%s: there is no make %s", file, name)
			}
		}
	}
}

var (
	metric    = regexp.MustCompile(`(coldtrace_[a-z_]+)(?:\{([^}]*)\})?`)
	metricRow = regexp.MustCompile("(?m)^\\| `(coldtrace_[a-z_]+)` \\| ([^|]*) \\|")
)

// TestEveryMetricThatADocumentNamesIsOneOfColdtraces: the table of metrics.md is made of the code.
func TestEveryMetricThatADocumentNamesIsOneOfColdtraces(t *testing.T) {
	labels := map[string]string{}
	for _, row := range metricRow.FindAllStringSubmatch(read(t, "metrics.md"), -1) {
		labels[row[1]] = row[2]
	}
	named := 0
	for _, file := range documents(t) {
		if filepath.Base(file) == "CHANGELOG.md" {
			continue // has what was removed
		}
		for _, m := range metric.FindAllStringSubmatch(read(t, file), -1) {
			if strings.HasSuffix(m[1], "_") {
				continue // how several begin
			}
			named++
			known, ok := labels[m[1]]
			if !ok {
				t.Errorf("%s: there is no metric %s", file, m[1])
			}
			for l := range strings.FieldsFuncSeq(m[2], func(r rune) bool { return r == ',' }) {
				if name, _, _ := strings.Cut(l, "="); !strings.Contains(known, "`"+strings.TrimSpace(name)+"`") {
					t.Errorf("%s: the metric %s has no label %s", file, m[1], name)
				}
			}
		}
	}
	if named < 40 {
		t.Errorf("only %d metrics", named)
	}
}

var notInAnchors = regexp.MustCompile(`[^a-z0-9 _-]`)

// headings are a document's anchors, as they are made of its headings.
func headings(t *testing.T, file string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for text := range strings.Lines(read(t, file)) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(text, "#"), " "); ok && strings.HasPrefix(text, "#") {
			anchor := notInAnchors.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
			out[strings.ReplaceAll(anchor, " ", "-")] = true
		}
	}
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
