// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/perf/benchmath"

	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/tracetest"
)

// stored are the starts in a file of OTLP JSON lines, and how long the spans of a name took in it.
func stored(t *testing.T, file, phase string) (starts []Start, seconds []float64) {
	t.Helper()
	in, err := os.Open(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	spans, problems, err := trace.Read(file, in)
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	for _, s := range spans {
		if s.Name == phase {
			seconds = append(seconds, s.End.Sub(s.Start).Seconds())
		}
	}
	for _, tr := range trace.Build(spans) {
		starts = append(starts, Of(tr))
	}
	return starts, seconds
}

func TestFiguresOfStoredStartsAreBenchmaths(t *testing.T) {
	for figure, phase := range map[string]string{"total": "pod_startup", "weights_load": "weights_load", "torch_compile": "torch_compile"} {
		before, old := stored(t, "before.jsonl", phase)
		after, now := stored(t, "after.jsonl", phase)
		for len(now) < len(after) { // a start that lacks it
			now = append(now, 0)
		}
		c, err := Compare(NewGroup("before", before), NewGroup("after", after))
		if err != nil {
			t.Fatal(err)
		}
		rows, err := c.Rows(figure)
		if err != nil || len(rows) != 1 {
			t.Fatal(err, rows)
		}
		row := rows[0]
		a, b := benchmath.NewSample(old, &benchmath.DefaultThresholds), benchmath.NewSample(now, &benchmath.DefaultThresholds)
		for name, pair := range map[string][2]float64{
			"median before": {row.Before.Center, benchmath.AssumeNothing.Summary(a, 0.95).Center},
			"low before":    {row.Before.Lo, benchmath.AssumeNothing.Summary(a, 0.95).Lo},
			"high before":   {row.Before.Hi, benchmath.AssumeNothing.Summary(a, 0.95).Hi},
			"median after":  {row.After.Center, benchmath.AssumeNothing.Summary(b, 0.95).Center},
			"p":             {row.P, benchmath.AssumeNothing.Compare(a, b).P},
		} {
			if d := pair[0] - pair[1]; d > 1e-6 || d < -1e-6 {
				t.Errorf("%s, %s: %v, benchmath has %v", figure, name, pair[0], pair[1])
			}
		}
	}
}

// sets of starts that differ in how long their weights take.
func sets(n int, before, after float64, cached bool) (a, b Group) {
	random := rand.New(rand.NewPCG(3, 4))
	var starts [2][]Start
	for i := range n {
		starts[0] = append(starts[0], start(i, "e", "v1", 30+random.Float64(), before+random.Float64(), false))
		pull := 30 + random.Float64()
		if cached {
			pull = 0
		}
		starts[1] = append(starts[1], start(i, "e", "v2", pull, after+random.Float64(), cached))
	}
	return NewGroup("v1", starts[0]), NewGroup("v2", starts[1])
}

func TestWhatGotSlowerFailsACheckAndWhatChanceExplainsDoesNot(t *testing.T) {
	for name, c := range map[string]struct {
		n             int
		before, after float64
		limits        map[string]float64
		want          string // part of the error; empty: none
	}{
		"the same":                                {12, 20, 20, map[string]float64{"total": 0, "weights_load": 0.1}, ""},
		"slower, and that is too much":            {12, 20, 40, map[string]float64{"total": 0.1}, "total got slower by +30."},
		"slower, but allowed":                     {12, 20, 40, map[string]float64{"total": 0.5}, ""},
		"a phase that is":                         {12, 20, 40, map[string]float64{"weights_load": 0.1}, "weights_load got slower by +"},
		"another phase":                           {12, 20, 40, map[string]float64{"torch_compile": 0.1}, ""},
		"quicker":                                 {12, 40, 20, map[string]float64{"total": 0, "weights_load": 0}, ""},
		"too few starts to be sure":               {3, 20, 40, map[string]float64{"total": 0.1}, ""},
		"a phase that nobody has is a slip":       {12, 20, 20, map[string]float64{"weight_load": 0.1}, `no start has a phase "weight_load"; there are: `},
		"a phase by its bare name":                {12, 20, 20, map[string]float64{"image_pull": 0.1}, ""},
		"two at once are both said":               {12, 20, 40, map[string]float64{"total": 0.1, "weights_load": 0.1}, "\nweights_load"},
		"what no start had before is always more": {12, 0, 20, map[string]float64{"weights_load": 10}, "weights_load got slower"},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := sets(c.n, c.before, c.after, false)
			if c.before == 0 {
				for i := range before.Starts {
					before.Starts[i].Phases = without(before.Starts[i].Phases, "weights_load")
				}
			}
			comparison, err := Compare(before, after)
			if err != nil {
				t.Fatal(err)
			}
			err = comparison.Check(c.limits)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// More starts that fail are in no figure, and what chance explains is no difference.
func TestMoreStartsThatFailFailACheck(t *testing.T) {
	for name, c := range map[string]struct {
		before, after int // of 12 that failed
		limits        map[string]float64
		want, drawn   string
	}{
		"most of them":            {0, 8, map[string]float64{"total": 0.1}, "more starts failed: 0 of 12 failed before, 8 of 12 after (p=0.00", "more starts failed: 0 of 12"},
		"most, without a limit":   {0, 8, nil, "", "more starts failed: 0 of 12"},
		"one more":                {1, 2, map[string]float64{"total": 0.1}, "", "1 of 12 failed before, 2 of 12 after"},
		"fewer":                   {8, 0, map[string]float64{"total": 0.1}, "", "8 of 12 failed before, 0 of 12 after"},
		"as many":                 {8, 8, map[string]float64{"total": 0.1}, "", "8 of 12 failed before, 8 of 12 after"},
		"a limit for a phase too": {0, 8, map[string]float64{"weights_load": 0.1}, "more starts failed", ""},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := sets(12, 20, 20, false)
			for i := range 12 {
				if i < c.before {
					before.Starts[i].Ended = Failed
				}
				if i < c.after {
					after.Starts[i].Ended = Failed
				}
			}
			comparison, err := Compare(NewGroup("before", before.Starts), NewGroup("after", after.Starts))
			if err != nil {
				t.Fatal(err)
			}
			if err := comparison.Check(c.limits); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if got := comparison.Text(trace.Options{Width: 110}); !strings.Contains(got, c.drawn) {
				t.Errorf("no %q in\n%s", c.drawn, got)
			}
			var out bytes.Buffer
			var read comparisonJSON
			if err := comparison.JSON(&out); err != nil || json.Unmarshal(out.Bytes(), &read) != nil || read.Failures.After != c.after {
				t.Errorf("error %v, wrote %s", err, out.String())
			}
		})
	}
}

func TestABareNameIsThatOfEachContainersPhase(t *testing.T) {
	c, err := Compare(sets(12, 20, 20, false))
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := c.Rows("image_pull"); err != nil || len(rows) != 1 || rows[0].Name != "image_pull main" {
		t.Errorf("rows %v, error %v", rows, err)
	}
	if _, err := c.Rows("image"); err == nil || !strings.Contains(err.Error(), "image_pull main") {
		t.Errorf("error %v", err)
	}
}

func without(phases []Share, name string) (out []Share) {
	for _, p := range phases {
		if p.Phase != name {
			out = append(out, p)
		}
	}
	return out
}

func TestWhatAppearedAndVanishedIsSaid(t *testing.T) {
	before, after := sets(12, 20, 20, true)
	c, err := Compare(before, after)
	if err != nil {
		t.Fatal(err)
	}
	got := c.Text(trace.Options{Width: 110})
	for _, want := range []string{"image_pull main", "vanished", "image_pull main cached=true: in 0 of 12 before, in 12 of 12 after", "p=0.000 n=12"} {
		if !strings.Contains(got, want) {
			t.Errorf("the comparison lacks %q:\n%s", want, got)
		}
	}
	other, err := Compare(after, before)
	if err != nil {
		t.Fatal(err)
	}
	if got := other.Text(trace.Options{Width: 110}); !strings.Contains(got, "appeared") {
		t.Errorf("the other way round nothing appeared:\n%s", got)
	}
}

func TestAComparisonNeedsStartsThatGotReady(t *testing.T) {
	before, _ := sets(4, 20, 20, false)
	failed := NewGroup("after", several()[20:22])
	if _, err := Compare(before, failed); err == nil || !strings.Contains(err.Error(), "after: none of 2 starts got ready") {
		t.Errorf("error %v", err)
	}
}

func TestAComparisonOfFewStartsIsJSONToo(t *testing.T) {
	before, after := sets(2, 20, 20, false)
	c, err := Compare(before, after)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := c.JSON(&out); err != nil {
		t.Fatal(err)
	}
	var read comparisonJSON
	if err := json.Unmarshal(out.Bytes(), &read); err != nil {
		t.Fatal(err)
	}
	if read.Total.Before.Low != nil || read.Total.Before.Median == 0 || len(read.Warnings) != 2 {
		t.Errorf("read %+v", read)
	}
}

func TestComparisonsLookAsTheyDid(t *testing.T) {
	before, _ := stored(t, "before.jsonl", "")
	after, _ := stored(t, "after.jsonl", "")
	c, err := Compare(NewGroup("before.jsonl", before), NewGroup("after.jsonl", after))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []trace.Options{{Width: 80}, {Width: 160}, {Width: 100, Colour: true}} {
		tracetest.Golden(t, "compare-"+map[bool]string{true: "colour", false: "plain"}[o.Colour]+"-"+map[bool]string{true: "wide", false: "narrow"}[o.Width > 100]+".txt", c.Text(o))
	}
}
