// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/coldtrace/coldtrace/startup"
)

var groupBegin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func second(seconds float64) time.Time {
	return groupBegin.Add(time.Duration(seconds * float64(time.Second)))
}

// pulled is the start of a worker whose image took some time to pull: it ran once that was there.
func pulled(making string, index, size int, created, pull float64) []*Span {
	s := subjectOf(making, index, size)
	ran := created + 2 + pull
	return FromStart(s, startup.ServiceWatcher, []startup.Span{
		stretch(startup.SpanPodStartup, "", created, ran, attribute.String(startup.AttrOutcome, startup.OutcomeStarted)),
		stretch(startup.SpanPodPending, startup.SpanPodStartup, created, created+1),
		stretch(startup.SpanImagePull, startup.SpanPodStartup, created+1, created+1+pull),
		stretch(startup.SpanContainerCreating, startup.SpanPodStartup, created+1+pull, ran),
		stretch(startup.SpanPodReady, startup.SpanPodStartup, ran, ran),
	})
}

// led is the start of a leader that waits for its Ray cluster until the given second, and is ready then.
func led(making string, size int, created, joined, ready float64, outcome string) []*Span {
	s := subjectOf(making, 0, size)
	root := stretch(startup.SpanPodStartup, "", created, ready, attribute.String(startup.AttrOutcome, outcome))
	if outcome == startup.OutcomeDeleted {
		root.Failure = startup.Reason(outcome)
	}
	out := FromStart(s, startup.ServiceWatcher, []startup.Span{
		root,
		stretch(startup.SpanPodPending, startup.SpanPodStartup, created, created+1),
		stretch(startup.SpanImagePull, startup.SpanPodStartup, created+1, created+13),
		stretch(startup.SpanContainerCreating, startup.SpanPodStartup, created+13, created+14),
		stretch(startup.SpanPodReady, startup.SpanPodStartup, created+14, ready),
	})
	return append(out, FromStart(s, startup.ServiceWrapper, []startup.Span{
		stretch(startup.SpanStartup, startup.SpanPodStartup, created+14, ready),
		stretch(startup.SpanRayClusterInit, startup.KeyInContainer, created+15, joined),
		stretch(startup.SpanVLLMInit, startup.KeyInContainer, joined, ready-5),
		stretch(startup.SpanModelLoad, startup.SpanVLLMInit, joined+20, ready-60),
	})...)
}

func stretch(name, parent string, from, to float64, attrs ...attribute.KeyValue) startup.Span {
	return startup.Span{Name: name, Key: startup.Key(name, "", 1), ParentKey: parent, Start: second(from), End: second(to), Attributes: attrs}
}

func subjectOf(making string, index, size int) startup.Subject {
	g := startup.Group{Key: "lws/llama/0", Part: "worker", Generation: "workers-" + making, Size: size, Index: &index, Role: startup.GroupWorker}
	s := startup.Subject{
		PodUID: fmt.Sprintf("00000000-0000-4000-8000-%s%011d", making, index), PodName: fmt.Sprintf("llama-0-%d", index), NodeName: fmt.Sprintf("node-%d", index),
		Endpoint: startup.Endpoint{Namespace: "models", EndpointName: "llama", ModelName: "llama-405b", GPUType: "h100", NumGPUs: 8},
	}
	if index == 0 {
		g.Part, g.Role, g.Generation, s.PodName = "leader", startup.GroupLeader, s.PodUID, "llama-0"
	}
	s.Group = g
	return s
}

// groupOf64 has a worker whose image came late.
func groupOf64() (spans []*Span) {
	spans = led("a", 64, 0, 330, 640, startup.OutcomeReady)
	for i := 1; i < 64; i++ {
		pull := 12 + float64(i%5)
		if i == 7 {
			pull = 312
		}
		spans = append(spans, pulled("a", i, 64, 1, pull)...)
	}
	return spans
}

// ofPart is the start of a pod of one of two workloads that an annotation joins to a group of four. owner is its making's, where
// that is not the pod's own.
func ofPart(part, name string, created float64, owner ...string) []*Span {
	s := subjectOf("a", 1, 4)
	s.PodUID, s.PodName = name, name
	s.Group = startup.Group{Key: "group/both", Part: part, Generation: append(owner, name)[0], Size: 4, Role: startup.GroupServer}
	return FromStart(s, startup.ServiceWatcher, []startup.Span{
		stretch(startup.SpanPodStartup, "", created, created+100, attribute.String(startup.AttrOutcome, startup.OutcomeReady)),
		stretch(startup.SpanPodReady, startup.SpanPodStartup, created+10, created+100),
	})
}

