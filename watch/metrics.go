// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/podlog"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// metrics are what the watcher says of itself and of the starts it saw, on /metrics.
type metrics struct {
	watcher      *Watcher
	starts       *prometheus.CounterVec
	groups       *prometheus.CounterVec
	failures     *prometheus.CounterVec
	phases       *prometheus.HistogramVec
	spans        *prometheus.CounterVec
	measurements *prometheus.CounterVec
	retries      prometheus.Counter
	rederived    prometheus.Counter
	apiErrors    *prometheus.CounterVec
	lag          prometheus.Histogram
	checkpoint   *prometheus.CounterVec
	size         prometheus.Gauge
	endpoints    capped
	inFlight     *prometheus.Desc
	oldest       *prometheus.Desc
	waiting      prometheus.Collector
	unseen       *prometheus.CounterVec
	logRequests  *prometheus.CounterVec
	logBytes     prometheus.Counter
	notices      *prometheus.CounterVec
}

// maxEndpoints is how many values of endpoint_name get series of their own.
const maxEndpoints = 100

// overflow is the value that stands for all beyond the cap.
const overflow = "other"

func newMetrics(w *Watcher) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "coldtrace_watch_" + name, Help: help}, labels)
	}
	count := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "coldtrace_watch_" + name, Help: help})
	}
	m := &metrics{
		watcher: w,
		starts:  counter("starts_total", "Starts that ended, by outcome.", "outcome"),
		groups:  counter("groups_total", "Starts of several pods as one that ended, by outcome; dropped: members for want of memory.", "outcome"),
		failures: counter("failures_total", "Attempts that failed, and starts that failed without one, by the typed reason and, where it is known, its cause. A deletion is none.",
			"endpoint_name", "reason", "cause"),
		phases: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:                        "coldtrace_watch_phase_duration_seconds", // not the name of what goes out over OTLP, which may come to the same Prometheus
			Help:                        "Duration of the phases of a start that the watcher sees, by result: ok, failed, deleted where the pod's deletion ended it.",
			Buckets:                     phaseBuckets,
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
		}, []string{"phase", "endpoint_name", "result"}),
		spans:        counter("spans_total", "Spans, by what became of them: exported, refused by the receiver for good, dropped because their pod was gone after an outage.", "result"),
		measurements: counter("measurements_total", "Histogram values, by what became of them: exported, refused, dropped for want of memory.", "result"),
		retries:      count("export_retries_total", "Exports that failed and were tried again."),
		rederived:    count("rederived_total", "Starts read again from the API after an outage of the receiver."),
		apiErrors:    counter("api_errors_total", "Requests to the API server that failed.", "resource", "verb"),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "coldtrace_watch_lag_seconds",
			Help:    "From the end of a phase to the receiver's acceptance of its span.",
			Buckets: []float64{0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 300},
		}),
		checkpoint: counter("checkpoint_writes_total", "Writes of the checkpoint: ok, failed, truncated when there were too many starts for a ConfigMap.", "result"),
		size: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "coldtrace_watch_checkpoint_bytes", Help: "Size of the checkpoint that was written last.",
		}),
		waiting: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "coldtrace_watch_export_queue_length",
			Help: "Starts that wait to be exported, and histogram values that do.",
		}, w.queued),
		unseen: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "coldtrace_starts_unseen_inside_total",
			Help: "Starts of which nobody told what happened inside of the container, or only in part, by reason. Of logs-not-granted and logs-off the chart's logs.namespaces and the policy's logs would tell.",
		}, []string{"reason"}),
		logRequests: counter("log_requests_total", "Requests for the logs of containers, by what came of them: ok, or why not.", "result"),
		notices:     counter("pod_events_total", "Events on pods of how their starts went: written, limited because there were too many.", "result"),
		logBytes:    count("log_bytes_total", "Bytes of logs that were read."),
		inFlight:    prometheus.NewDesc("coldtrace_watch_starts_in_flight", "Starts going on now, by phase.", []string{"phase"}, nil),
		oldest:      prometheus.NewDesc("coldtrace_watch_oldest_start_seconds", "Age of the oldest start going on now, by phase.", []string{"phase"}, nil),
	}
	m.zero()
	return m
}

// zero begins every series whose labels are known: a rate needs the value before the first.
func (m *metrics) zero() {
	for _, o := range []pod.Outcome{pod.Ready, pod.Started, pod.Completed, pod.Failed, pod.Deleted, pod.TimedOut} {
		m.starts.WithLabelValues(string(o))
		m.groups.WithLabelValues(string(o))
	}
	m.groups.WithLabelValues("dropped")
	for counter, values := range map[*prometheus.CounterVec][]string{
		m.spans:        {"exported", "refused", "dropped"},
		m.measurements: {"exported", "refused", "dropped"},
		m.checkpoint:   {"ok", "failed", "truncated"},
		m.notices:      {"written", "limited"},
		m.logRequests:  {"ok", unseenUnanswered, unseenGone, unseenForbidden},
		m.unseen: {
			string(inject.ReasonLogsOff), string(inject.ReasonLogsForbidden), unseenUnanswered, unseenGone, unseenForbidden, unseenRotated,
			unseenSilent, unseenCut, unseenEngine, unseenRequests,
		},
	} {
		for _, value := range values {
			counter.WithLabelValues(value)
		}
	}
	for resource, verbs := range map[string][]string{
		"namespaces": {"list", "watch"}, "pods": {"list", "watch", "get"}, "events": {"list", "watch"}, "nodes": {"get"},
		"configmaps": {"get", "update"},
	} {
		for _, verb := range verbs {
			m.apiErrors.WithLabelValues(resource, verb)
		}
	}
}

