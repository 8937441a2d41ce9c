// SPDX-License-Identifier: Apache-2.0

// Package dashboard renders one description of what operators look at as dashboards for Grafana (Prometheus and Tempo) and
// for Datadog. The description is in panels.go; a panel more there is a panel more in both.
package dashboard

import (
	"slices"

	"github.com/coldtrace/coldtrace/startup"
)

// title is the name of the dashboards.
const title = "coldtrace: where cold starts go"

// Row is a heading with the panels below it.
type Row struct {
	Title  string
	Panels []Panel
}

// Panel is one question and what answers it.
type Panel struct {
	Title   string
	Help    string // how to read it
	Unit    Unit
	Shape   Shape
	Queries []Query // drawn together
	Spans   *Spans  // traces that are listed, in place of Queries
}

// Unit is what values are shown in.
type Unit int

// The units.
const (
	Seconds Unit = iota
	MegabytesPerSecond
	Count
	Bytes
	Ratio
)

// Shape is how a panel is drawn.
type Shape int

// The shapes.
const (
	Lines Shape = iota // values over time
	Stack              // the same, one on top of the other
	Top                // a list of the largest values of the whole time shown
)

// Stat is what is told of a metric; of a histogram, it is of the values recorded within the window.
type Stat int

// The statistics.
const (
	P50 Stat = iota // a percentile of a histogram
	P95
	P99
	Recorded // how many values a histogram got
	Increase // by how much a counter grew
	Max      // the largest value of a gauge
	Change   // by what part a histogram's median differs from that of a week before: 0.1 is a tenth slower
	Until    // how many seconds are left until the smallest value of a gauge that is a time
	// Share is the sum of a histogram's values for each value that another, Per, got: what a start spends on each phase. Per has
	// all labels of By but the last.
	Share
)

// Query is one statistic of one metric: a histogram that coldtrace sends over OTLP, whose name has dots, or a metric that
// `coldtrace serve` serves.
type Query struct {
	Metric string
	Stat   Stat
	Where  []Match  // conditions that all have to be true
	Per    []Match  // those of what Share counts
	By     []string // labels that each have a line of their own
	Name   string   // before the labels' values in the legend
}

// Match is a condition on a label: that it has the value, or, with Not, another. An empty value is that of an absent label.
type Match struct {
	Label string
	Not   bool
	Value string
}

// Spans are the traces that a panel lists, by the name of their root span.
type Spans struct {
	Name   string
	Failed bool // only those that failed
}

// variables are the labels that a dashboard can be restricted to.
var variables = []string{"endpoint_name", "model_name", "gpu_type", "region"}

// variables are those that the metric has as labels: another one would leave the panel empty.
func (q Query) variables() []string {
	return slices.DeleteFunc(slices.Clone(variables), func(v string) bool { return !slices.Contains(startup.LabelsOf(q.Metric), v) })
}
