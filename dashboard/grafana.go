// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/coldtrace/coldtrace/trace/advice"
)

// whatToDo leads to the page that says what to change about what a dashboard shows.
const whatToDo = "What to do about it"

// Window is the variable that says over how long a value of a graph is computed: starts are rare.
const Window = "$window"

// object is JSON whose keys are sorted.
type object = map[string]any

// Grafana is the dashboard as Grafana imports it: 10 or later, with Prometheus and Tempo as data sources to choose.
func Grafana() ([]byte, error) {
	const columns, height = 24, 8
	var (
		panels []object
		y      int
	)
	for _, row := range Rows() {
		panels = append(panels, object{
			"type": "row", "title": row.Title, "collapsed": false, "id": len(panels) + 1, "panels": []object{},
			"gridPos": object{"x": 0, "y": y, "w": columns, "h": 1},
		})
		y++
		for i, p := range row.Panels {
			drawn := p.grafana()
			drawn["id"] = len(panels) + 1
			drawn["gridPos"] = object{"x": i % 3 * columns / 3, "y": y + i/3*height, "w": columns / 3, "h": height}
			panels = append(panels, drawn)
		}
		y += (len(row.Panels) + 2) / 3 * height
	}
	return encode(object{
		"uid": "coldtrace", "title": title, "tags": []string{"coldtrace"}, "schemaVersion": 39, "version": 1, "editable": true,
		"time": object{"from": "now-24h", "to": "now"}, "refresh": "1m", "timezone": "browser",
		"panels": panels, "templating": object{"list": grafanaVariables()}, "annotations": object{"list": []object{}},
		"links": []object{{"title": whatToDo, "url": advice.Page, "type": "link", "icon": "external link", "targetBlank": true, "tags": []string{}}},
	})
}

func grafanaVariables() []object {
	source := func(name, label, kind string) object {
		return object{"type": "datasource", "name": name, "label": label, "query": kind, "current": object{}}
	}
	list := []object{
		source("prometheus", "Prometheus", "prometheus"), source("tempo", "Tempo", "tempo"),
		{
			"type": "custom", "name": strings.TrimPrefix(Window, "$"), "label": "Computed over", "query": "15m,1h,6h,1d",
			"current": object{"text": "1h", "value": "1h"},
		},
	}
	for _, v := range variables {
		list = append(list, object{
			"type": "query", "name": v, "label": strings.ReplaceAll(strings.TrimSuffix(v, "_name"), "_", " "), "datasource": prometheus,
			"query": object{
				"query": "label_values(startup_phase_duration_seconds, " + v + ")", "refId": "variable",
			},
			// A series that lacks the label is one of all.
			"multi": true, "includeAll": true, "allValue": ".*", "refresh": 2, "sort": 1,
			"current": object{"text": []string{"All"}, "value": []string{"$__all"}},
		})
	}
	return list
}

var (
	prometheus = object{"type": "prometheus", "uid": "${prometheus}"}
	tempo      = object{"type": "tempo", "uid": "${tempo}"}
)

func (p Panel) grafana() object {
	out := object{"title": p.Title, "description": p.Help, "datasource": prometheus}
	if p.Spans != nil {
		out["type"], out["datasource"] = "table", tempo
		out["targets"] = []object{{"refId": "A", "datasource": tempo, "queryType": "traceql", "query": p.Spans.traceQL(), "limit": 20, "tableType": "traces"}}
		return out
	}
	var targets []object
	for i, q := range p.Queries {
		target := object{"refId": string(rune('A' + i)), "datasource": prometheus, "legendFormat": q.legend(), "expr": q.PromQL(Window), "range": true}
		if i == 0 && p.Shape == Lines && q.sent() { // the dots of one query are those of all
			target["exemplar"] = true
		}
		if p.Shape == Top {
			target["expr"], target["instant"], target["range"] = "topk(10, "+q.PromQL("$__range")+")", true, false
		}
		targets = append(targets, target)
	}
	defaults := object{"unit": map[Unit]string{Seconds: "s", MegabytesPerSecond: "MBs", Count: "short", Bytes: "bytes", Ratio: "percentunit"}[p.Unit], "min": 0}
	out["targets"], out["fieldConfig"] = targets, object{"defaults": defaults, "overrides": []object{}}
	if p.Shape == Top {
		out["type"] = "bargauge"
		out["options"] = object{
			"orientation": "horizontal", "displayMode": "basic",
			"reduceOptions": object{"calcs": []string{"lastNotNull"}, "values": false},
		}
		return out
	}
	out["type"] = "timeseries"
	out["options"] = object{"legend": object{"displayMode": "list", "placement": "bottom"}, "tooltip": object{"mode": "multi", "sort": "desc"}}
	custom := object{"drawStyle": "line", "lineWidth": 1, "fillOpacity": 0, "spanNulls": true}
	if p.Shape == Stack {
		custom["fillOpacity"], custom["stacking"] = 40, object{"mode": "normal", "group": "A"}
	}
	defaults["custom"] = custom
	return out
}

func encode(v object) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode dashboard: %w", err)
	}
	return out.Bytes(), nil
}
