// SPDX-License-Identifier: Apache-2.0

// Package dockerfile holds the Dockerfile against BuildKit's own parser, and its build context against what the Go
// compiler asks for: a machine without Docker can't build it, but it can see that much.
package dockerfile

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

const root = "../../.."

func TestTheDockerfileParsesWithoutAWarning(t *testing.T) {
	stages := parse(t)
	if len(stages) == 0 {
		t.Error("it has no stage")
	}
}

func TestBothTargetsAreScratchNotRootAndHoldTheirProgram(t *testing.T) {
	stages := parse(t)
	for _, target := range []string{"coldtrace", "wrapper"} {
		i := slices.IndexFunc(stages, func(s instructions.Stage) bool { return s.Name == target })
		if i < 0 {
			t.Errorf("there is no target %s", target)
			continue
		}
		stage := stages[i]
		if stage.BaseName != "scratch" {
			t.Errorf("%s is from %s", target, stage.BaseName)
		}
		var user, entrypoint string
		copied := map[string]bool{}
		for _, command := range stage.Commands {
			switch c := command.(type) {
			case *instructions.UserCommand:
				user = c.User
			case *instructions.EntrypointCommand:
				entrypoint = strings.Join(c.CmdLine, " ")
			case *instructions.CopyCommand:
				copied[c.DestPath] = c.From == "build"
			}
		}
		if user != "65532:65532" {
			t.Errorf("%s runs as %q", target, user)
		}
		if !copied[entrypoint] {
			t.Errorf("%s starts %q, which is not copied from the build", target, entrypoint)
		}
	}
	if last := stages[len(stages)-1].Name; last != "coldtrace" {
		t.Errorf("without a target %s is built", last)
	}
}

func TestTheBuilderIsPinnedAndCrossCompiles(t *testing.T) {
	build := parse(t)[0]
	_, version, _ := strings.Cut(build.BaseName, "golang:")
	if strings.Count(version, ".") != 2 {
		t.Errorf("the builder is %s: not pinned to a release", build.BaseName)
	}
	if build.Platform != "$BUILDPLATFORM" {
		t.Errorf("the builder runs on %q: it would be emulated", build.Platform)
	}
	var args, runs []string
	for _, command := range build.Commands {
		switch c := command.(type) {
		case *instructions.ArgCommand:
			for _, a := range c.Args {
				args = append(args, a.Key)
			}
		case *instructions.RunCommand:
			runs = append(runs, strings.Join(c.CmdLine, " "))
		}
	}
	if !slices.Contains(args, "TARGETARCH") || !slices.ContainsFunc(runs, func(r string) bool {
		return strings.Contains(r, "export GOOS=$TARGETOS GOARCH=$TARGETARCH &&") && strings.Contains(r, "go build")
	}) {
		t.Errorf("the target's architecture does not reach the compiler: arguments %q, commands %q", args, runs)
	}
}

func TestTheBuildContextHoldsWhatTheCompilerAsksFor(t *testing.T) {
	context := t.TempDir()
	copyContext(t, context)
	cmd := exec.Command("go", "list", "-deps", "./cmd/...")
	cmd.Dir = context
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly -buildvcs=false", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("go list in the build context: %v\n%s", err, out)
	}
	for _, unwanted := range []string{"test", "docs", ".git", ".cluster"} {
		if _, err := os.Stat(filepath.Join(context, unwanted)); err == nil {
			t.Errorf("%s is in the build context", unwanted)
		}
	}
}

func parse(t *testing.T) []instructions.Stage {
	t.Helper()
	file, err := os.Open(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	tree, err := parser.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range tree.Warnings {
		t.Errorf("warning: %s", w.Short)
	}
	warn := linter.New(&linter.Config{Warn: func(rule, _, _, message string, _ []parser.Range) { t.Errorf("%s: %s", rule, message) }})
	stages, _, err := instructions.Parse(tree.AST, warn)
	if err != nil {
		t.Fatal(err)
	}
	return stages
}

// copyContext copies what .dockerignore lets through, as a builder would send it.
func copyContext(t *testing.T, to string) {
	t.Helper()
	file, err := os.Open(filepath.Join(root, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	patterns, err := ignorefile.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil || name == "." {
			return err
		}
		skip, err := ignored.MatchesOrParentMatches(name)
		switch {
		case err != nil:
			return err
		case skip && d.IsDir() && !strings.Contains(name, "/"): // nothing below a folder of the top is let through alone
			return filepath.SkipDir
		case skip || d.IsDir():
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
