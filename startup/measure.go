// SPDX-License-Identifier: Apache-2.0

package startup

import (
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

// Measurements are the histogram values that a finished span stands for. startup.phase.duration_seconds has all of them,
// failures with the label reason; startup.total.duration_seconds has every start, by outcome. The other metrics are of
// phases that succeeded alone: a download that broke off after a second was not a quick one.
//
// A label whose value is unknown is absent. No label names a pod.
func Measurements(subject Subject, s Span) []Measurement {
	exemplar := subject.SpanContext(s.Key)
	if subject.SamplingPriority < 0 { // nobody will find the span
		exemplar = trace.SpanContext{}
	}
	own := func(metric string, value float64, labels ...string) Measurement {
		return Measurement{Metric: metric, Value: value, Labels: subject.labels(labels...), Span: exemplar}
	}
	seconds := s.Duration().Seconds()
	phase := own(MetricPhaseDuration, seconds, AttrEndpointName, AttrModelName, AttrGPUType, AttrRegion)
	phase.Labels = append(phase.Labels, attribute.String(LabelPhase, s.Name))
	if s.Failure != "" {
		phase.Labels = append(phase.Labels, attribute.String(AttrReason, s.Failure))
	}
	out := []Measurement{phase}
	switch {
	case s.Name == SpanStartup:
		total := own(MetricTotalDuration, seconds, AttrEndpointName, AttrModelName, AttrGPUType, AttrRegion)
		total.Labels = append(total.Labels, attribute.String(AttrOutcome, outcomeOf(s.Failure)))
		out = append(out, total)
	case s.Failure != "":
	case s.Name == SpanPodPending:
		out = append(out, own(MetricPodPendingDuration, seconds, AttrEndpointName, AttrNamespace))
	case s.Name == SpanImagePull:
		out = append(out, own(MetricImagePullDuration, seconds, AttrEndpointName, AttrImageTag))
	case s.Name == SpanVLLMInit:
		out = append(out, own(MetricVLLMInitDuration, seconds, AttrEndpointName, AttrModelName, AttrGPUType, AttrNumGPUs))
	case strings.HasSuffix(s.Name, "_download"):
		out = append(out, own(MetricDownloadDuration, seconds, AttrEndpointName, AttrModelName, AttrRegion))
		for _, a := range s.Attributes {
			if a.Key == AttrThroughputMBps {
				out = append(out, own(MetricDownloadThroughput, a.Value.AsFloat64(), AttrEndpointName, AttrModelName, AttrRegion))
			}
		}
	}
	return out
}

// outcomeOf is the outcome of a container's start whose span has the reason.
func outcomeOf(failure string) string {
	switch failure {
	case "":
		return OutcomeReady
	case ReasonTimedOut:
		return OutcomeTimedOut
	case ReasonTerminated:
		return OutcomeDeleted
	}
	return OutcomeFailed
}

func (s Subject) labels(names ...string) []attribute.KeyValue {
	out := make([]attribute.KeyValue, 0, len(names)+1)
	for _, a := range s.Attributes() {
		for _, name := range names {
			if string(a.Key) == name {
				out = append(out, a)
			}
		}
	}
	return out
}
