// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"iter"
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Span is one finished phase of a start.
type Span struct {
	Name      string
	Key       string // its identity within the trace, see Key
	ParentKey string // empty for the root
	Start     time.Time
	End       time.Time
	// Attributes of this span alone. Those of every span are the Subject's; duration_seconds, reason and
	// sampling.priority follow from the other fields.
	Attributes []attribute.KeyValue
	Events     []Event
	Links      []Link
	// Failure is why a phase failed, empty for one that did not.
	Failure Reason
}

// Duration is never negative.
func (s Span) Duration() time.Duration { return max(0, s.End.Sub(s.Start)) }

// sourceOrder has the sources of times, the most precise first.
var sourceOrder = []TimeSource{TimeObserved, TimeEventName, TimeEventTime, TimeLog, TimeMessageDuration, TimeStatus}

// From is the span with the sources of its two ends; the coarser counts for the whole.
func (s Span) From(start, end TimeSource) Span {
	if start == end {
		return s.with(AttrTimeSource, start)
	}
	coarser := sourceOrder[max(slices.Index(sourceOrder, start), slices.Index(sourceOrder, end))]
	return s.with(AttrTimeSource, coarser).with(AttrTimeSourceStart, start).with(AttrTimeSourceEnd, end)
}

func (s Span) with(key string, source TimeSource) Span {
	attr := attribute.String(key, string(source))
	s.Attributes = slices.Clone(s.Attributes)
	if i := slices.IndexFunc(s.Attributes, func(a attribute.KeyValue) bool { return string(a.Key) == key }); i >= 0 {
		s.Attributes[i] = attr
	} else {
		s.Attributes = append(s.Attributes, attr)
	}
	return s
}

// Get is the value of one of the span's own attributes; the zero Value if it has none of the key.
func (s Span) Get(key string) attribute.Value {
	v, _ := s.Attribute(key)
	return v
}

// Attribute finds one of the span's own attributes.
func (s Span) Attribute(key string) (attribute.Value, bool) {
	for _, a := range s.Attributes {
		if string(a.Key) == key {
			return a.Value, true
		}
	}
	return attribute.Value{}, false
}

// Attributes are figures by name, in the order of their names; of no map there are none, which is nil.
func Attributes(figures map[string]any) []attribute.KeyValue {
	if figures == nil {
		return nil
	}
	out := make([]attribute.KeyValue, 0, len(figures))
	for _, name := range slices.Sorted(maps.Keys(figures)) {
		switch v := figures[name].(type) {
		case float64:
			out = append(out, attribute.Float64(name, v))
		case []float64:
			out = append(out, attribute.Float64Slice(name, v))
		case int64:
			out = append(out, attribute.Int64(name, v))
		case string:
			out = append(out, attribute.String(name, v))
		}
	}
	return out
}

// Figures are attributes by name.
func Figures(attributes []attribute.KeyValue) map[string]any {
	out := make(map[string]any, len(attributes))
	for _, a := range attributes {
		out[string(a.Key)] = a.Value.AsInterface()
	}
	return out
}

// Link leads to the span of another pod's start with the same name.
type Link struct {
	Context trace.SpanContext
	PodName string
}

// Event is a point in time within a span.
type Event struct {
	Name       string
	Time       time.Time
	Attributes []attribute.KeyValue
}

// Endpoint is what can be told of a start's container before there is a pod. Empty fields are unknown.
type Endpoint struct {
	EndpointName string
	ModelName    string
	Namespace    string
	Container    string `json:"ContainerName"` // the target; so it is called in checkpoints
	ImageTag     string
	Region       string
	GPUType      string // short form: h100, a100, mi300x
	NumGPUs      int
	Group        Group
}

// Variables are the texts by the variables in which the wrapper hears of them. The GPU's type has one that is the pod's own.
func (e *Endpoint) Variables() iter.Seq2[string, *string] {
	return func(yield func(string, *string) bool) {
		for _, v := range [...]struct {
			name string
			text *string
		}{
			{EnvEndpointName, &e.EndpointName}, {EnvModelName, &e.ModelName}, {EnvNamespace, &e.Namespace},
			{EnvContainer, &e.Container}, {EnvImageTag, &e.ImageTag}, {EnvRegion, &e.Region},
		} {
			if !yield(v.name, v.text) {
				return
			}
		}
	}
}

// Subject is whose start a trace tells: the pod, and what is known of its endpoint. Empty fields are unknown and
// become no attribute.
type Subject struct {
	Endpoint
	PodUID       string
	PodName      string
	NodeName     string
	ClusterName  string
	InstanceType string // of the node, as the cloud names it
	Hash         Hash
	// SamplingPriority is KeepPriority if 0.
	SamplingPriority int
}

// Attributes are those of every span of the subject.
func (s Subject) Attributes() []attribute.KeyValue {
	attrs := make([]attribute.KeyValue, 0, 8)
	for _, a := range []struct{ key, value string }{
		{AttrEndpointName, s.EndpointName},
		{AttrModelName, s.ModelName},
		{AttrGPUType, s.GPUType},
		{AttrNodeName, s.NodeName},
		{AttrNamespace, s.Namespace},
		{AttrImageTag, s.ImageTag},
		{AttrRegion, s.Region},
	} {
		if a.value != "" {
			attrs = append(attrs, attribute.String(a.key, a.value))
		}
	}
	if s.NumGPUs > 0 {
		attrs = append(attrs, attribute.Int(AttrNumGPUs, s.NumGPUs))
	}
	return append(attrs, s.Group.attributes()...)
}

// SpanContext is that of the span with the key.
func (s Subject) SpanContext(key string) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: s.Hash.TraceID(s.PodUID), SpanID: s.Hash.SpanID(s.PodUID, key), TraceFlags: trace.FlagsSampled,
	})
}

// Later is the later of two times.
func Later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Earlier is the earlier of two times.
func Earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
