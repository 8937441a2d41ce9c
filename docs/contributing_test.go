// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestTheExamplesOfContributingAreHowItIsDone: each line that an example adds is one of the file that it names.
func TestTheExamplesOfContributingAreHowItIsDone(t *testing.T) {
	inside, file, text, lines := false, "", "", 0
	for line := range strings.Lines(read(t, "../CONTRIBUTING.md")) {
		line = strings.TrimRight(line, "\n")
		switch added, isAdded := strings.CutPrefix(line, "+"); {
		case line == "```diff":
			inside, file = true, ""
		case line == "```":
			inside = false
		case inside && strings.HasPrefix(line, "+++ "):
			file = strings.TrimPrefix(line, "+++ ")
			text = read(t, "../"+file)
		case inside && (!isAdded || file == ""):
			t.Errorf("%q belongs to no file", line)
		case inside:
			lines++
			if !strings.Contains(text, strings.TrimSpace(added)) {
				t.Errorf("%s lacks the line of the example: %s", file, added)
			}
		}
	}
	if lines < 20 {
		t.Errorf("only %d lines in examples", lines)
	}
}

var (
	span       = regexp.MustCompile("`([^`\n]+)`")
	identifier = regexp.MustCompile(`^([a-z]+)\.([A-Z][A-Za-z]+)$`)
	pathLike   = regexp.MustCompile(`^[a-z.][A-Za-z0-9_./-]*/[A-Za-z0-9_./-]*$`)
)

// TestWhatContributingAndTheTreeNameExists: files, folders and Go identifiers.
func TestWhatContributingAndTheTreeNameExists(t *testing.T) {
	_, tree, _ := strings.Cut(read(t, "../README.md"), "## Where things are")
	checked := 0
	for _, m := range span.FindAllStringSubmatch(read(t, "../CONTRIBUTING.md")+tree+read(t, "../test/README.md"), -1) {
		name := strings.Fields(m[1])[0]
		if id := identifier.FindStringSubmatch(name); id != nil {
			checked++
			if !declared(t, "../"+id[1], id[2]) {
				t.Errorf("package %s declares no %s", id[1], id[2])
			}
			continue
		}
		made := strings.HasPrefix(name, "bin/") || strings.HasPrefix(name, "dist/") || strings.HasPrefix(name, ".cluster/")
		if !pathLike.MatchString(name) || made || strings.Contains(name, "coldtrace.io/") {
			continue
		}
		checked++
		if _, err := os.Stat("../" + name); err != nil {
			t.Errorf("%s is named, and not there", name)
		}
	}
	if checked < 20 {
		t.Errorf("only %d names", checked)
	}
}

// declared tells whether a package declares a name at its top.
func declared(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		ast.Inspect(file, func(n ast.Node) bool {
			switch d := n.(type) {
			case *ast.FuncDecl:
				found = found || d.Name.Name == name
				return false
			case *ast.TypeSpec:
				found = found || d.Name.Name == name
			case *ast.ValueSpec:
				for _, id := range d.Names {
					found = found || id.Name == name
				}
			}
			return true
		})
		if found {
			return true
		}
	}
	return false
}

// TestTheTreeInTheREADMEHasEveryPackage: each has a line that says what it holds, those below test/ in test/README.md.
func TestTheTreeInTheREADMEHasEveryPackage(t *testing.T) {
	_, tree, _ := strings.Cut(read(t, "../README.md"), "## Where things are")
	tree += read(t, "../test/README.md")
	packages := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if hidden := len(entry.Name()) > 2 && entry.Name()[0] == '.'; hidden || entry.Name() == "testdata" {
			return filepath.SkipDir
		}
		if sources, err := filepath.Glob(path + "/*.go"); err != nil || len(sources) == 0 {
			return err
		}
		packages++
		name := strings.TrimPrefix(filepath.ToSlash(path), "../")
		if _, line, ok := strings.Cut(tree, "\n| `"+name+"/` | "); !ok || strings.HasPrefix(line, "|") {
			t.Errorf("no tree has a line for the package %s", name)
		}
		return nil
	})
	if err != nil || packages < 40 {
		t.Errorf("%d packages: %v", packages, err)
	}
}

// TestThePublicCIRunsWhatHereRuns: its workflow parses, and calls .ci/run and the release's dry run.
func TestThePublicCIRunsWhatHereRuns(t *testing.T) {
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct{ Run string }
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "../.github/workflows/ci.yaml")), &workflow); err != nil {
		t.Fatal(err)
	}
	var runs []string
	for _, job := range workflow.Jobs {
		for _, step := range job.Steps {
			runs = append(runs, step.Run)
		}
	}
	said := strings.Join(runs, "\n")
	for _, want := range []string{".ci/run", "make release-dry-run"} {
		if !strings.Contains(said, want) {
			t.Errorf("no job runs %s", want)
		}
	}
	makefiles := read(t, "../Makefile") + read(t, "../test/cluster/cluster.mk")
	for _, m := range regexp.MustCompile(`(?m)^make ([a-z0-9-]+)`).FindAllStringSubmatch(read(t, "../.ci/run")+"\n"+said, -1) {
		if !strings.Contains(makefiles, "\n"+m[1]+":") {
			t.Errorf("there is no make %s", m[1])
		}
	}
	forms, err := filepath.Glob("../.github/ISSUE_TEMPLATE/*.yaml")
	if err != nil || len(forms) < 2 {
		t.Fatal(forms, err)
	}
	for _, path := range forms {
		var form struct {
			Name, Description string
			Body              []struct{ Type string }
		}
		if err := yaml.Unmarshal([]byte(read(t, path)), &form); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if form.Name == "" || form.Description == "" || len(form.Body) == 0 {
			t.Errorf("%s is no issue form", path)
		}
	}
}
