// SPDX-License-Identifier: Apache-2.0

package prometheus_test

import (
	"encoding/json"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/teststorage"
)

// recording is what package dashboard's test wrote down: series of recorded starts, and what panels have to answer.
type recording struct {
	Series []struct {
		Metric, Kind, Trace string
		Labels              map[string]string
		Now, Before         []float64
	}
	Panels map[string][][]answered
}

type answered struct {
	Labels    map[string]string
	Value, Or float64
}

// panel is one of Grafana's.
type panel struct {
	Type, Title string
	Targets     []struct {
		Expr, QueryType string
		Exemplar        bool
	}
}

// asked is when Grafana asks: a week and half an hour after the first values came, half an hour after the last did.
var asked = time.Unix(0, 0).UTC().Add(15 * 24 * time.Hour)

func read(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestEveryPanelAnswersWhatWasRecorded runs each query of the chart's dashboard on Prometheus' own engine, over series that coldtrace made of
// starts on a real cluster. What is right was reckoned from the values, without Prometheus.
func TestEveryPanelAnswersWhatWasRecorded(t *testing.T) {
	var recorded recording
	var dashboard struct{ Panels []panel }
	read(t, "testdata/recorded.json", &recorded)
	read(t, "../../charts/coldtrace/dashboards/grafana.json", &dashboard)
	all, dots := stored(t, &recorded), exemplars(t, &recorded)
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	variables := strings.NewReplacer("$window", "1h", "$__range", "1h", "$endpoint_name", ".*", "$model_name", ".*", "$gpu_type", ".*", "$region", ".*")
	row, run := "", 0
	for _, p := range dashboard.Panels {
		if p.Type == "row" {
			row = p.Title
			continue
		}
		if p.Targets[0].QueryType == "traceql" { // asked of Tempo
			continue
		}
		title := row + ": " + p.Title
		t.Run(title, func(t *testing.T) {
			want := recorded.Panels[title]
			if len(want) != len(p.Targets) {
				t.Fatalf("%d of %d queries have a right answer", len(want), len(p.Targets))
			}
			for i, target := range p.Targets {
				run++
				expr := variables.Replace(target.Expr)
				query, err := engine.NewInstantQuery(t.Context(), all, nil, expr, asked)
				if err != nil {
					t.Fatalf("%v: %s", err, expr)
				}
				result := query.Exec(t.Context())
				vector, ok := result.Value.(promql.Vector)
				if result.Err != nil || !ok {
					t.Fatalf("%v: %s", result.Err, expr)
				}
				holds(t, expr, vector, want[i])
				query.Close()
				if target.Exemplar {
					leadsToATrace(t, dots, expr)
				}
			}
		})
	}
	if run < 40 {
		t.Errorf("only %d queries", run)
	}
}

// holds compares an answer. A list of the ten largest has to have those; an increase is reckoned for the whole window, of which the
// first minute was not seen.
func holds(t *testing.T, expr string, got promql.Vector, want []answered) {
	t.Helper()
	const tolerance = 0.03
	most := len(want)
	if strings.HasPrefix(expr, "topk(10,") {
		most = min(10, most)
		slices.SortFunc(want, func(a, b answered) int { return int(math.Copysign(1, b.Value-a.Value)) })
	}
	if len(got) != most || most == 0 {
		t.Errorf("%d answers, want %d: %s\n%v\n%v", len(got), most, expr, got, want)
	}
	for _, sample := range got {
		i := slices.IndexFunc(want, func(a answered) bool { return maps.Equal(a.Labels, sample.Metric.Map()) })
		if i < 0 {
			t.Errorf("nobody knows of %v: %s", sample.Metric, expr)
			continue
		}
		near := func(value float64) bool { return math.Abs(sample.F-value) <= tolerance*math.Abs(value)+1e-6 }
		if !near(want[i].Value) && (want[i].Or == 0 || !near(want[i].Or)) {
			t.Errorf("%v is %v, want %v: %s", sample.Metric, sample.F, want[i], expr)
		}
		if most < len(want) && want[i].Value < want[most-1].Value*(1-tolerance) {
			t.Errorf("%v is none of the largest: %s", sample.Metric, expr)
		}
	}
}

// exemplars are those of the series, as Prometheus keeps them.
func exemplars(t *testing.T, r *recording) storage.ExemplarQuerier {
	t.Helper()
	kept, err := tsdb.NewCircularExemplarStorage(10_000, tsdb.NewExemplarMetrics(nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Series {
		if s.Trace == "" {
			continue
		}
		dot := exemplar.Exemplar{Labels: labels.FromStrings("trace_id", s.Trace), Value: s.Now[len(s.Now)-1], Ts: asked.Add(-30 * time.Minute).UnixMilli(), HasTs: true}
		if err := kept.AddExemplar(series(strings.ReplaceAll(s.Metric, ".", "_"), s.Labels), dot); err != nil {
			t.Fatal(err)
		}
	}
	querier, err := kept.ExemplarQuerier(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return querier
}

// leadsToATrace asks for a query's exemplars as Prometheus' API does.
func leadsToATrace(t *testing.T, of storage.ExemplarQuerier, expr string) {
	t.Helper()
	parsed, err := parser.ParseExpr(expr)
	if err != nil {
		t.Fatal(err)
	}
	found, err := of.Select(asked.Add(-time.Hour).UnixMilli(), asked.UnixMilli(), parser.ExtractSelectors(parsed)...)
	if err != nil || len(found) == 0 || len(found[0].Exemplars[0].Labels.Get("trace_id")) != 32 {
		t.Errorf("no dot leads to a trace: %v, %v: %s", found, err, expr)
	}
}

// stored are the series, a sample a minute: what came before from a week and half an hour ago on, with the rest from half an hour ago on.
func stored(t *testing.T, r *recording) *teststorage.TestStorage {
	t.Helper()
	all := teststorage.New(t)
	t.Cleanup(func() { all.Close() })
	week := 7 * 24 * time.Hour
	for _, part := range []struct {
		from, to time.Time
		now      bool
	}{
		{asked.Add(-week - 30*time.Minute), asked.Add(-week + 10*time.Minute), false},
		{asked.Add(-70 * time.Minute), asked.Add(-31 * time.Minute), false},
		{asked.Add(-30 * time.Minute), asked, true},
	} {
		for at := part.from; !at.After(part.to); at = at.Add(time.Minute) {
			app := all.Appender(t.Context())
			for _, s := range r.Series {
				values := slices.Clone(s.Before)
				if part.now {
					values = append(values, s.Now...)
				}
				name := strings.ReplaceAll(s.Metric, ".", "_")
				add := func(name string, value float64, more ...string) {
					if _, err := app.Append(0, series(name, s.Labels, more...), at.UnixMilli(), value); err != nil {
						t.Fatalf("%s at %v: %v", name, at, err)
					}
				}
				switch s.Kind {
				case "native":
					if _, err := app.AppendHistogram(0, series(name, s.Labels), at.UnixMilli(), nil, exponential(values)); err != nil {
						t.Fatalf("%s at %v: %v", name, at, err)
					}
				case "classic":
					for _, le := range []float64{2.9, 3.1, 6.9, 7.1, 13.9, 14.1, math.Inf(1)} {
						add(name+"_bucket", float64(below(values, le)), "le", strconv.FormatFloat(le, 'g', -1, 64))
					}
				case "counter":
					add(name, sum(values))
				case "gauge":
					add(name, values[len(values)-1])
				case "time":
					add(name, float64(asked.Unix())+s.Now[0])
				default:
					t.Fatalf("%s is of kind %q", name, s.Kind)
				}
			}
			if err := app.Commit(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}

func series(name string, of map[string]string, more ...string) labels.Labels {
	b := labels.NewBuilder(labels.FromMap(of)).Set("__name__", name)
	for i := 0; i < len(more); i += 2 {
		b.Set(more[i], more[i+1])
	}
	return b.Labels()
}

// exponential are values as a histogram whose buckets are 1.1 % wide, as an exponential one of OTLP becomes.
func exponential(values []float64) *histogram.FloatHistogram {
	const schema = 6
	h := &histogram.FloatHistogram{Schema: schema, ZeroThreshold: 1e-9, Count: float64(len(values)), Sum: sum(values)}
	buckets := map[int]float64{}
	for _, v := range values {
		if v <= h.ZeroThreshold {
			h.ZeroCount++
			continue
		}
		buckets[int(math.Ceil(math.Log2(v)*(1<<schema)))]++
	}
	last := 0
	for i, at := range slices.Sorted(maps.Keys(buckets)) {
		offset := at
		if i > 0 {
			offset = at - last - 1
		}
		h.PositiveSpans = append(h.PositiveSpans, histogram.Span{Offset: int32(offset), Length: 1})
		h.PositiveBuckets = append(h.PositiveBuckets, buckets[at])
		last = at
	}
	return h
}

func below(values []float64, le float64) (n int) {
	for _, v := range values {
		if v <= le {
			n++
		}
	}
	return n
}

func sum(values []float64) (total float64) {
	for _, v := range values {
		total += v
	}
	return total
}
