// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/group"
	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/advice"
)

// Start is what a report keeps of one. The trace itself may be forgotten.
type Start struct {
	Trace   string // its id
	Pod     string // NAMESPACE/NAME
	Began   time.Time
	Total   time.Duration // until it was ready, or failed, or until now
	Ended   Ended
	Outcome string   // in words
	Reasons []string // of what failed
	Phases  []Share  // what explains most of the time first
	Traits  []string // what else tells starts apart: "torch_compile compile_cache=hit"
	Facts   map[string]string
	Advice  []advice.Advice
	Drawing *trace.Drawing // nil: it is not drawn

	member *group.Member // of a group of pods; nil: of none
}

// Ended says how a start went.
type Ended string

// Those that went well alone are in percentiles: a start that broke off early was not a quick one.
const (
	Well   Ended = "ready"
	Failed Ended = "failed"
	Going  Ended = "starting"
)

// Share is the time of a start that a phase alone explains: all spans of the name, of all attempts.
type Share struct {
	Phase string
	Time  time.Duration
}

// dimensions are what starts can be grouped by, and the attributes that tell it.
var dimensions = []struct {
	name string
	keys []string
}{
	{"endpoint", []string{startup.AttrEndpointName}},
	{"model", []string{startup.AttrModelName}},
	{"gpu_type", []string{startup.AttrGPUType}},
	{"node", []string{startup.ResourceNodeName, startup.AttrNodeName}},
	{"image_tag", []string{startup.AttrImageTag}},
	{"engine_version", []string{startup.AttrEngineVersion}},
	{"region", []string{startup.AttrRegion}},
	{"namespace", []string{startup.ResourceNamespace, startup.AttrNamespace}},
}

// Dimensions are the names of what starts can be grouped by.
func Dimensions() (names []string) {
	for _, d := range dimensions {
		names = append(names, d.name)
	}
	return names
}

// Groupable says whether starts can be grouped by it.
func Groupable(by string) error {
	if !slices.Contains(Dimensions(), by) {
		return fmt.Errorf("starts can't be grouped by %q, only by %s", by, strings.Join(Dimensions(), ", "))
	}
	return nil
}

// Read are the starts of traces, the newest first. What is no start of a pod is left out, and traces are forgotten one by one as
// starts are made of them: of many, memory would not hold both. With draw, the newest keep what the page needs to draw them.
func Read(traces []*trace.Trace, draw bool) []Start {
	traces = slices.DeleteFunc(traces, func(t *trace.Trace) bool { return !t.IsStart() })
	trace.Collapse(traces) // tells those that waited for another pod of their group
	peers, out := advice.Of(traces), make([]Start, len(traces))
	trace.Each(len(traces), func(i int) {
		t := traces[i]
		traces[i] = nil
		out[i] = startOf(t)
		out[i].Advice = advice.For(t, peers)
		if draw && i < mostDrawn {
			out[i].Drawing = t.Drawing()
		}
	})
	return out
}

// startOf is what a report keeps of a start.
func startOf(t *trace.Trace) Start {
	outcome := t.Outcome()
	s := Start{
		Trace: t.ID, Pod: t.Name(), Began: t.Start, Total: t.Took(), Ended: Well, Outcome: outcome.String(), Reasons: outcome.Reasons(), Facts: map[string]string{},
	}
	switch {
	case outcome.Failed():
		s.Ended = Failed
	case outcome.InProgress():
		s.Ended = Going
	}
	if s.Ended == Failed && len(s.Reasons) == 0 {
		s.Reasons = []string{outcome.Word()} // deleted, timed out
	}
	for _, d := range dimensions {
		if value := t.Value(d.keys...); value != "" {
			s.Facts[d.name] = value
		}
	}
	if engine := t.Value(startup.AttrEngine); engine != "" {
		s.Facts["engine_version"] = strings.TrimSpace(engine + " " + s.Facts["engine_version"])
	}
	if m, ok := t.Member(); ok {
		s.member = &m
	}
	s.Phases = shares(t)
	t.Walk(func(n *trace.Node) {
		for _, a := range n.Attributes {
			if !slices.Contains(telling, a.Key) {
				continue
			}
			if trait := n.Phase() + " " + a.Key + "=" + a.Text(); !slices.Contains(s.Traits, trait) {
				s.Traits = append(s.Traits, trait)
			}
		}
	})
	return s
}

// telling are attributes whose values say why a phase was quick or slow.
var telling = []string{startup.AttrCached, "compile_cache"}

// shares are the phases of a start by name. What no phase explains is one, too.
func shares(t *trace.Trace) (out []Share) {
	add := func(name string, d time.Duration) {
		if i := slices.IndexFunc(out, func(s Share) bool { return s.Phase == name }); i >= 0 {
			out[i].Time += d
		} else if d > 0 {
			out = append(out, Share{name, d})
		}
	}
	for _, n := range t.Phases() {
		add(n.Phase(), n.Exclusive)
	}
	add(gaps, t.Uncovered())
	slices.SortStableFunc(out, func(a, b Share) int { return cmp.Compare(b.Time, a.Time) })
	return slices.Clone(out) // there are many
}

// gaps is the time in which no phase was under way.
const gaps = "(gaps)"

// of is the time that a phase explains, and whether the start had such a phase.
func (s *Start) of(phase string) (time.Duration, bool) {
	for _, p := range s.Phases {
		if p.Phase == phase {
			return p.Time, true
		}
	}
	return 0, false
}
