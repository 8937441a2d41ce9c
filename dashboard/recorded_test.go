// SPDX-License-Identifier: Apache-2.0

package dashboard_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"

	"github.com/coldtrace/coldtrace/capture"
	"github.com/coldtrace/coldtrace/dashboard"
	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/group"
	"github.com/coldtrace/coldtrace/trace/tracetest"
)

// recording is what test/prometheus asks Grafana's queries of: series as our code makes them of recorded starts, and what each panel
// has to answer, reckoned from the values themselves.
type recording struct {
	Series []series                `json:"series"`
	Panels map[string][][]answered `json:"panels"` // by title, of each of its queries
}

// series are values that come within the last hour, and those that had come a week and an hour before.
type series struct {
	Metric string            `json:"metric"`
	Kind   string            `json:"kind"` // native, classic: histograms; counter, gauge: one value; time: a gauge, of seconds from now
	Labels map[string]string `json:"labels"`
	Now    []float64         `json:"now"`
	Before []float64         `json:"before"`
	Trace  string            `json:"trace,omitempty"` // of the last value's exemplar
}

type answered struct {
	Labels map[string]string `json:"labels"`
	Value  float64           `json:"value"`
	Or     float64           `json:"or,omitempty"` // of a percentile that lies between two values: the larger
}

// lastWeek is how long everything took then, as a part of what it takes now.
const lastWeek = 0.5

func (r *recording) measured(ms []startup.Measurement) {
	for _, m := range ms {
		labels := map[string]string{}
		for _, l := range m.Labels {
			labels[string(l.Key)] = l.Value.String()
		}
		i := slices.IndexFunc(r.Series, func(s series) bool { return s.Metric == m.Metric && maps.Equal(s.Labels, labels) })
		if i < 0 {
			i = len(r.Series)
			r.Series = append(r.Series, series{Metric: m.Metric, Kind: "native", Labels: labels})
		}
		s := &r.Series[i]
		value := math.Round(m.Value*1e6) / 1e6
		s.Now, s.Before = append(s.Now, value), append(s.Before, lastWeek*value)
		if m.Span.IsSampled() {
			s.Trace = m.Span.TraceID().String()
		}
	}
}

// recorded are the histograms of starts on a real cluster, of an engine's log and of a group of pods, and coldtrace's own metrics.
func recorded(t *testing.T) *recording {
	t.Helper()
	r := &recording{Panels: map[string][][]answered{}}
	files, err := filepath.Glob("../capture/testdata/real-*.yaml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d captures, %v", len(files), err)
	}
	var subject startup.Subject
	for _, file := range files {
		in, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		starts, err := capture.Starts(in)
		in.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range starts {
			for _, span := range s.Spans {
				if !span.Open {
					r.measured(startup.Measurements(s.Subject, span.Span))
				}
			}
			subject = s.Subject
		}
	}
	subject.EndpointName, subject.ModelName = "llama", "llama"
	log, err := os.Open("../engine/recipe/testdata/vllm-0.28.0-download.log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	told, err := recipe.ReadLog(log, recipe.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	inside := []startup.Span{{Name: startup.SpanStartup, Start: told.Phases[0].Start, End: told.Phases[len(told.Phases)-1].End}}
	for _, p := range told.Phases {
		inside = append(inside, startup.Span{Name: p.Name, Key: p.Name, Start: p.Start, End: p.End})
	}
	inside = append(inside, startup.Span{
		Name: "s5cmd_download", Start: told.Phases[0].Start, End: told.Phases[0].End, Attributes: []attribute.KeyValue{attribute.Float64(startup.AttrThroughputMBps, 812.5)},
	})
	for _, span := range inside {
		r.measured(startup.Measurements(subject, span))
	}
	r.measured(grouped(t))
	r.own(t)
	slices.SortStableFunc(r.Series, func(a, b series) int { return strings.Compare(a.Metric, b.Metric) })
	return r
}

// grouped are those of two pods that start as one, of which the worker holds up its leader.
func grouped(t *testing.T) []startup.Measurement {
	t.Helper()
	var table group.Table
	for i, text := range []string{
		"group.part=leader group.role=leader group.generation=l group.index=0\npod_startup 0-300 outcome=ready\n  image_pull 1-11\n  pod_ready 12-300",
		"group.part=worker group.role=worker group.generation=w group.index=1\npod_startup 1-202 outcome=started\n  image_pull 2-200\n  pod_ready 201-202",
	} {
		m, ok := tracetest.Trace(fmt.Sprint("pod-", i), "endpoint_name=llama group.key=lws/llama/0 group.size=2 "+text).Member()
		if !ok {
			t.Fatal("no pod of a group")
		}
		m.Endpoint = "llama" // a trace is a drawing's: it has no need for the label
		table.Put(m)
	}
	starts := table.Starts("models", "lws/llama/0", tracetest.Noon.Add(1000e9))
	if len(starts) != 1 || len(starts[0].Measurements()) != 2 {
		t.Fatalf("starts %+v", starts)
	}
	return starts[0].Measurements()
}

var ownMetric = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (.*?) \\|")

