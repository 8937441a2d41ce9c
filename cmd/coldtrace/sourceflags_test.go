// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"
)

func TestFlagsOfPodsAreRefusedForFiles(t *testing.T) {
	before, after := reportFixtures+"before.jsonl", reportFixtures+"after.jsonl"
	for name, flag := range map[string][]string{
		"namespace": {"-n", "models"}, "selector": {"-l", "app=x"}, "all-namespaces": {"-A"}, "previous": {"--previous"}, "container": {"-c", "main"},
		"send": {"--send", "http://127.0.0.1:1"}, "context": {"--context", "x"}, "kubeconfig": {"--kubeconfig", "x"}, "max-log-bytes": {"--max-log-bytes", "7"},
	} {
		for what, c := range map[string]struct {
			cmd  *cobra.Command
			args []string
		}{
			"trace":        {newTraceCommand(), []string{before}},
			"report":       {newReportCommand(), []string{before, after}},
			"compare":      {newCompareCommand(), []string{before, after}},
			"compare --by": {newCompareCommand(), []string{"--by", "image_tag", "v0.11.2", "v0.12.0", before}},
		} {
			t.Run(what+" "+name, func(t *testing.T) {
				want := "--" + name + " is for pods of a cluster, and " + before + " is a file"
				if out, err := execute(t, c.cmd, slices.Concat(c.args, flag)...); err == nil || err.Error() != want {
					t.Errorf("error %v, want %q\n%s", err, want, out)
				}
			})
		}
	}
	if _, err := execute(t, newTraceCommand(), before, "--timeout", "3s"); err == nil || !strings.Contains(err.Error(), "--timeout is for pods") {
		t.Errorf("--timeout: error %v", err)
	}
	if _, err := execute(t, newReportCommand(), "-", "-A"); err == nil || !strings.Contains(err.Error(), "and - is standard input") {
		t.Errorf("standard input: error %v", err)
	}
}

func TestSinceIsOfFilesToo(t *testing.T) {
	file := reportFixtures + "before.jsonl"
	if _, err := execute(t, newReportCommand(), file, "--since", "1s"); err == nil || !strings.Contains(err.Error(), "began within the last 1s") {
		t.Errorf("error %v", err)
	}
	out, err := execute(t, newReportCommand(), file, "--since", "1000000h")
	if whole, _ := execute(t, newReportCommand(), file); err != nil || out != whole {
		t.Errorf("error %v, reported\n%s", err, out)
	}
}

func TestPackedFilesAreRead(t *testing.T) {
	in, err := os.ReadFile(traceFixtures + "ready.jsonl")
	must(t, err)
	var zip, z bytes.Buffer
	zipper := gzip.NewWriter(&zip)
	_, err = zipper.Write(in)
	must(t, err)
	must(t, zipper.Close())
	packer, err := zstd.NewWriter(&z)
	must(t, err)
	_, err = packer.Write(in)
	must(t, err)
	must(t, packer.Close())
	var messages []byte // as the collector's file exporter writes with compression: zstd
	for line := range bytes.Lines(in) {
		frame := packer.EncodeAll(line, nil)
		messages = append(binary.BigEndian.AppendUint32(messages, uint32(len(frame))), frame...)
	}
	for name, data := range map[string][]byte{"a.jsonl.gz": zip.Bytes(), "a.jsonl.zst": z.Bytes(), "traces.json": messages} {
		file := filepath.Join(t.TempDir(), name)
		must(t, os.WriteFile(file, data, 0o600))
		if out, errs, err := drawTrace(t, "", file); err != nil || errs != "" || !strings.Contains(out, "ready after") {
			t.Errorf("%s: error %v, said %q, drew\n%s", name, err, errs, out)
		}
	}
}