func TestAGroupIsDrawnOnOneAxis(t *testing.T) {
	traces := Collapse(Build(groupOf64()))
	if len(traces) != 1 {
		t.Fatalf("%d traces, want the group's alone", len(traces))
	}
	drawing := Waterfall(traces[0], Options{Width: 100})
	golden(t, "group-100.txt", drawing)
	for line := range strings.Lines(drawing) {
		if columns(strings.TrimSuffix(line, "\n")) > 100 {
			t.Errorf("longer than the terminal is wide: %s", line)
		}
	}
	for _, want := range []string{
		"held up by worker 7", "image_pull 5m 12s, others 14.0 s", "waited for worker 7", "worker 63", "ready after 10m 40s", "64 pods", "model_load",
	} {
		if !strings.Contains(drawing, want) {
			t.Errorf("the drawing lacks %q", want)
		}
	}
	page, err := Page(traces, traces[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"worker 7", "worker 63", "held up by worker 7", "image_pull 5m 12s", "waited for worker 7"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestGroupsAmongOtherStarts(t *testing.T) {
	for name, c := range map[string]struct {
		spans []*Span
		want  []string // in order, of the table: what a row says
	}{
		"each making is a row": {
			append(append(led("a", 2, 0, 20, 60, startup.OutcomeDeleted), pulled("a", 1, 2, 1, 3)...), append(led("b", 2, 100, 150, 300, startup.OutcomeReady), pulled("b", 1, 2, 101, 40)...)...),
			[]string{"ready", "deleted"},
		},
		"a pod that is there alone stays as it is": {
			pulled("a", 1, 2, 1, 3), []string{"models/llama-0-1"},
		},
		"a group of which one pod is not there yet goes on": {
			append(led("a", 3, 0, 20, 60, startup.OutcomeReady), pulled("a", 1, 3, 1, 3)...), []string{"still starting: no worker 2"},
		},
		"a rollout of one of two workloads leaves its pods as they are": {
			slices.Concat(ofPart("prefill", "p", 0), ofPart("prefill", "q", 0, "p"), ofPart("decode", "d", 1), ofPart("decode", "e", 1, "d"),
				ofPart("decode", "f", 500), ofPart("decode", "g", 501, "f")),
			[]string{"models/g", "models/f", "group/both"},
		},
		"pods of no group stay as they are": {
			alone(groupOf64()[:5]), []string{"models/llama-0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			traces := Collapse(Build(c.spans))
			table := Table(traces, nil, Options{Width: 200})
			rows := strings.Split(strings.TrimSpace(table), "\n")[1:]
			if len(rows) != len(c.want) {
				t.Fatalf("%d rows, want %d:\n%s", len(rows), len(c.want), table)
			}
			for i, want := range c.want {
				if !strings.Contains(rows[i], want) {
					t.Errorf("row %d lacks %q:\n%s", i, want, table)
				}
			}
		})
	}
}

// alone are spans of a pod that says of no group.
func alone(spans []*Span) []*Span {
	for _, s := range spans {
		s.Attributes = without(s.Attributes, func(a Attribute) bool { return strings.HasPrefix(a.Key, "group.") })
	}
	return spans
}

func TestAPodThatFailedIsNamedWithItsReason(t *testing.T) {
	spans := led("a", 2, 0, 20, 60, startup.OutcomeDeleted)
	s := subjectOf("a", 1, 2)
	root := stretch(startup.SpanPodStartup, "", 1, 50, attribute.String(startup.AttrOutcome, startup.OutcomeFailed))
	root.Failure = "OOMKilled"
	spans = append(spans, FromStart(s, startup.ServiceWatcher, []startup.Span{root})...)
	drawing := Waterfall(Collapse(Build(spans))[0], Options{Width: 100})
	if !strings.Contains(drawing, "failed after 1m 00s") || !strings.Contains(drawing, "worker 1 OOMKilled") {
		t.Error(drawing)
	}
}

func TestLinksAreReadAndWrittenAgain(t *testing.T) {
	subject := subjectOf("a", 1, 2)
	root := stretch(startup.SpanPodStartup, "", 0, 1)
	root.Links = []startup.Link{{PodName: "llama-0", Context: subjectOf("a", 0, 2).SpanContext(startup.SpanPodStartup)}}
	written := FromStart(subject, startup.ServiceWatcher, []startup.Span{root})
	var out bytes.Buffer
	if err := Write(&out, written); err != nil {
		t.Fatal(err)
	}
	read, problems, err := Read("x", &out)
	if err != nil || len(problems) > 0 || len(read) != 1 || len(read[0].Links) != 1 {
		t.Fatal(read, problems, err)
	}
	l := read[0].Links[0]
	if l.TraceID != root.Links[0].Context.TraceID().String() || l.ID != root.Links[0].Context.SpanID().String() || l.Attributes[0].Text() != "llama-0" {
		t.Errorf("%+v", l)
	}
}
