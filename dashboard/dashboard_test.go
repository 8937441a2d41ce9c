// SPDX-License-Identifier: Apache-2.0

package dashboard_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/coldtrace/coldtrace/dashboard"
	"github.com/coldtrace/coldtrace/trace/tracetest"
)

func TestTheChartHasTheDashboards(t *testing.T) {
	for name, render := range map[string]func() ([]byte, error){"grafana.json": dashboard.Grafana, "datadog.json": dashboard.Datadog} {
		got, err := render()
		if err != nil {
			t.Fatal(err)
		}
		tracetest.Golden(t, "../../charts/coldtrace/dashboards/"+name, string(got))
		if !json.Valid(got) {
			t.Errorf("%s is not JSON", name)
		}
	}
}

// TestMetricsExist: OTLP metrics are those of the contract, others are in the list of what coldtrace serves.
func TestMetricsExist(t *testing.T) {
	var known strings.Builder
	for _, doc := range []string{"../docs/contract.md", "../docs/metrics.md"} {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		known.Write(text)
	}
	for _, row := range dashboard.Rows() {
		for _, p := range row.Panels {
			for _, q := range p.Queries {
				line := ""
				for l := range strings.Lines(known.String()) {
					if strings.HasPrefix(l, "| `"+q.Metric+"` |") {
						line = l
					}
				}
				if line == "" {
					t.Errorf("%s: no metric %s", p.Title, q.Metric)
				}
				labels := q.By
				for _, m := range q.Where {
					labels = append(labels, m.Label)
				}
				for _, l := range labels {
					if !strings.Contains(line, "`"+l+"`") {
						t.Errorf("%s: metric %s has no label %s", p.Title, q.Metric, l)
					}
				}
			}
		}
	}
}

func TestBothLeadToWhatToDo(t *testing.T) {
	for name, render := range map[string]func() ([]byte, error){"grafana": dashboard.Grafana, "datadog": dashboard.Datadog} {
		if got, err := render(); err != nil || !bytes.Contains(got, []byte("/docs/advice.md")) {
			t.Errorf("%s leads nowhere, or %v", name, err)
		}
	}
}

func TestQueriesSayWhatIsMeant(t *testing.T) {
	for name, tt := range map[string]struct {
		query  dashboard.Query
		promQL string
	}{
		"a percentile of what was sent over OTLP is of a native histogram": {
			dashboard.Query{Metric: "startup.phase.duration_seconds", Stat: dashboard.P95, By: []string{"x"}, Where: []dashboard.Match{{Label: "reason", Value: ""}}},
			`histogram_quantile(0.95, sum by (x) ((increase(P{reason="",V}[1h]) and P{reason="",V} offset 1h) or P{reason="",V}))`,
		},
		"what a start spends on each phase is a sum for each start": {
			dashboard.Query{
				Metric: "startup.phase.duration_seconds", Stat: dashboard.Share, By: []string{"phase"},
				Per: []dashboard.Match{{Label: "phase", Value: "pod_startup"}},
			},
			`sum by (phase) (histogram_sum((increase(P{V}[1h]) and P{V} offset 1h) or P{V})) / ignoring (phase) group_left ` +
				`sum (histogram_count((increase(P{phase="pod_startup",V}[1h]) and P{phase="pod_startup",V} offset 1h) or P{phase="pod_startup",V}))`,
		},
		"what the starts of each endpoint spend on each phase": {
			dashboard.Query{
				Metric: "startup.phase.duration_seconds", Stat: dashboard.Share, By: []string{"endpoint_name", "phase"},
				Per: []dashboard.Match{{Label: "phase", Value: "pod_startup"}},
			},
			`sum by (endpoint_name, phase) (histogram_sum((increase(P{V}[1h]) and P{V} offset 1h) or P{V})) / ignoring (phase) group_left ` +
				`sum by (endpoint_name) (histogram_count((increase(P{phase="pod_startup",V}[1h]) and P{phase="pod_startup",V} offset 1h) or P{phase="pod_startup",V}))`,
		},
		"a change is against the same time a week before": {
			dashboard.Query{Metric: "startup.phase.duration_seconds", Stat: dashboard.Change, By: []string{"x"}},
			`histogram_quantile(0.5, sum by (x) ((increase(P{V}[1h]) and P{V} offset 1h) or P{V})) / ` +
				`histogram_quantile(0.5, sum by (x) ((increase(P{V}[1h] offset 1w) and P{V} offset 1w1h) or P{V} offset 1w)) - 1`,
		},
		"a variable that the metric has no label for would leave the panel empty": {
			dashboard.Query{Metric: "startup.image_pull.duration_seconds", Stat: dashboard.Recorded},
			`sum (histogram_count((increase(startup_image_pull_duration_seconds{endpoint_name=~"$endpoint_name"}[1h]) and ` +
				`startup_image_pull_duration_seconds{endpoint_name=~"$endpoint_name"} offset 1h) or startup_image_pull_duration_seconds{endpoint_name=~"$endpoint_name"}))`,
		},
		"a percentile of what is served is of a classic one": {
			dashboard.Query{Metric: "a_b", Stat: dashboard.P99},
			`histogram_quantile(0.99, sum by (le) ((increase(a_b_bucket[1h]) and a_b_bucket offset 1h) or a_b_bucket))`,
		},
		"a counter's growth counts the first value": {
			dashboard.Query{Metric: "a_total", Stat: dashboard.Increase, By: []string{"x", "y"}},
			`sum by (x, y) ((increase(a_total[1h]) and a_total offset 1h) or a_total)`,
		},
		"a time is told by what is left":       {dashboard.Query{Metric: "a", Stat: dashboard.Until}, `min (a > 0) - time()`},
		"a gauge is told by its largest value": {dashboard.Query{Metric: "a", Stat: dashboard.Max, By: []string{"x"}}, `max by (x) (a)`},
	} {
		t.Run(name, func(t *testing.T) {
			variables := `endpoint_name=~"$endpoint_name",model_name=~"$model_name",gpu_type=~"$gpu_type",region=~"$region"`
			if want := strings.NewReplacer("V}", variables+"}", "P{", "startup_phase_duration_seconds{").Replace(tt.promQL); tt.query.PromQL("1h") != want {
				t.Errorf("query %s, want %s", tt.query.PromQL("1h"), want)
			}
		})
	}
}