func (m *metrics) register(r prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{
		m.starts, m.groups, m.failures, m.phases, m.spans, m.measurements, m.retries, m.rederived, m.apiErrors, m.lag, m.checkpoint, m.size, m.waiting, m.unseen, m.logRequests, m.logBytes, m.notices, inFlight{m},
	} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register the watcher's metrics: %w", err)
		}
	}
	return nil
}

// phaseBuckets are from 50 ms to two hours, each 15 % longer than the one before: a percentile read from them is off by no
// more. Who scrapes native histograms gets those instead.
var phaseBuckets = prometheus.ExponentialBucketsRange(0.05, 7200, 86)

// exported counts what the receiver accepted. Lag is told of phases that ended on this watcher's watch only.
func (m *metrics) exported(p *parcel, now, began time.Time) {
	m.spans.WithLabelValues("exported").Add(float64(len(p.spans)))
	if p.compared {
		return // the wrapper's are measured
	}
	cut := map[string]bool{}
	for i := range p.timeline.Spans {
		cut[p.timeline.Spans[i].Key] = p.timeline.Spans[i].Cut
	}
	for i := range p.spans {
		s := &p.spans[i]
		if s.Name == startup.SpanInProgress {
			continue
		}
		result := resultOf(s, cut[s.Key] || p.inside && s.Failure == startup.Reason(pod.Deleted))
		m.phases.WithLabelValues(s.Name, m.endpoints.value(p.subject.EndpointName), result).Observe(s.Duration().Seconds())
		if s.End.After(began) {
			m.lag.Observe(max(0, now.Sub(s.End).Seconds()))
		}
		if s.Name == startup.SpanPodStartup {
			m.starts.WithLabelValues(string(p.timeline.Outcome)).Inc()
		}
		if result == resultFailed && isFailure(s) {
			cause, _ := s.Attribute(startup.AttrCause)
			m.failures.WithLabelValues(m.endpoints.value(p.subject.EndpointName), string(s.Failure), cause.AsString()).Inc()
		}
	}
}

// heard counts a request for a log.
func (m *metrics) heard(a podlog.Answer, err error) {
	m.logBytes.Add(float64(a.Bytes))
	m.logRequests.WithLabelValues(cmp.Or(whyUnread(err), "ok")).Inc()
}

// seenInside counts a start whose inside nobody told, though there was one.
func (m *metrics) seenInside(s *start, t *pod.Timeline) {
	ran := slices.ContainsFunc(t.Spans, func(sp pod.Span) bool { return sp.Name == startup.SpanPodReady })
	switch {
	case !ran || s.insideBy == inject.ReasonWrapperTells || s.insideBy == inject.ReasonLogsAlways:
	case s.inside == nil:
		m.unseen.WithLabelValues(cmp.Or(string(s.insideBy), unseenGone)).Inc()
	case s.inside.unseen != "":
		m.unseen.WithLabelValues(s.inside.unseen).Inc()
	}
}

// Results of phases.
const (
	resultOK      = "ok"
	resultFailed  = "failed"
	resultDeleted = "deleted"
)

func resultOf(s *startup.Span, cut bool) string {
	switch {
	case s.Failure == "":
		return resultOK
	case cut:
		return resultDeleted
	}
	return resultFailed
}

// isFailure says whether a span that failed stands for a failure that no other one stands for: an attempt of the endpoint's
// container, or a start of which none failed.
func isFailure(s *startup.Span) bool {
	switch s.Name {
	case startup.SpanPodReady, startup.SpanContainerCreating:
		_, exited := s.Attribute(startup.AttrExitCode)
		return exited
	case startup.SpanPodStartup:
		_, attempts := s.Attribute(startup.AttrFailedAttempts)
		return !attempts
	}
	return false
}

// capped lets the first values of a label through.
type capped struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (c *capped) value(v string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	if !c.seen[v] {
		if len(c.seen) >= maxEndpoints {
			return overflow
		}
		c.seen[v] = true
	}
	return v
}

// inFlight counts the starts when somebody asks.
type inFlight struct{ m *metrics }

// Describe implements prometheus.Collector.
func (c inFlight) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.m.inFlight
	ch <- c.m.oldest
}

// Collect implements prometheus.Collector.
func (c inFlight) Collect(ch chan<- prometheus.Metric) {
	number, oldest := map[string]int{}, map[string]float64{}
	for _, phase := range []string{
		startup.SpanPodPending, startup.SpanSchedulingGated, startup.SpanNodeProvisioning, startup.SpanSandboxCreating,
		startup.SpanImagePull, startup.SpanInitContainer, startup.SpanContainerCreating, startup.SpanPodReady, startup.SpanRestartBackoff,
	} {
		number[phase], oldest[phase] = 0, 0
	}
	w := c.m.watcher
	w.mu.Lock()
	for _, s := range w.starts {
		if !s.ended && !s.parked && s.facts != nil && s.phase != "" {
			number[s.phase]++
			oldest[s.phase] = max(oldest[s.phase], w.cfg.Clock.Since(s.facts.Created()).Seconds())
		}
	}
	w.mu.Unlock()
	for phase := range number {
		ch <- prometheus.MustNewConstMetric(c.m.inFlight, prometheus.GaugeValue, float64(number[phase]), phase)
		ch <- prometheus.MustNewConstMetric(c.m.oldest, prometheus.GaugeValue, oldest[phase], phase)
	}
}
