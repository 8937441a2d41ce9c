// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"fmt"
	"slices"
	"strings"
)

// sent says that the metric leaves coldtrace over OTLP.
func (q Query) sent() bool { return strings.Contains(q.Metric, ".") }

// PromQL is the query for Prometheus, over the window: a duration or a variable of Grafana.
//
// Histograms sent over OTLP are native ones, under their name with underscores and no unit added to it.
func (q Query) PromQL(window string) string {
	name := strings.ReplaceAll(q.Metric, ".", "_")
	switch q.Stat {
	case P50, P95, P99:
		quantile := map[Stat]string{P50: "0.5", P95: "0.95", P99: "0.99"}[q.Stat]
		if q.sent() {
			return "histogram_quantile(" + quantile + ", sum" + by(q.By) + " (" + q.grown(name, window) + "))"
		}
		return "histogram_quantile(" + quantile + ", sum" + by(append(slices.Clone(q.By), "le")) + " (" + q.grown(name+"_bucket", window) + "))"
	case Share:
		last := len(q.By) - 1
		per := Query{Metric: q.Metric, Stat: Recorded, Where: q.Per, By: q.By[:last]}
		return "sum" + by(q.By) + " (histogram_sum(" + q.grown(name, window) + ")) / ignoring (" + q.By[last] + ") group_left " + per.PromQL(window)
	case Change:
		median := "histogram_quantile(0.5, sum" + by(q.By) + " (%s))"
		return fmt.Sprintf(median+" / "+median+" - 1", q.grown(name, window), q.grownBefore(name, window, "1w"))
	case Recorded:
		return "sum" + by(q.By) + " (histogram_count(" + q.grown(name, window) + "))"
	case Increase:
		return "sum" + by(q.By) + " (" + q.grown(name, window) + ")"
	case Max:
		return "max" + by(q.By) + " (" + name + q.matchers() + ")"
	case Until:
		return "min" + by(q.By) + " (" + name + q.matchers() + " > 0) - time()"
	}
	panic(fmt.Sprintf("dashboard: statistic %d", q.Stat))
}

// grown is by how much a counter or a histogram grew. An endpoint starts now and then, and increase does not see the first
// value of a series: of series that are younger than the window all counts.
func (q Query) grown(name, window string) string {
	series := name + q.matchers()
	return "(increase(" + series + "[" + window + "]) and " + series + " offset " + window + ") or " + series
}

// grownBefore is what grown was so long before. Units of a duration come in order, so that is longer than those of a window.
func (q Query) grownBefore(name, window, ago string) string {
	series := name + q.matchers()
	return "(increase(" + series + "[" + window + "] offset " + ago + ") and " + series + " offset " + ago + window + ") or " + series + " offset " + ago
}

func (q Query) matchers() string {
	var out []string
	for _, m := range q.Where {
		sign := "="
		if m.Not {
			sign = "!="
		}
		out = append(out, fmt.Sprintf("%s%s%q", m.Label, sign, m.Value))
	}
	for _, v := range q.variables() {
		out = append(out, v+`=~"$`+v+`"`)
	}
	if len(out) == 0 {
		return ""
	}
	return "{" + strings.Join(out, ",") + "}"
}

func by(labels []string) string {
	if len(labels) == 0 {
		return ""
	}
	return " by (" + strings.Join(labels, ", ") + ")"
}

// legend names a line.
func (q Query) legend() string {
	var parts []string
	if q.Name != "" {
		parts = append(parts, q.Name)
	}
	for _, l := range q.By {
		parts = append(parts, "{{"+l+"}}")
	}
	return strings.Join(parts, " ")
}

// traceQL finds spans in Tempo.
func (s Spans) traceQL() string {
	condition := fmt.Sprintf("name = %q", s.Name)
	if s.Failed {
		condition += " && status = error"
	}
	return "{ " + condition + " }"
}
