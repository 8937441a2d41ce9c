// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// docsExample is the shell block of docs/report.md behind a comment with its name.
func docsExample(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/report.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)<!-- run: " + name + " -->\n```sh\n(.*?)```").FindSubmatch(page)
	if m == nil {
		t.Fatalf("docs/report.md has no example %q", name)
	}
	return string(m[1])
}

// What the page has CI do is run as it stands there, by a shell, with the program itself.
func TestTheDocsCIExampleEndsAsTheySay(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "coldtrace")); err != nil {
		t.Fatal(err)
	}
	stored := func(file string, lines int) []byte {
		t.Helper()
		in, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all := bytes.SplitAfter(in, []byte("\n"))
		return bytes.Join(all[:min(lines, len(all))], nil)
	}
	const all = 1000
	before, after := reportFixtures+"before.jsonl", reportFixtures+"after.jsonl"
	for name, c := range map[string]struct {
		baseline, now []byte
		old, new      string // in the example
		status        int
		says          string
	}{
		"quicker":                     {stored(before, all), stored(after, all), "", "", 0, "-29.0%"},
		"slower":                      {stored(after, all), stored(before, all), "", "", 1, "coldtrace: total got slower by +"},
		"slower, and allowed":         {stored(after, all), stored(before, all), "10%", "50%", 0, "+40."},
		"the very same":               {stored(before, all), stored(before, all), "", "", 0, "p=1.000 n=8"},
		"three starts":                {stored(before, 6), stored(after, 6), "", "", 0, "need >= 4 samples"},
		"five starts":                 {stored(before, 10), stored(after, 10), "", "", 0, "need >= 6 samples"},
		"none got ready":              {stored(before, all), stored(traceFixtures+"failed.jsonl", all), "", "", 1, "coldtrace: now.jsonl: none of 1 start got ready"},
		"nothing was measured":        {stored(before, all), nil, "", "", 1, "coldtrace: now.jsonl: there are no starts"},
		"a phase that nobody has":     {stored(before, all), stored(after, all), "weights_load", "weight_load", 1, `no start has a phase "weight_load"; there are: container_creating main, `},
		"no limit, and so no failure": {stored(after, all), stored(before, all), " --fail-above 10%", "", 0, "+40."},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, content := range map[string][]byte{"baseline.jsonl": c.baseline, "now.jsonl": c.now} {
				if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-ec", strings.Replace(docsExample(t, "compare"), c.old, c.new, 1))
			cmd.Dir, cmd.Env = dir, append(os.Environ(), envMain+"=1", "PATH="+bin+":"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			status := 0
			if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
				status = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			if status != c.status || !strings.Contains(string(out), c.says) {
				t.Errorf("exit status %d, want %d and %q:\n%s", status, c.status, c.says, out)
			}
		})
	}
}

func TestACompareOfTheSameStartsIsTheSameInEveryLayout(t *testing.T) {
	lines, err := os.ReadFile(reportFixtures + "before.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	array := append(append([]byte("["), bytes.ReplaceAll(bytes.TrimSpace(lines), []byte("\n"), []byte(",\n"))...), "]\n"...)
	var packed, spread bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if _, err := zip.Write(lines); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	if err := json.Indent(&spread, array, "", "  "); err != nil {
		t.Fatal(err)
	}
	compared := func(t *testing.T, name string, content []byte) (read struct {
		Total, Failures any
		Phases          []any
	}) {
		t.Helper()
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := execute(t, newCompareCommand(), path, reportFixtures+"after.jsonl", "--json")
		if err != nil || json.Unmarshal([]byte(out), &read) != nil || len(read.Phases) == 0 {
			t.Fatalf("error %v, wrote\n%s", err, out)
		}
		return read
	}
	want := compared(t, "lines.jsonl", lines)
	for name, content := range map[string][]byte{"packed.jsonl.gz": packed.Bytes(), "array.json": array, "spread.json": spread.Bytes()} {
		if got := compared(t, name, content); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
