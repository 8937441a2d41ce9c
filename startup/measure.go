// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Measurement is one value of one of the histograms.
type Measurement struct {
	Metric string
	Value  float64
	Labels []attribute.KeyValue
	// Span is what was measured: the value's exemplar. Not sampled, it is none.
	Span trace.SpanContext
}

// metricLabels are the labels of each metric, those of the subject first.
var metricLabels = map[string][]string{
	MetricPhaseDuration:      {AttrEndpointName, AttrModelName, AttrGPUType, AttrRegion, LabelPhase, AttrReason},
	MetricTotalDuration:      {AttrEndpointName, AttrModelName, AttrGPUType, AttrRegion, AttrOutcome, AttrReason, LabelAttempts},
	MetricPodPendingDuration: {AttrEndpointName, AttrNamespace},
	MetricImagePullDuration:  {AttrEndpointName, AttrImageTag},
	MetricVLLMInitDuration:   {AttrEndpointName, AttrModelName, AttrGPUType, AttrNumGPUs},
	MetricGroupDuration:      {AttrEndpointName, AttrModelName, AttrGPUType, LabelGroupSize, AttrOutcome},
	MetricGroupStraggler:     {AttrEndpointName, AttrModelName, AttrGPUType, LabelGroupSize, LabelPhase},
	MetricDownloadDuration:   {AttrEndpointName, AttrModelName, AttrRegion},
	MetricDownloadThroughput: {AttrEndpointName, AttrModelName, AttrRegion},
}

// LabelsOf are the labels that values of the metric can have, nil if it is none of ours.
func LabelsOf(metric string) []string { return metricLabels[metric] }

// Measurements are the histogram values that a finished span stands for. startup.phase.duration_seconds has all of them,
// failures with the label reason; startup.total.duration_seconds has every start of a pod from its creation, by outcome,
// attempts and, where it failed, reason. The other metrics are of phases that succeeded alone: a download that broke off
// after a second was not a quick one.
//
// A label whose value is unknown is absent. No label names a pod. A phase that goes on is none to measure yet.
func Measurements(subject Subject, s Span) []Measurement {
	if s.Name == SpanInProgress {
		return nil
	}
	m := measuring{subject: subject, span: &s}
	m.add(MetricPhaseDuration, s.Duration().Seconds())
	switch {
	case s.Name == SpanPodStartup:
		m.add(MetricTotalDuration, s.Duration().Seconds())
	case s.Failure != "":
	case s.Name == SpanPodPending:
		m.add(MetricPodPendingDuration, s.Duration().Seconds())
	case s.Name == SpanImagePull:
		m.add(MetricImagePullDuration, s.Duration().Seconds())
	case s.Name == SpanVLLMInit:
		m.add(MetricVLLMInitDuration, s.Duration().Seconds())
	case strings.HasSuffix(s.Name, DownloadSuffix):
		m.add(MetricDownloadDuration, s.Duration().Seconds())
		if v, ok := s.Attribute(AttrThroughputMBps); ok {
			m.add(MetricDownloadThroughput, v.AsFloat64())
		}
	}
	return m.out
}

type measuring struct {
	subject Subject
	span    *Span
	out     []Measurement
}

func (m *measuring) add(metric string, value float64) {
	names := metricLabels[metric]
	var labels []attribute.KeyValue
	for _, a := range append(m.subject.Attributes(), m.span.labels()...) {
		if slices.Contains(names, string(a.Key)) {
			labels = append(labels, a)
		}
	}
	exemplar := m.subject.SpanContext(m.span.Key)
	if m.subject.SamplingPriority < 0 { // nobody will find the span
		exemplar = trace.SpanContext{}
	}
	m.out = append(m.out, Measurement{Metric: metric, Value: value, Labels: labels, Span: exemplar})
}

// labels are what a span itself gives to metrics.
func (s *Span) labels() []attribute.KeyValue {
	out := []attribute.KeyValue{attribute.String(LabelPhase, s.Name)}
	if s.Failure != "" {
		out = append(out, attribute.String(AttrReason, string(s.Failure)))
	}
	if outcome, ok := s.Attribute(AttrOutcome); ok {
		out = append(out, attribute.String(AttrOutcome, outcome.AsString()), attribute.String(LabelAttempts, s.attempts(outcome.AsString())))
	}
	return out
}

// mostAttempts is the last number that has a value of its own in LabelAttempts.
const mostAttempts = 5

func (s *Span) attempts(outcome string) string {
	failed, _ := s.Attribute(AttrFailedAttempts)
	n := failed.AsInt64()
	if n == 0 || outcome != OutcomeFailed {
		n++ // the one that did not fail
	}
	if n >= mostAttempts {
		return strconv.Itoa(mostAttempts) + "+"
	}
	return strconv.FormatInt(n, 10)
}