func TestWhatIsMeantIsSaid(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("HOME", t.TempDir())
	for name, c := range map[string]struct {
		args, want []string
	}{
		"a file that is not there":       {[]string{"trace", "nosuchfile"}, []string{"there is no file nosuchfile, so it was taken for a pod; and there is no kubeconfig"}},
		"a file to compare that isn't":   {[]string{"compare", "nosuchfile", "other"}, []string{"there is no file nosuchfile, so it was taken for a pod; and there is no kubeconfig"}},
		"pods without a cluster":         {[]string{"report"}, []string{"there is no kubeconfig", "/none, where no cluster is named"}},
		"a kind with a slip":             {[]string{"trace", "depoy/x"}, []string{"there is no file depoy/x", `no kind "depoy"`, "is deploy/x meant?", "deploy, rs, sts"}},
		"a kind that is cut short":       {[]string{"trace", "dep/x"}, []string{`no kind "dep"`, "is deploy/x meant?"}},
		"a kind without pods":            {[]string{"trace", "configmap/x"}, []string{`no kind "configmap" of what has pods; there are pod`}},
		"a file in a folder":             {[]string{"trace", "testdata/x"}, []string{"no such file"}},
		"the log of an engine to trace":  {[]string{"trace", fixtures + "vllm-0.19.0.log"}, []string{"coldtrace phases reads it"}},
		"traces to phases":               {[]string{"phases", traceFixtures + "ready.jsonl"}, []string{"coldtrace trace reads it"}},
		"a capture to phases":            {[]string{"phases", "../../capture/testdata/plain.yaml"}, []string{"coldtrace trace reads it"}},
		"phases of nothing":              {[]string{"phases"}, []string{"name a log of an engine"}},
		"phases of an unknown engine":    {[]string{"phases", "--engine", "foo", fixtures + "vllm-0.19.0.log"}, []string{`unknown engine "foo"; there are: `, "vllm", "sglang"}},
		"no dashboard":                   {[]string{"dashboard"}, []string{"grafana or datadog"}},
		"a width that is no number":      {[]string{"trace", "--width", "abc", "-"}, []string{"want a number of columns"}},
		"a negative width":               {[]string{"report", "--width", "-3", "-"}, []string{"want a number of columns"}},
		"rights in what is no namespace": {[]string{"rights", "-n", "bad name!"}, []string{`--namespace "bad name!" can't be one`}},
		"spans and a page at once":       {[]string{"trace", "-o", "otlp", "--html", "x.html", "-"}, []string{"not both"}},
		"explain a kind with a slip":     {[]string{"explain", "-f", "-"}, []string{"its kinds are Deploymnet, pod, none (an object has no kind)", "Deployment, Job"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			root := newRootCommand()
			root.SetArgs(c.args)
			root.SetOut(&out)
			root.SetErr(&out)
			root.SetIn(strings.NewReader("kind: Deploymnet\n---\nkind: pod\n---\nmetadata: {name: x}\n"))
			err := root.ExecuteContext(t.Context())
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %q\n%s", err, want, out.String())
				}
			}
		})
	}
}

func TestTheRootTellsItsVersion(t *testing.T) {
	if out, err := execute(t, newRootCommand(), "--version"); err != nil || !strings.Contains(out, version) {
		t.Errorf("error %v, printed %q", err, out)
	}
}

func TestInjectWarnsOfKindsItDoesNotKnow(t *testing.T) {
	for name, c := range map[string]struct {
		manifest string
		warned   []string // kinds
	}{
		"a slip":                     {"kind: Deploymnet\n", []string{"Deploymnet"}},
		"lower case":                 {"kind: pod\n", []string{"pod"}},
		"none":                       {"metadata: {name: x}\n", []string{"none"}},
		"in a list":                  {"kind: List\nitems:\n- kind: Deploymnet\n- kind: Secret\n", []string{"Deploymnet"}},
		"what a release has besides": {"kind: Service\n---\nkind: ConfigMap\n---\nkind: Ingress\n---\nkind: Job\nspec:\n  template:" + podTemplateYAML, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, errs, err := output(t, newInjectCommand(), c.manifest, "-f", "-")
			if err != nil || strings.Count(errs, "is not known") != len(c.warned) {
				t.Errorf("error %v, said %q", err, errs)
			}
			for _, kind := range c.warned {
				if !strings.Contains(errs, "warning: kind "+kind) || !strings.Contains(errs, "CronJob, DaemonSet, Deployment") {
					t.Errorf("said %q of %s", errs, kind)
				}
			}
		})
	}
}
