// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const traceFixtures = "../../trace/testdata/"

func drawTrace(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := newTraceCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	err = cmd.Execute()
	return out.String(), errs.String(), err
}

func TestTraceDrawsTheNewestStartAndListsAll(t *testing.T) {
	out, errs, err := drawTrace(t, "", traceFixtures+"several.jsonl", "--width", "120")
	if err != nil || errs != "" {
		t.Fatalf("error %v, said %q", err, errs)
	}
	for _, want := range []string{"▸ 11-21 15:33:50", "llama-3-1-8b-instruct", "failed after 3m 10s: cuda_out_of_memory, 2 attempts", "not starts: 1"} {
		if !strings.Contains(out, want) {
			t.Errorf("the drawing lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("colours, but the output is no terminal")
	}
}

func TestTraceListsAllStartsAndDrawsNone(t *testing.T) {
	one, err := os.ReadFile(traceFixtures + "ready.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var many strings.Builder
	for i := range 25 {
		many.WriteString(strings.ReplaceAll(string(one), "5a44de008fd208065638a802730aea79", fmt.Sprintf("%032x", i+1)))
	}
	const name = "models/llama-3-1-8b-instruct-7c9d4f6b8-x2x7k"
	out, _, err := drawTrace(t, many.String(), "-", "--width", "80")
	if err != nil || strings.Count(out, "  "+name+"\n") != 20 || !strings.Contains(out, "and 5 older (--list shows them all)") {
		t.Errorf("error %v, drew\n%s", err, out)
	}
	out, _, err = drawTrace(t, many.String(), "-", "--width", "80", "--list")
	if err != nil || strings.Count(out, "  "+name+"\n") != 25 || strings.Contains(out, "pod_startup") {
		t.Errorf("error %v, listed\n%s", err, out)
	}
}

func TestTraceReadsStandardInputAndDrawsWhatIsAskedFor(t *testing.T) {
	in, err := os.ReadFile(traceFixtures + "several.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := drawTrace(t, string(in), "-", "--pod", "llama-3-1-8b-instruct-7c9d4f6b8-x2x7k")
	if err != nil || !strings.Contains(out, "ready after 1m 59s") || strings.Contains(out, "STARTED") {
		t.Errorf("error %v, drew\n%s", err, out)
	}
	if out, _, err := drawTrace(t, string(in), "-", "--pod", "deploy/llama-3-1-8b-instruct"); err != nil || strings.Count(out, "models/llama-3-1-8b-instruct-7c9d4f6b8-") != 3 || !strings.Contains(out, "ready after 1m 59s") {
		t.Errorf("of a Deployment with two pods: error %v, drew\n%s", err, out)
	}
	if _, _, err := drawTrace(t, string(in), "-", "--pod", "nobody"); err == nil || !strings.Contains(err.Error(), "of the 4 traces in the input none is that of --pod nobody; there are these pods:\n  models/mixtral-8x7b-5d8f7c9b6-qqq4z\n") {
		t.Errorf("a pod that isn't there: error %v", err)
	}
}

func TestTraceSaysWhatIsWrongWithALineAndDrawsTheRest(t *testing.T) {
	out, errs, err := drawTrace(t, "", traceFixtures+"damaged.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(errs, "damaged.jsonl:2: not JSON from byte 20 on") || !strings.Contains(out, "pod_pending") {
		t.Errorf("said %q and drew\n%s", errs, out)
	}
}

func TestAFileThatIsNoTraceIsSaidInAFewLines(t *testing.T) {
	_, errs, err := drawTrace(t, "", "../../README.md")
	if lines := strings.Count(errs, "\n"); err == nil || lines > mostProblems+1 || !strings.Contains(errs, "more that can't be read") {
		t.Errorf("%v, and %d lines:\n%s", err, lines, errs)
	}
}

func TestTraceFailsWhereAFileIsMissingButDrawsTheOthers(t *testing.T) {
	out, _, err := drawTrace(t, "", traceFixtures+"ready.jsonl", "not-there.jsonl")
	if err == nil || !strings.Contains(err.Error(), "not-there.jsonl") || !strings.Contains(out, "ready after") {
		t.Errorf("error %v, drew\n%s", err, out)
	}
	if _, _, err := drawTrace(t, "", "-"); err == nil || !strings.Contains(err.Error(), "no spans in the input; coldtrace trace --help") {
		t.Errorf("of nothing: error %v", err)
	}
}

func TestTraceWritesAPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "start.html")
	if _, _, err := drawTrace(t, "", traceFixtures+"ready.jsonl", "--html", path); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(path)
	if err != nil || !bytes.HasPrefix(page, []byte("<!doctype html>")) || !bytes.Contains(page, []byte("torch_compile")) {
		t.Errorf("error %v, page of %d bytes", err, len(page))
	}
	out, _, err := drawTrace(t, "", traceFixtures+"ready.jsonl", "--html", "-")
	if err != nil || out != string(page) {
		t.Errorf("on standard output: error %v, %d bytes", err, len(out))
	}
}

func TestTraceDrawsACapture(t *testing.T) {
	out, errs, err := drawTrace(t, "", "../../capture/testdata/crash-loop-in-flight.yaml")
	if err != nil || errs != "" || !strings.Contains(out, "attempt 3, after 2 failed (exit_code=1)") || !strings.Contains(out, "✗ pod_ready") {
		t.Errorf("error %v, said %q, drew\n%s", err, errs, out)
	}
	capture, err := os.ReadFile("../../capture/testdata/plain.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if out, errs, err := drawTrace(t, string(capture), "-"); err != nil || errs != "" || !strings.Contains(out, "ready after") {
		t.Errorf("from standard input: error %v, said %q, drew\n%s", err, errs, out)
	}
	if _, _, err := drawTrace(t, strings.ReplaceAll(string(capture), "metadata:", "metadata: [}"), "-"); err == nil {
		t.Error("a damaged capture was drawn")
	}
}
