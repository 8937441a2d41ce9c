// SPDX-License-Identifier: Apache-2.0

package group

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/coldtrace/coldtrace/startup"
)

// face is the member by whose names the group goes: the first that is an endpoint, with what it does not know from the others.
// False: none is one.
func (s *Start) face() (Member, bool) {
	var out Member
	for _, m := range s.Members {
		if m.Untraced {
			continue
		}
		if out.UID == "" {
			out = *m
		}
		out.Endpoint, out.Model, out.GPU = cmp.Or(out.Endpoint, m.Endpoint), cmp.Or(out.Model, m.Model), cmp.Or(out.GPU, m.GPU)
	}
	return out, out.UID != ""
}

// Measurements are the histogram values that a start which is over stands for. None of its labels names a pod.
func (s *Start) Measurements() []startup.Measurement {
	of, ok := s.face()
	if !ok || s.Outcome == "" {
		return nil
	}
	var labels []attribute.KeyValue
	for _, l := range []struct{ key, value string }{
		{startup.AttrEndpointName, of.Endpoint}, {startup.AttrModelName, of.Model}, {startup.AttrGPUType, of.GPU},
		{startup.LabelGroupSize, strconv.Itoa(s.Size)},
	} {
		if l.value != "" {
			labels = append(labels, attribute.String(l.key, l.value))
		}
	}
	measure := func(metric string, value time.Duration, m *Member, label, of string) startup.Measurement {
		out := startup.Measurement{Metric: metric, Value: max(0, value.Seconds()), Labels: slices.Clone(labels)}
		if of != "" {
			out.Labels = append(out.Labels, attribute.String(label, of))
		}
		if m.Sampled && !m.Untraced {
			out.Span = startup.Subject{PodUID: m.UID, Hash: m.Hash}.SpanContext(startup.SpanPodStartup)
		}
		return out
	}
	out := []startup.Measurement{measure(startup.MetricGroupDuration, s.End.Sub(s.Begin), &of, startup.AttrOutcome, s.Outcome)}
	if late, ok := s.Straggler(); ok && s.Well() {
		out = append(out, measure(startup.MetricGroupStraggler, late.Behind, late.Member, startup.LabelPhase, late.Phase))
	}
	return out
}
