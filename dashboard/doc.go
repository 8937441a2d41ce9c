// SPDX-License-Identifier: Apache-2.0

// Package dashboard renders one description of what operators look at as dashboards for Grafana (Prometheus and Tempo) and
// for Datadog. The description is in panels.go; a panel more there is a panel more in both.
package dashboard

import (
	"slices"

	"github.com/coldtrace/coldtrace/startup"
)

// Title is the name of the dashboards.
const Title = "coldtrace: where cold starts go"

// Row is a heading with the panels below it.
type Row struct {
	Title  string
	Panels []Panel
}

// Panel is one question and what answers it.
type Panel struct {
	Title string
	// Help says how to read it.
	Help  string
	Unit  Unit
	Shape Shape
	// Queries are drawn in one panel.
	Queries []Query
	// Spans lists traces in place of Queries.
	Spans *Spans
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
	// Lines are values over time.
	Lines Shape = iota
	// Stack is values over time, one on top of the other.
	Stack
	// Top is a list of the largest values of the whole time shown.
	Top
)

// Stat is what is told of a metric.
type Stat int

// The statistics. Those of histograms are of the values recorded within the window.
const (
	// P50, P95 and P99 are percentiles of a histogram.
	P50 Stat = iota
	P95
	P99
	// Recorded is how many values a histogram got.
	Recorded
	// Increase is by how much a counter grew.
	Increase
	// Max is the largest value of a gauge.
	Max
	// Share is the sum of a histogram's values for each value that another, Per, got: what a start spends on each phase. Per has
	// all labels of By but the last.
	Share
	// Change is by what part a histogram's median differs from that of a week before: 0.1 is a tenth slower.
	Change
	// Until is how many seconds are left until the smallest value of a gauge that is a time.
	Until
)

// Query is one statistic of one metric.
type Query struct {
	// Metric is the name of a histogram that coldtrace sends over OTLP, with dots, or of a metric that `coldtrace serve`
	// serves, without.
	Metric string
	Stat   Stat
	// Where are conditions that all have to be true.
	Where []Match
	// Per are the conditions of what Share counts.
	Per []Match
	// By are the labels that each have a line of their own.
	By []string
	// Name comes before the labels' values in the legend.
	Name string
}

// Match is a condition on a label: that it has the value, or, with Not, another. An empty value is that of an absent label.
type Match struct {
	Label string
	Not   bool
	Value string
}

// Spans are the traces that a panel lists.
type Spans struct {
	// Name is the name of the root span.
	Name string
	// Failed restricts them to those that failed.
	Failed bool
}

// variables are the labels that a dashboard can be restricted to.
var variables = []string{"endpoint_name", "model_name", "gpu_type", "region"}

// variables are those that the metric has as labels: another one would leave the panel empty.
func (q Query) variables() []string {
	return slices.DeleteFunc(slices.Clone(variables), func(v string) bool { return !slices.Contains(startup.LabelsOf(q.Metric), v) })
}
