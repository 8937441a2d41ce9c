// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

const reportFixtures = "../../trace/report/testdata/"

// execute runs a command, in a folder without a kubeconfig.
func execute(t *testing.T, cmd *cobra.Command, args ...string) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(""))
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err = cmd.Execute()
	return out.String(), err
}

func TestReportGroupsTheStartsOfFiles(t *testing.T) {
	files := []string{reportFixtures + "before.jsonl", reportFixtures + "after.jsonl", traceFixtures + "several.jsonl"}
	out, err := execute(t, newReportCommand(), append(files, "--by", "image_tag", "--width", "100")...)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"18 starts of 4 image_tags", "v0.11.2", "v0.12.0", "failed    cuda_out_of_memory ×1", "advice    up to -"} {
		if !strings.Contains(out, want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
	out, err = execute(t, newReportCommand(), append(files, "--json")...)
	var read struct {
		By     string
		Groups []struct{ Name string }
	}
	if err != nil || json.Unmarshal([]byte(out), &read) != nil || read.By != "endpoint" || len(read.Groups) != 3 {
		t.Errorf("error %v, wrote\n%s", err, out)
	}
	out, err = execute(t, newReportCommand(), append(files, "--csv")...)
	if err != nil || !strings.HasPrefix(out, "endpoint,phase,") {
		t.Errorf("error %v, wrote\n%s", err, out)
	}
}

func TestReportWritesAPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.html")
	if _, err := execute(t, newReportCommand(), reportFixtures+"before.jsonl", "--html", path); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(path)
	if err != nil || !bytes.HasPrefix(page, []byte("<!doctype html>")) || !bytes.Contains(page, []byte("torch_compile")) {
		t.Errorf("error %v, wrote %d bytes", err, len(page))
	}
}

func TestReportSaysWhatItCannotDo(t *testing.T) {
	for name, c := range map[string]struct {
		cmd  *cobra.Command
		args []string
		want string
	}{
		"an unknown group":          {newReportCommand(), []string{reportFixtures + "before.jsonl", "--by", "colour"}, `starts can't be grouped by "colour"`},
		"a page and JSON at once":   {newReportCommand(), []string{reportFixtures + "before.jsonl", "--html", "-", "--json"}, "name a file for the page"},
		"no such file":              {newReportCommand(), []string{"./not-there.jsonl"}, "there is no file ./not-there.jsonl"},
		"no start in it":            {newReportCommand(), []string{"-"}, "there are no starts of pods in the input"},
		"one source to compare":     {newCompareCommand(), []string{reportFixtures + "before.jsonl"}, "is one source, and there is nothing to compare it with"},
		"three":                     {newCompareCommand(), []string{"a.jsonl", "b.jsonl", "c.jsonl"}, "these are 3 sources"},
		"a limit that is none":      {newCompareCommand(), []string{"a.jsonl", "b.jsonl", "--fail-above", "ten"}, "--fail-above ten: want a percentage"},
		"a limit of no phase":       {newCompareCommand(), []string{"a.jsonl", "b.jsonl", "--fail-above", "=5%"}, "--fail-above =5%: want a percentage"},
		"a limit that is no number": {newCompareCommand(), []string{"a.jsonl", "b.jsonl", "--fail-above", "NaN%"}, "--fail-above NaN%: want a percentage"},
		"a limit without end":       {newCompareCommand(), []string{"a.jsonl", "b.jsonl", "--fail-above", "total=Inf%"}, "want a percentage"},
		"a value in place of none":  {newCompareCommand(), []string{"--by", "region", "eu", "(no region)", reportFixtures + "before.jsonl"}, `no start has region "eu"; there are: (no region)`},
		"a value that nobody has":   {newCompareCommand(), []string{"--by", "image_tag", "v0.11.2", "v9", reportFixtures + "before.jsonl"}, `no start has image_tag "v9"; there are: v0.11.2`},
		"a file that is not there":  {newCompareCommand(), []string{reportFixtures + "before.jsonl", "./not-there.jsonl"}, "not-there.jsonl"},
		"a file without any starts": {newCompareCommand(), []string{reportFixtures + "before.jsonl", "-"}, "-: there are no starts of pods in the input"},
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := execute(t, c.cmd, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q\n%s", err, c.want, out)
			}
		})
	}
}

func TestCompareFailsWhereAStartGotSlower(t *testing.T) {
	before, after := reportFixtures+"before.jsonl", reportFixtures+"after.jsonl"
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"quicker":              {[]string{before, after, "--fail-above", "10%"}, ""},
		"slower":               {[]string{after, before, "--fail-above", "10%"}, "total got slower by +"},
		"slower, without":      {[]string{after, before}, ""},
		"a phase":              {[]string{after, before, "--fail-above", "torch_compile=50%"}, "torch_compile got slower by +"},
		"two groups of files":  {[]string{"--by", "image_tag", "v0.12.0", "v0.11.2", before, after, "--fail-above", "10%"}, "total got slower by +"},
		"what has no region":   {[]string{"--by", "region", "(no region)", "(no region)", before}, ""},
		"as JSON it fails too": {[]string{after, before, "--json", "--fail-above", "10%"}, "total got slower by +"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := execute(t, newCompareCommand(), c.args...)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if !strings.Contains(out, "torch_compile") {
				t.Errorf("nothing is compared:\n%s", out)
			}
		})
	}
}

func TestTraceSaysWhatWouldMakeTheStartQuicker(t *testing.T) {
	out, err := execute(t, newTraceCommand(), traceFixtures+"ready.jsonl", "--width", "80")
	if err != nil || !strings.Contains(out, "\nadvice    up to -") || strings.Count(out, "(docs/advice.md#") != 3 {
		t.Errorf("error %v, drew\n%s", err, out)
	}
}
