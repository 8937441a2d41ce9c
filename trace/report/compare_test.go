// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/perf/benchmath"

	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/text"
	"github.com/coldtrace/coldtrace/trace/tracetest"
)

// stored are the starts in a file of OTLP JSON lines.
func stored(t *testing.T, file string) (starts []Start) {
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
	for _, tr := range trace.Build(spans) {
		starts = append(starts, startOf(tr))
	}
	return starts
}

// recorded are real starts of a version of vLLM, and the seconds that each took and that its imports did; 0 where nobody knows.
func recorded(t *testing.T, version string) (starts []Start, totals, imports []float64) {
	t.Helper()
	in, err := os.ReadFile("testdata/real-vllm.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(in)) {
		var of, shape, imported string
		var total float64
		if n, _ := fmt.Sscan(line, &of, &shape, &total, &imported); n != 4 || of != version {
			continue
		}
		text := fmt.Sprintf("engine=vllm engine_version=%s\nstartup 0-%f\n", of, total)
		seconds, err := strconv.ParseFloat(imported, 64)
		if err == nil {
			text += fmt.Sprintf("  python_import 0-%f\n", seconds)
		}
		starts = append(starts, startOf(tracetest.Trace(of+shape, text)))
		totals, imports = append(totals, total), append(imports, seconds)
	}
	if len(starts) != 20 {
		t.Fatalf("%d starts of %s", len(starts), version)
	}
	return starts, totals, imports
}

// Everything that is printed of real starts is what benchstat's library says when it is asked without us.
func TestFiguresOfRecordedStartsAreBenchmaths(t *testing.T) {
	before, oldTotals, oldImports := recorded(t, "0.16.0")
	after, newTotals, newImports := recorded(t, "0.32.0")
	c, err := Compare(NewGroup("0.16.0", before), NewGroup("0.32.0", after))
	if err != nil {
		t.Fatal(err)
	}
	var written bytes.Buffer
	var read comparisonJSON
	if err := c.JSON(&written); err != nil || json.Unmarshal(written.Bytes(), &read) != nil {
		t.Fatalf("%v, wrote %s", err, written.String())
	}
	drawn := c.Text(trace.Options{Width: 160})
	seconds := func(s float64) string { return text.Seconds(time.Duration(s * float64(time.Second))) }
	for name, samples := range map[string][2][]float64{"total": {oldTotals, newTotals}, "python_import": {oldImports, newImports}} {
		var of [2]benchmath.Summary
		a, b := benchmath.NewSample(samples[0], &benchmath.DefaultThresholds), benchmath.NewSample(samples[1], &benchmath.DefaultThresholds)
		of[0], of[1] = benchmath.AssumeNothing.Summary(a, 0.95), benchmath.AssumeNothing.Summary(b, 0.95)
		test := benchmath.AssumeNothing.Compare(a, b)

		cells := []string{name}
		for _, s := range of {
			cells = append(cells, seconds(s.Center), "±"+s.PctRangeString())
		}
		if slower := of[1].Center - of[0].Center; test.P <= test.Alpha {
			cells = append(cells, "+"+seconds(slower), fmt.Sprintf("%+.1f%%", 100*slower/of[0].Center))
		} else {
			cells = append(cells, "~")
		}
		want := strings.Join(strings.Fields(strings.Join(append(cells, test.String()), " ")), " ")
		if got := strings.Join(strings.Fields(drawn), " "); !strings.Contains(got, want) {
			t.Errorf("%s: want the row %q in\n%s", name, want, drawn)
		}

		row := read.Total
		if name != "total" {
			row = read.Phases[slices.IndexFunc(read.Phases, func(r rowJSON) bool { return r.Name == name })]
		}
		for figure, pair := range map[string][2]float64{
			"median before": {row.Before.Median, of[0].Center}, "low before": {*row.Before.Low, of[0].Lo}, "high before": {*row.Before.High, of[0].Hi},
			"median after": {row.After.Median, of[1].Center}, "low after": {*row.After.Low, of[1].Lo}, "high after": {*row.After.High, of[1].Hi},
			"difference": {row.Difference, of[1].Center - of[0].Center}, "p": {row.P, test.P},
		} {
			if math.Abs(pair[0]-pair[1]) > 1e-6 {
				t.Errorf("%s, %s: %v, benchmath has %v", name, figure, pair[0], pair[1])
			}
		}
		if row.Significant != (test.P <= test.Alpha) {
			t.Errorf("%s: significant: %v, benchmath has p=%v", name, row.Significant, test.P)
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

// Of one start that failed beside three of which one did, two tails of the distribution add up to more than all of it.
func TestAProbabilityIsAtMostOne(t *testing.T) {
	for before := range 4 {
		for after := range 4 {
			if p := failures(Group{Counts: Counts{Ready: 1, Failed: before}}, Group{Counts: Counts{Ready: 2, Failed: after}}).P; p > 1 {
				t.Errorf("%d of %d and %d of %d: p=%v", before, before+1, after, after+2, p)
			}
		}
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
	before := stored(t, "before.jsonl")
	after := stored(t, "after.jsonl")
	c, err := Compare(NewGroup("before.jsonl", before), NewGroup("after.jsonl", after))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []trace.Options{{Width: 40}, {Width: 80}, {Width: 160}, {Width: 100, Colour: true}} {
		tracetest.Golden(t, fmt.Sprintf("compare-%d-%v.txt", o.Width, o.Colour), c.Text(o))
	}
}

// A figure that is cut is another one: where there is no room for a column, all of it goes.
func TestNoFigureIsCutWhereThereIsLittleRoom(t *testing.T) {
	c, err := Compare(NewGroup("before.jsonl", stored(t, "before.jsonl")), NewGroup("after.jsonl", stored(t, "after.jsonl")))
	if err != nil {
		t.Fatal(err)
	}
	for width := 20; width <= 120; width++ {
		for name, text := range map[string]string{
			"report": New(several(), "endpoint").Text(trace.Options{Width: width}), "compare": c.Text(trace.Options{Width: width}),
		} {
			for line := range strings.Lines(text) {
				if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > width || strings.HasSuffix(line, "…\n") && !strings.Contains(line, "▏") {
					t.Errorf("%s at %d columns: %q", name, width, line)
				}
			}
		}
	}
}
