// SPDX-License-Identifier: Apache-2.0

package dashboard_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coldtrace/coldtrace/dashboard"
)

// shape is what Datadog's API says of an object: the fields that it needs, others that it knows and we use, and the values that
// a field may have. Taken from the OpenAPI document (v1, August 2026) of Datadog's API clients, by which the whole dashboard was
// validated once.
type shape struct {
	needs, knows string
	values       map[string]string
}

var datadogShapes = map[string]shape{
	"dashboard": {"title layout_type widgets", "description notify_list reflow_type template_variables", map[string]string{
		"layout_type": "ordered free", "reflow_type": "auto fixed",
	}},
	"variable": {"name", "prefix available_values defaults", nil},
	"group":    {"type layout_type widgets", "title", map[string]string{"layout_type": "ordered"}},
	"timeseries": {"type requests", "title show_legend legend_layout yaxis", map[string]string{
		"legend_layout": "auto horizontal vertical",
	}},
	"toplist": {"type requests", "title", nil},
	"request": {"queries formulas response_format", "display_type", map[string]string{
		"response_format": "timeseries scalar event_list", "display_type": "area bars line overlay",
	}},
	"metrics": {"data_source name query", "aggregator", map[string]string{"aggregator": "avg min max sum last area l2norm percentile"}},
	"spans":   {"data_source name compute", "search indexes group_by", nil},
	"formula": {"formula", "alias limit", nil},
}

// queryName is one in a formula: query0 / query0_per, week_before(query0) - 1.
var queryName = regexp.MustCompile(`query[0-9]+(_per)?`)

func TestDatadogTakesTheDashboard(t *testing.T) {
	text, err := dashboard.Datadog()
	if err != nil {
		t.Fatal(err)
	}
	var d map[string]any
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	is(t, "dashboard", d)
	each(d, "template_variables", func(v map[string]any) { is(t, "variable", v) })
	widgets := 0
	var widget func(map[string]any)
	widget = func(w map[string]any) {
		widgets++
		definition, _ := w["definition"].(map[string]any)
		kind, _ := definition["type"].(string)
		is(t, kind, definition)
		each(definition, "widgets", widget)
		each(definition, "requests", func(request map[string]any) {
			is(t, "request", request)
			names := map[any]bool{}
			each(request, "queries", func(q map[string]any) {
				source, _ := q["data_source"].(string)
				is(t, source, q)
				names[q["name"]] = true
			})
			each(request, "formulas", func(f map[string]any) {
				is(t, "formula", f)
				text, _ := f["formula"].(string)
				for _, name := range queryName.FindAllString(text, -1) {
					if !names[name] {
						t.Errorf("%v: no query is called %s", definition["title"], name)
					}
				}
			})
		})
	}
	each(d, "widgets", widget)
	if widgets < 30 {
		t.Errorf("only %d widgets", widgets)
	}
}

func each(object map[string]any, field string, do func(map[string]any)) {
	list, _ := object[field].([]any)
	for _, item := range list {
		item, _ := item.(map[string]any)
		do(item)
	}
}

// is holds an object against its shape.
func is(t *testing.T, name string, object map[string]any) {
	t.Helper()
	s, known := datadogShapes[name]
	if !known {
		t.Errorf("%q is no kind of object that is known of Datadog: %v", name, object)
		return
	}
	needs := strings.Fields(s.needs)
	for _, field := range needs {
		if object[field] == nil {
			t.Errorf("%s lacks %s: %v", name, field, object)
		}
	}
	for field, value := range object {
		if !slices.Contains(append(needs, strings.Fields(s.knows)...), field) {
			t.Errorf("%s has a field %s that is not known of Datadog", name, field)
		}
		if allowed := s.values[field]; allowed != "" && !slices.Contains(strings.Fields(allowed), value.(string)) {
			t.Errorf("%s: %s is %v, want one of %s", name, field, value, allowed)
		}
	}
}
