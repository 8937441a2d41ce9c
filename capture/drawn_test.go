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
	captures, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(captures) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	var out bytes.Buffer
	for _, path := range captures {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		starts, err := capture.Starts(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		for i := range starts {
			draw(&out, filepath.Base(path)+" "+starts[i].Subject.PodName, &starts[i])
		}
	}
	compareSections(t, "testdata/drawn.txt", out.Bytes())
}

// compareSections holds what was drawn against a golden file, section by section.
func compareSections(t *testing.T, golden string, drawn []byte) {
	t.Helper()
	drawn = bytes.TrimPrefix(drawn, []byte("\n"))
	if *update {
		if err := os.WriteFile(golden, drawn, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got, wanted := sections(string(drawn)), sections(string(want))
	for name := range got {
		if got[name] != wanted[name] {
			t.Errorf("%s is\n%s\nwant\n%s", name, got[name], wanted[name])
		}
	}
	if len(got) != len(wanted) {
		t.Errorf("%d starts, want %d", len(got), len(wanted))
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

// draw draws a start and what is counted of it.
func draw(out *bytes.Buffer, title string, s *capture.Start) {
	var spans []*trace.Span
	for service, of := range map[string][]pod.Span{startup.ServiceWatcher: s.Spans, startup.ServiceWrapper: s.Inside} {
		all := make([]startup.Span, len(of))
		for n := range of {
			all[n] = of[n].Span
		}
		from := trace.FromStart(s.Subject, service, all)
		for n := range from {
			from[n].Open = of[n].Open
		}
		spans = append(spans, from...)
	}
	fmt.Fprintf(out, "\n=== %s\n", title)
	traces := trace.Build(spans)
	options := trace.Options{Width: 100}
	text := trace.Table(traces, nil, options) + trace.Waterfall(traces[0], options)
	for line := range strings.Lines(text) {
		out.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	for _, sp := range pod.Finished(slices.Concat(s.Spans, s.Inside)) {
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
