// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/watch"
)

const metricsDoc = "../../docs/metrics.md"

// ours are the names of the metrics that this project makes.
var ours = regexp.MustCompile(`^(coldtrace|startup)_`)

var (
	description = regexp.MustCompile(`^Desc\{fqName: "(.*?)", help: "(.*?)"(?:, unit: "[^"]*")?, constLabels: \{.*\}, variableLabels: \{(.*)\}\}$`)
	metricRow   = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|")
)

// registered are the metrics of this process: a row of the document each.
func registered(t *testing.T) map[string]string {
	t.Helper()
	policy := config.Default()
	watcher := prometheus.NewRegistry()
	_, err := watch.New(watch.Config{
		REST: &rest.Config{Host: "http://127.0.0.1"}, Namespace: "coldtrace", Exporter: &observedExporter{}, Log: logr.Discard(),
		Policy: func() *config.Policy { return policy }, Metrics: watcher,
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, r := range []any{watcher, ctrlmetrics.Registry} {
		collector, ok := r.(prometheus.Collector)
		if !ok {
			t.Fatal("the registry does not describe itself")
		}
		descriptions := make(chan *prometheus.Desc, 1000)
		collector.Describe(descriptions)
		close(descriptions)
		for d := range descriptions {
			m := description.FindStringSubmatch(d.String())
			if m == nil {
				t.Fatalf("unknown description %s", d)
			}
			if !ours.MatchString(m[1]) {
				continue
			}
			var labels []string
			for label := range strings.SplitSeq(m[3], ",") {
				if label != "" {
					labels = append(labels, "`"+strings.TrimSpace(label)+"`")
				}
			}
			rows[m[1]] = fmt.Sprintf("| `%s` | %s | %s |", m[1], strings.Join(labels, ", "), m[2])
		}
	}
	return rows
}

func documentedMetrics(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(metricsDoc)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, m := range metricRow.FindAllSubmatch(text, -1) {
		out[string(m[1])] = true
	}
	return out
}

// The table of docs/metrics.md is generated: -update writes it.
func TestEveryMetricIsInTheDocument(t *testing.T) {
	text, err := os.ReadFile(metricsDoc)
	if err != nil {
		t.Fatal(err)
	}
	const head = "| metric | labels | |\n|---|---|---|\n"
	before, after, ok := strings.Cut(string(text), head)
	if !ok {
		t.Fatalf("%s lacks the table", metricsDoc)
	}
	rest := after
	for strings.HasPrefix(rest, "|") {
		_, rest, _ = strings.Cut(rest, "\n")
	}
	rows := registered(t)
	var want bytes.Buffer
	want.WriteString(before + head)
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		want.WriteString(rows[name] + "\n")
	}
	want.WriteString(rest)
	if *update {
		if err := os.WriteFile(metricsDoc, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want.String() != string(text) {
		t.Errorf("%s is not what the code registers; `make golden` writes\n%s", metricsDoc, want.String())
	}
}
