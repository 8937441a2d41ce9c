// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"fmt"
	"strings"

	"github.com/coldtrace/coldtrace/trace/advice"
)

// Datadog is the dashboard as its API takes it (POST /api/v1/dashboard).
//
// Histograms sent over OTLP are distributions, with percentiles enabled. What `coldtrace serve` serves comes through the
// Agent's OpenMetrics check with namespace coldtrace, raw_metric_prefix coldtrace_ and
// histogram_buckets_as_distributions; docs/dashboards.md has it in full.
func Datadog() ([]byte, error) {
	var groups []object
	for _, row := range Rows() {
		var widgets []object
		for _, p := range row.Panels {
			if w, ok := p.datadog(); ok {
				widgets = append(widgets, object{"definition": w})
			}
		}
		groups = append(groups, object{"definition": object{
			"type": "group", "title": row.Title, "layout_type": "ordered", "widgets": widgets,
		}})
	}
	var templates []object
	for _, v := range variables {
		templates = append(templates, object{"name": v, "prefix": v, "available_values": []string{}, "defaults": []string{"*"}})
	}
	return encode(object{
		"title": title, "layout_type": "ordered", "reflow_type": "auto", "template_variables": templates, "widgets": groups,
		"description": "Made from coldtrace's description of it, as Grafana's is. [" + whatToDo + "](" + advice.Page + ")", "notify_list": []string{},
	})
}

// datadog is false for a panel that Datadog's queries can't express.
func (p Panel) datadog() (object, bool) {
	if p.Spans != nil {
		return p.datadogSpans(), true
	}
	var queries, formulas []object
	for i, q := range p.Queries {
		text, ok := q.datadog()
		if !ok {
			continue
		}
		name := fmt.Sprintf("query%d", i)
		query := object{"data_source": "metrics", "name": name, "query": text}
		formula := object{"formula": name}
		if p.Shape == Top {
			query["aggregator"] = map[bool]string{true: "sum", false: "max"}[q.Stat == Recorded || q.Stat == Increase]
			formula["limit"] = object{"count": 10, "order": "desc"}
		}
		if q.Stat == Change {
			formula["formula"] = name + " / week_before(" + name + ") - 1"
		}
		if q.Stat == Share {
			per, _ := Query{Metric: q.Metric, Stat: Recorded, Where: q.Per}.datadog()
			queries = append(queries, object{"data_source": "metrics", "name": name + "_per", "query": per})
			formula["formula"] = name + " / " + name + "_per"
		}
		if q.Name != "" {
			formula["alias"] = q.Name
		}
		queries, formulas = append(queries, query), append(formulas, formula)
	}
	if len(queries) == 0 {
		return nil, false
	}
	request := object{"queries": queries, "formulas": formulas}
	if p.Shape == Top {
		request["response_format"] = "scalar"
		return object{"title": p.Title, "type": "toplist", "requests": []object{request}}, true
	}
	request["response_format"] = "timeseries"
	request["display_type"] = map[bool]string{true: "bars", false: "line"}[p.Shape == Stack]
	return object{
		"title": p.Title, "type": "timeseries", "show_legend": true, "legend_layout": "auto",
		"yaxis": object{"include_zero": true}, "requests": []object{request},
	}, true
}

// aggregations are Datadog's names for statistics. Until is none: a query has no clock.
var aggregations = map[Stat]string{P50: "p50", Change: "p50", P95: "p95", P99: "p99", Share: "sum", Recorded: "count", Increase: "sum", Max: "max"}

func (q Query) datadog() (string, bool) {
	aggregation, known := aggregations[q.Stat]
	if !known || q.Stat == Share && len(q.By) > 1 { // a formula has queries of the same groups, or one of none
		return "", false
	}
	suffix := ""
	if aggregation == "sum" || aggregation == "count" {
		suffix = ".as_count()"
	}
	name := q.Metric
	if !q.sent() {
		name = "coldtrace." + strings.TrimPrefix(name, "coldtrace_")
		name = strings.TrimSuffix(name, "_total")
		if q.Stat == Increase {
			name += ".count"
		}
	}
	grouped := ""
	if len(q.By) > 0 {
		grouped = " by {" + strings.Join(q.By, ",") + "}"
	}
	return aggregation + ":" + name + "{" + q.scope() + "}" + grouped + suffix, true
}

// scope is the filter. A label that is absent is one that no value of it matches.
func (q Query) scope() string {
	var out []string
	for _, m := range q.Where {
		not, value := m.Not, m.Value
		if value == "" { // set or not
			not, value = !not, "*"
		}
		sign := ""
		if not {
			sign = "!"
		}
		out = append(out, sign+m.Label+":"+value)
	}
	for _, v := range q.variables() {
		out = append(out, "$"+v)
	}
	if len(out) == 0 {
		return "*"
	}
	return strings.Join(out, ",")
}

func (p Panel) datadogSpans() object {
	search := "resource_name:" + p.Spans.Name
	if p.Spans.Failed {
		search += " status:error"
	}
	return object{
		"title": p.Title, "type": "toplist",
		"requests": []object{{
			"response_format": "scalar",
			"queries": []object{{
				"data_source": "spans", "name": "query0", "search": object{"query": search}, "indexes": []string{"*"},
				"compute": object{"aggregation": "count"},
				"group_by": []object{
					{"facet": "@endpoint_name", "limit": 10, "sort": object{"aggregation": "count", "order": "desc"}},
					{"facet": "@reason", "limit": 10, "sort": object{"aggregation": "count", "order": "desc"}},
				},
			}},
			"formulas": []object{{"formula": "query0", "limit": object{"count": 20, "order": "desc"}}},
		}},
	}
}
