// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/coldtrace/coldtrace/startup"
)

var (
	progressSubject = startup.Subject{
		PodUID: "7c0e2c1a-6d1b-4f2e-9c55-3d2b1a0e7f10", PodName: "llama-0",
		Endpoint: startup.Endpoint{Namespace: "models", Container: "main", EndpointName: "llama"},
	}
	progressCreated = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
)

// phaseOf is a span of a start, from and to so many seconds after the pod was created.
func phaseOf(name, key, parent string, from, to float64, attrs ...attribute.KeyValue) startup.Span {
	at := func(s float64) time.Time { return progressCreated.Add(time.Duration(s * float64(time.Second))) }
	return startup.Span{Name: name, Key: key, ParentKey: parent, Start: at(from), End: at(to), Attributes: attrs}
}

func rootOf(to float64, outcome string) startup.Span {
	return phaseOf(startup.SpanPodStartup, startup.SpanPodStartup, "", 0, to, attribute.String(startup.AttrOutcome, outcome))
}

func drawn(t *testing.T, watcher, wrapper []startup.Span) (string, *Trace) {
	t.Helper()
	spans := append(FromStart(progressSubject, startup.ServiceWatcher, watcher), FromStart(progressSubject, startup.ServiceWrapper, wrapper)...)
	traces := Build(spans)
	if len(traces) != 1 {
		t.Fatalf("%d traces", len(traces))
	}
	return Waterfall(traces[0], Options{Width: 120}), traces[0]
}

func TestAPhaseThatGoesOnIsDrawnUntilTheSpanComesThatTellsIt(t *testing.T) {
	stuck := func(mark string, seconds float64) startup.Span {
		return phaseOf(startup.SpanInProgress, "in_progress:image_pull:main@"+mark, "image_pull:main", 2, 2+seconds,
			attribute.String(startup.AttrPhase, startup.SpanImagePull), attribute.String(startup.AttrContainerName, "main"),
			attribute.String(startup.AttrWaitingReason, "ImagePullBackOff"), attribute.String(startup.AttrCause, "not_found"))
	}
	pending := phaseOf(startup.SpanPodPending, startup.SpanPodPending, startup.SpanPodStartup, 0, 1)
	text, _ := drawn(t, []startup.Span{pending, stuck("1m0s", 60), stuck("5m0s", 300)}, nil)
	for _, want := range []string{"still starting", "image_pull main (ImagePullBackOff: not_found)", "5m 00s", "going on"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, startup.SpanInProgress) {
		t.Errorf("the span that stands for the phase is drawn itself:\n%s", text)
	}
	pulled := phaseOf(startup.SpanImagePull, "image_pull:main", startup.SpanPodStartup, 2, 400, attribute.String(startup.AttrContainerName, "main"))
	text, tr := drawn(t, []startup.Span{pending, stuck("1m0s", 60), stuck("5m0s", 300), pulled, rootOf(420, "ready")}, nil)
	if strings.Contains(text, "going on") || strings.Contains(text, startup.SpanInProgress) || tr.Spans != 3 {
		t.Errorf("%d spans:\n%s", tr.Spans, text)
	}
}

func TestAPodThatNothingProbesIsReadyWhenItsServerAnswers(t *testing.T) {
	run := phaseOf(startup.SpanPodReady, startup.SpanPodReady, startup.SpanPodStartup, 2, 2)
	served := phaseOf(startup.SpanStartup, startup.KeyInContainer, startup.SpanPodStartup, 2, 14)
	failed := served
	failed.Failure = "cuda_out_of_memory"
	for name, tt := range map[string]struct {
		wrapper []startup.Span
		want    string
	}{
		"as the wrapper saw it":             {[]startup.Span{served}, "ready after 14.0 s"},
		"as far as Kubernetes knows":        {nil, "running after 2.00 s; no probe tells when it serves"},
		"not at all, if the server crashed": {[]startup.Span{failed}, "failed after 14.0 s: cuda_out_of_memory"},
	} {
		t.Run(name, func(t *testing.T) {
			text, tr := drawn(t, []startup.Span{run, rootOf(2, "started")}, tt.wrapper)
			if !strings.Contains(text, tt.want) {
				t.Errorf("no %q in\n%s", tt.want, text)
			}
			root := tr.root()
			for _, c := range root.Children {
				if c.End.After(root.End) && !c.Failed {
					t.Errorf("%s ends after its parent", c.Name)
				}
			}
		})
	}
}

func TestAReadinessProbeThatIsLateIsAPhase(t *testing.T) {
	ready := phaseOf(startup.SpanPodReady, startup.SpanPodReady, startup.SpanPodStartup, 2, 44)
	for name, tt := range map[string]struct {
		served float64
		want   bool
	}{"by half a minute": {14, true}, "by what status cuts off": {43.2, false}} {
		t.Run(name, func(t *testing.T) {
			text, _ := drawn(t, []startup.Span{ready, rootOf(44, "ready")},
				[]startup.Span{phaseOf(startup.SpanStartup, startup.KeyInContainer, startup.SpanPodStartup, 2, tt.served)})
			if got := strings.Contains(text, SpanReadinessWait); got != tt.want {
				t.Errorf("drawn: %v\n%s", got, text)
			}
		})
	}
}
