// SPDX-License-Identifier: Apache-2.0

// Package pipeline sends what coldtrace's exporter sends through the real collector, configured as docs/dashboards.md
// advises, and reads what Prometheus would scrape.
package pipeline

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"

	"go.opentelemetry.io/otel/attribute"
	"sigs.k8s.io/yaml"

	"github.com/coldtrace/coldtrace/startup"
)

// pod is a start of an endpoint's pod that took as many seconds.
func pod(endpoint string, seconds int) (startup.Subject, startup.Span) {
	end := time.Now()
	return startup.Subject{PodUID: uuid.NewString(), Endpoint: startup.Endpoint{EndpointName: endpoint, ModelName: "m", GPUType: "h100", Region: "r"}},
		startup.Span{
			Name: startup.SpanPodStartup, Key: startup.SpanPodStartup, Start: end.Add(-time.Duration(seconds) * time.Second), End: end,
			Attributes: []attribute.KeyValue{attribute.String(startup.AttrOutcome, startup.OutcomeReady)},
		}
}

// at gives all points of a request the times.
func at(q *colmetricspb.ExportMetricsServiceRequest, start, end time.Time) {
	for _, r := range q.GetResourceMetrics() {
		for _, s := range r.GetScopeMetrics() {
			for _, m := range s.GetMetrics() {
				for _, p := range m.GetExponentialHistogram().GetDataPoints() {
					p.StartTimeUnixNano, p.TimeUnixNano = uint64(start.UnixNano()), uint64(end.UnixNano()) //nolint:gosec // until 2262
				}
			}
		}
	}
}

type request = *colmetricspb.ExportMetricsServiceRequest

func TestEveryStartCountsOnceInWhateverOrderPodsSend(t *testing.T) {
	const pods = 12
	c := start(t)
	now := time.Now()
	each := func(f func(i int) (start, end time.Duration)) func([]request) {
		return func(qs []request) {
			for i, q := range qs {
				start, end := f(i)
				at(q, now.Add(start), now.Add(end))
			}
		}
	}
	for name, arrange := range map[string]func([]request){
		"as they were measured": func([]request) {},
		"the other way round":   slices.Reverse[[]request],
		"at the same instant":   each(func(int) (time.Duration, time.Duration) { return 0, 0 }),
		"over the same time":    each(func(int) (time.Duration, time.Duration) { return -time.Minute, 0 }),
		"over times that overlap": each(func(i int) (time.Duration, time.Duration) {
			return -time.Duration(i) * time.Minute, time.Duration(i%3) * time.Second
		}),
		"the first node's clock hours ahead": each(func(i int) (time.Duration, time.Duration) {
			return time.Duration(9/(i+1)) * time.Hour, time.Duration(9/(i+1)) * time.Hour
		}),
		"the first again after fifteen minutes": each(func(i int) (time.Duration, time.Duration) {
			if i == pods-1 {
				return -15 * time.Minute, -15 * time.Minute
			}
			return 0, time.Duration(i) * time.Millisecond
		}),
	} {
		t.Run(name, func(t *testing.T) {
			var requests []request
			seconds := 0
			for i := range pods {
				subject, span := pod(name, i+1)
				requests = append(requests, measured(t, subject, span))
				seconds += i + 1
			}
			arrange(requests)
			for _, q := range requests {
				c.send(t, q)
			}
			c.settle(t)
			c.counts(t, name, pods, float64(seconds))
		})
	}
	t.Run("all at once", func(t *testing.T) {
		const many = 300
		requests := make(chan request, many)
		for range many {
			subject, span := pod("all at once", 2)
			requests <- measured(t, subject, span)
		}
		close(requests)
		done := make(chan struct{})
		for range 16 {
			go func() {
				defer func() { done <- struct{}{} }()
				for q := range requests {
					c.send(t, q)
				}
			}()
		}
		for range 16 {
			<-done
		}
		c.settle(t)
		c.counts(t, "all at once", many, 2*many)
	})
}

func TestEachStartIsADotThatLeadsToItsTrace(t *testing.T) {
	c := start(t)
	for i := range 3 { // the first of a series is not like the others
		subject, span := pod("dots", i+1)
		c.send(t, measured(t, subject, span))
		c.settle(t)
		for _, metric := range []string{"startup_total_duration_seconds", "startup_phase_duration_seconds"} {
			trace, id := subject.Hash.TraceID(subject.PodUID).String(), subject.Hash.SpanID(subject.PodUID, span.Key).String()
			until(t, fmt.Sprintf("%s has the trace of start %d", metric, i+1), func() bool {
				return slices.Contains(c.exemplars(t, metric, "dots"), exemplar{trace, id, span.Duration().Seconds()})
			})
		}
	}
	c.counts(t, "dots", 3, 6)
}

func TestTheMetricsOfOthersAreLeftAlone(t *testing.T) {
	c := start(t)
	subject, span := pod("other", 1)
	q := measured(t, subject, span)
	for _, s := range q.GetResourceMetrics()[0].GetScopeMetrics() {
		s.Scope.Name = "other"
	}
	c.send(t, q)
	c.settle(t)
	c.counts(t, "other", 0, 0)
}

func TestTheDocsAdviseWhatIsTested(t *testing.T) {
	text, err := os.ReadFile("../../docs/dashboards.md")
	if err != nil {
		t.Fatal(err)
	}
	_, advice, found := strings.Cut(string(text), "```yaml\nprocessors:")
	if !found {
		t.Fatal("no configuration in the docs")
	}
	advice, _, _ = strings.Cut("processors:"+advice, "```")
	tested, err := os.ReadFile(filepath.Join(source, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	type configuration struct {
		Processors, Exporters map[string]map[string]any
		Service               struct {
			Pipelines map[string]struct{ Receivers, Processors, Exporters []string }
		}
	}
	var a, b configuration
	for text, into := range map[string]*configuration{advice: &a, string(tested): &b} {
		if err := yaml.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
		delete(into.Processors, "batch") // any will do
		delete(into.Exporters["prometheus"], "endpoint")
		for name, p := range into.Service.Pipelines {
			p.Processors = slices.DeleteFunc(p.Processors, func(name string) bool { return name == "memory_limiter" })
			into.Service.Pipelines[name] = p
		}
	}
	maps.DeleteFunc(b.Processors, func(name string, _ map[string]any) bool { return a.Processors[name] == nil })
	maps.DeleteFunc(b.Exporters, func(name string, _ map[string]any) bool { return a.Exporters[name] == nil })
	for name := range b.Service.Pipelines {
		if _, ok := a.Service.Pipelines[name]; !ok {
			delete(b.Service.Pipelines, name)
		}
	}
	if len(a.Service.Pipelines) != 2 || !reflect.DeepEqual(a, b) {
		t.Errorf("the docs advise\n%+v\nwhat is tested is\n%+v", a, b)
	}
}
