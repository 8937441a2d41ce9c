// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// What of the chart's values changes the collector's configuration: where it sends to, and what it does about volume.
// Every one of the first is tried with every one of the second.
var (
	destinations = map[string]string{
		"nowhere":              "",
		"Datadog":              "collector: {datadog: {enabled: true}}",
		"OTLP by values":       "collector: {exporters: {otlphttp/elsewhere: {endpoint: SINK, compression: none}}}",
		"Datadog and by value": "collector: {datadog: {enabled: true, site: datadoghq.eu}, exporters: {otlphttp/elsewhere: {endpoint: SINK, compression: none}, debug: {}}}",
	}
	volumes = map[string]string{
		"everything":                "",
		"the defaults":              "traceVolume: {enabled: true}",
		"no listed route":           "traceVolume: {enabled: true, routes: [], keepPercent: 0.5}",
		"routes thinned":            `traceVolume: {enabled: true, keepPercent: 100, routes: [{path: "/v1/async-tasks/*", keepPercent: 1}, {path: /health, keepPercent: 0}, {path: "/a.b+(c)/*", keepPercent: 0.01}]}`,
		"nothing but errors":        "traceVolume: {enabled: true, keepPercent: 0, decisionWait: 500ms, maxTraces: 10}",
		"one route without a share": "traceVolume: {enabled: true, routes: [{path: /metrics, keepPercent: 0}]}",
	}
)

func TestEveryRenderedConfigurationIsValidAndRuns(t *testing.T) {
	for to, destination := range destinations {
		for of, volume := range volumes {
			t.Run(to+" and "+of, func(t *testing.T) {
				in, sink := newIntake(t), newSink(t)
				config := rendered(t, strings.ReplaceAll(destination, "SINK", sink.url)+"\n"+volume+"\n")
				if out, err := command(t, "validate", "--config", config).CombinedOutput(); err != nil {
					t.Fatalf("validate: %v\n%s", err, out)
				}
				var datadog *intake
				if strings.Contains(destination, "datadog") {
					datadog = in
				}
				c := start(t, config, datadog, "processors: {batch: {timeout: 100ms}}")
				c.send(t, startupSpan("pod_startup", 1, priorityKeep), startupSpan("startup", 2, priorityKeep))
				if datadog != nil {
					eventually(t, "both spans at Datadog's intake", func() bool {
						return len(in.find(func(s *ddSpan) bool { return s.Resource == "startup" || s.Resource == "pod_startup" })) == 2
					})
				}
				if strings.Contains(destination, "SINK") {
					eventually(t, "something over OTLP", func() bool { return sink.requests.Load() > 0 })
				}
				if destination == "" {
					eventually(t, "the debug exporter's word", func() bool { return strings.Contains(c.said(t), `"spans": 2`) })
				}
				c.stop(t)
				if len(in.problems) > 0 {
					t.Errorf("the intake: %v", in.problems)
				}
			})
		}
	}
}

// sink takes OTLP over HTTP.
type sink struct {
	url      string
	requests atomic.Int64
}

func newSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{}
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { s.requests.Add(1) }))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}