// own are coldtrace's own metrics that panels ask for, with the labels that the document has of the code.
func (r *recording) own(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{}
	for _, m := range ownMetric.FindAllStringSubmatch(string(text), -1) {
		labels[m[1]] = m[2]
	}
	kinds := map[dashboard.Stat]string{dashboard.Increase: "counter", dashboard.Max: "gauge", dashboard.Until: "time", dashboard.P50: "classic", dashboard.P99: "classic"}
	for _, q := range queries() {
		if strings.Contains(q.Metric, ".") || slices.ContainsFunc(r.Series, func(s series) bool { return s.Metric == q.Metric }) {
			continue
		}
		for i, of := range []string{"a", "b"} {
			s := series{Metric: q.Metric, Kind: kinds[q.Stat], Labels: map[string]string{}, Now: []float64{float64(7 * (i + 1))}, Before: []float64{3}}
			for label := range strings.FieldsFuncSeq(labels[q.Metric], func(c rune) bool { return strings.ContainsRune("`, ", c) }) {
				s.Labels[label] = of
			}
			s.Labels["pod"] = "coldtrace-" + of // the replica
			r.Series = append(r.Series, s)
		}
	}
}

func queries() (out []dashboard.Query) {
	for _, row := range dashboard.Rows() {
		for _, p := range row.Panels {
			out = append(out, p.Queries...)
		}
	}
	return out
}

// answers are what a query has to say of the series.
func (r *recording) answers(q dashboard.Query) []answered {
	type values struct{ now, before []float64 }
	groups := map[string]*values{}
	at := func(labels map[string]string, by []string) string {
		kept := map[string]string{}
		for _, l := range by {
			if labels[l] != "" {
				kept[l] = labels[l]
			}
		}
		key, _ := json.Marshal(kept)
		return string(key)
	}
	pick := func(where []dashboard.Match, by []string, take func(key string, s series)) {
		for _, s := range r.Series {
			if s.Metric == q.Metric && !slices.ContainsFunc(where, func(m dashboard.Match) bool { return (s.Labels[m.Label] == m.Value) == m.Not }) {
				take(at(s.Labels, by), s)
			}
		}
	}
	pick(q.Where, q.By, func(key string, s series) {
		if groups[key] == nil {
			groups[key] = &values{}
		}
		groups[key].now, groups[key].before = append(groups[key].now, s.Now...), append(groups[key].before, s.Before...)
	})
	per := map[string]float64{}
	if q.Stat == dashboard.Share {
		pick(q.Per, q.By[:len(q.By)-1], func(key string, s series) { per[key] += float64(len(s.Now)) })
	}
	var out []answered
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		a := answered{}
		_ = json.Unmarshal([]byte(key), &a.Labels)
		now := groups[key].now
		switch q.Stat {
		case dashboard.P50, dashboard.P95, dashboard.P99:
			a.Value, a.Or = nearest(now, map[dashboard.Stat]float64{dashboard.P50: 0.5, dashboard.P95: 0.95, dashboard.P99: 0.99}[q.Stat])
		case dashboard.Share:
			a.Value = sum(now) / per[at(a.Labels, q.By[:len(q.By)-1])]
		case dashboard.Change:
			is, _ := nearest(now, 0.5)
			was, _ := nearest(groups[key].before, 0.5)
			a.Value = is/was - 1
		case dashboard.Recorded:
			a.Value = float64(len(now))
		case dashboard.Increase:
			a.Value = sum(now)
		case dashboard.Max:
			a.Value = slices.Max(now)
		case dashboard.Until:
			a.Value = slices.Min(now)
		}
		if !math.IsNaN(a.Value) && !math.IsInf(a.Value, 0) {
			out = append(out, a)
		}
	}
	return out
}

// nearest is the value of the nearest rank, and the one after it where the rank is its very end: a histogram tells it as closely as
// its buckets are fine.
func nearest(values []float64, q float64) (low, high float64) {
	sorted := slices.Sorted(slices.Values(values))
	rank := q * float64(len(sorted))
	return sorted[max(0, int(math.Ceil(rank))-1)], sorted[min(len(sorted)-1, int(rank))]
}

func sum(values []float64) (total float64) {
	for _, v := range values {
		total += v
	}
	return total
}

// TestRecordedSeriesAreThoseOfTheCode keeps what test/prometheus runs the dashboard's queries on: a query that can answer nothing of
// what is recorded has no place on the dashboard.
func TestRecordedSeriesAreThoseOfTheCode(t *testing.T) {
	r := recorded(t)
	for _, row := range dashboard.Rows() {
		for _, p := range row.Panels {
			if p.Spans != nil {
				continue
			}
			for _, q := range p.Queries {
				answers := r.answers(q)
				if len(answers) == 0 {
					t.Errorf("%s: nothing that is recorded answers %s", p.Title, q.Metric)
				}
				r.Panels[row.Title+": "+p.Title] = append(r.Panels[row.Title+": "+p.Title], answers)
			}
		}
	}
	var got bytes.Buffer
	encoder := json.NewEncoder(&got)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(r); err != nil {
		t.Fatal(err)
	}
	tracetest.Golden(t, "../../test/prometheus/testdata/recorded.json", got.String())
}
