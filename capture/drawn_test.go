// SPDX-License-Identifier: Apache-2.0

package capture_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coldtrace/coldtrace/capture"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
	"github.com/coldtrace/coldtrace/trace"
)

// One file has what a person sees of each capture, the list's row, the headline and the rows, and what is counted of it.
func TestCapturesAreDrawnAndCounted(t *testing.T) {
	const golden = "testdata/drawn.txt"
	captures, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(captures) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	var out bytes.Buffer
	for _, path := range captures {
		draw(t, &out, path)
	}
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got, wanted := sections(out.String()), sections(string(want))
	for name := range got {
		if got[name] != wanted[name] {
			t.Errorf("%s is\n%s\nwant\n%s", name, got[name], wanted[name])
		}
	}
	if len(got) != len(wanted) {
		t.Errorf("%d captures, want %d", len(got), len(wanted))
	}
}

func sections(text string) map[string]string {
	out := map[string]string{}
	for section := range strings.SplitSeq(text, "\n=== ") {
		name, rest, _ := strings.Cut(section, "\n")
		out[strings.TrimPrefix(name, "=== ")] = rest
	}
	return out
}

func draw(t *testing.T, out *bytes.Buffer, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	starts, err := capture.Starts(f)
	if err != nil {
		t.Fatal(err)
	}
	for i := range starts {
		s := &starts[i]
		all := make([]startup.Span, len(s.Spans))
		for n := range s.Spans {
			all[n] = s.Spans[n].Span
		}
		spans := trace.FromStart(s.Subject, startup.ServiceWatcher, all)
		for n := range spans {
			spans[n].Open = s.Spans[n].Open
		}
		fmt.Fprintf(out, "\n=== %s %s\n", filepath.Base(path), s.Subject.PodName)
		if out.Len() < 100 {
			out.Next(1)
		}
		traces := trace.Build(spans)
		options := trace.Options{Width: 100}
		text := trace.Table(traces, nil, options) + trace.Waterfall(traces[0], options)
		for line := range strings.Lines(text) {
			out.WriteString(strings.TrimRight(line, " \n") + "\n")
		}
		for _, sp := range pod.Finished(s.Spans) {
			for _, m := range startup.Measurements(s.Subject, sp) {
				if m.Metric == startup.MetricPhaseDuration && sp.Name != startup.SpanPodStartup && sp.Failure == "" {
					continue // a row says as much
				}
				var labels []string
				for _, l := range m.Labels {
					if slices.Contains([]string{startup.LabelPhase, startup.AttrReason, startup.AttrOutcome, startup.LabelAttempts}, string(l.Key)) {
						labels = append(labels, string(l.Key)+"="+l.Value.String())
					}
				}
				fmt.Fprintf(out, "%s{%s} %.3f\n", m.Metric, strings.Join(labels, ", "), m.Value)
			}
		}
	}
}
