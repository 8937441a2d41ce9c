// SPDX-License-Identifier: Apache-2.0

package watch_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/watch"
)

// series are those of a metric that have a label of this value; all without one.
func series(t *testing.T, r *prometheus.Registry, name string, labels ...string) (out []*dto.Metric) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.Metric {
			if family.GetName() == name && (len(labels) == 0 || slices.ContainsFunc(m.Label, func(l *dto.LabelPair) bool {
				return l.GetName() == labels[0] && l.GetValue() == labels[1]
			})) {
				out = append(out, m)
			}
		}
	}
	return out
}

// metric is the value of the first series, -1 if there is none.
func metric(t *testing.T, r *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	found := series(t, r, name, labels...)
	if len(found) == 0 {
		return -1
	}
	return found[0].GetCounter().GetValue() + found[0].GetGauge().GetValue()
}

// await polls the watcher's own metrics, which nothing announces.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	ctx := within(t, time.Minute)
	for !condition() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// The receiver is down while more starts end than memory has room for. What had to be shed is read from the API again once
// the receiver is back, and what no longer can be is counted.
func TestAnOutageOfTheReceiverCostsNoStartThatTheAPIServerStillKnows(t *testing.T) {
	const starts, room = 20, 5
	a, r, metrics := startAPI(t), newReceiver(t), prometheus.NewRegistry()
	stop := run(t, newWatcher(t, a.rest, r.address, metrics, func(c *watch.Config) { c.MaxWaiting = room }))
	scheduled(t, a, r, "seed") // the watcher is at work

	r.broken.Store(true)
	var pods []*scripted
	for i := range starts {
		s, err := a.create(t.Context(), podNamespace, fmt.Sprintf("outage-%d", i))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.play(t.Context(), func() {}); err != nil {
			t.Fatal(err)
		}
		pods = append(pods, s)
	}
	await(t, "an export tried again", func() bool { return metric(t, metrics, "coldtrace_watch_export_retries_total") > 0 })
	before := metric(t, metrics, "coldtrace_watch_spans_total", "result", "exported")

	r.broken.Store(false)
	for i, s := range pods {
		if !r.wait(within(t, 2*time.Minute), r.complete(s.trace())) {
			t.Fatalf("start %d did not come after the outage: %v", i, r.spans[s.trace()])
		}
	}
	await(t, "every span counted", func() bool {
		return metric(t, metrics, "coldtrace_watch_spans_total", "result", "exported")-before == float64(starts*len(simpleSpans))
	})
	rederived := metric(t, metrics, "coldtrace_watch_rederived_total")
	t.Logf("%d starts in an outage with room for %d: %v retries, %v read again", starts, room,
		metric(t, metrics, "coldtrace_watch_export_retries_total"), rederived)
	// One that was shed may be the one that tries whether the receiver is back, so a few are read more than once.
	if rederived < 1 {
		t.Errorf("no start was read again: there was room for %d", room)
	}
	if n := metric(t, metrics, "coldtrace_watch_starts_total", "outcome", "ready"); n != starts {
		t.Errorf("%v starts were counted as ready, want %d", n, starts)
	}
	for _, result := range []string{"dropped", "refused"} {
		if n := metric(t, metrics, "coldtrace_watch_spans_total", "result", result); n != 0 {
			t.Errorf("%v spans were %s", n, result)
		}
	}
	stop()
	if repeated, _ := r.repeats(); repeated != 0 {
		t.Errorf("%d spans came twice", repeated)
	}
}

// A pod that goes while its start is shed is beyond recovery: that is said, not hidden.
func TestAStartThatWasShedAndWhosePodIsGoneIsCountedAsDropped(t *testing.T) {
	const starts, room = 6, 1
	a, r, metrics := startAPI(t), newReceiver(t), prometheus.NewRegistry()
	run(t, newWatcher(t, a.rest, r.address, metrics, func(c *watch.Config) { c.MaxWaiting = room }))
	scheduled(t, a, r, "seed")
	r.broken.Store(true)
	zero := int64(0)
	var pods []*scripted
	for i := range starts {
		s, err := a.create(t.Context(), podNamespace, fmt.Sprintf("gone-%d", i))
		if err == nil {
			err = s.play(t.Context(), func() {})
		}
		if err != nil {
			t.Fatal(err)
		}
		pods = append(pods, s)
	}
	for _, s := range pods {
		err := a.client.CoreV1().Pods(podNamespace).Delete(t.Context(), s.pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &zero})
		if err != nil {
			t.Fatal(err)
		}
	}
	r.broken.Store(false)
	done := func() float64 {
		return metric(t, metrics, "coldtrace_watch_starts_total", "outcome", "ready") +
			metric(t, metrics, "coldtrace_watch_spans_total", "result", "dropped")
	}
	await(t, "every start told or counted", func() bool { return done() >= starts })
	if n := metric(t, metrics, "coldtrace_watch_spans_total", "result", "dropped"); n < 1 || done() != starts {
		t.Errorf("%v starts were dropped, and with those told there are %v of %d", n, done(), starts)
	}
}
