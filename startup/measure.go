// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"
)

// Measurement is one value of one of the histograms.
type Measurement struct {
	Metric string
	Value  float64
	Labels []attribute.KeyValue
}

// Measurements are the histogram values that a finished span stands for: always startup.phase.duration_seconds, and
// the phase's own metric where it has one. A label whose value is unknown is absent. No label names a pod.
// Failed phases are measured by their own metric too, so that a start that died after an hour is not invisible; the label
// reason, which only failures have, keeps them apart where they would spoil a percentile.
func Measurements(subject Subject, s Span) []Measurement {
	own := func(metric string, value float64, labels ...string) Measurement {
		return Measurement{Metric: metric, Value: value, Labels: subject.labels(labels...)}
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
		out = append(out, own(MetricTotalDuration, seconds, AttrEndpointName, AttrModelName, AttrGPUType, AttrRegion))
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
