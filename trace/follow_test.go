// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/coldtrace/coldtrace/startup"
)

// ofPod is the trace of a pod that has loaded its model after so many seconds, and is ready at a second, or not yet (0).
func ofPod(t *testing.T, uid string, loaded, ready float64) *Trace {
	t.Helper()
	subject := progressSubject
	subject.PodUID = uid
	inside := []startup.Span{phaseOf("model_load", "model_load", startup.KeyInContainer, 1, loaded)}
	outside := []startup.Span{phaseOf("torch_compile", "torch_compile", startup.KeyInContainer, loaded, loaded+31)}
	if ready > 0 {
		inside = append(inside, phaseOf("torch_compile", "torch_compile", startup.KeyInContainer, loaded, loaded+20))
		outside = []startup.Span{rootOf(ready, "ready")}
	}
	spans := append(FromStart(subject, startup.ServiceWatcher, outside), FromStart(subject, startup.ServiceWrapper, inside)...)
	spans[0].Open = ready == 0
	traces := Build(spans)
	if len(traces) != 1 {
		t.Fatalf("%d traces", len(traces))
	}
	return traces[0]
}

func TestAStartThatIsFollowedSaysWhatItIsAtAndHowLongThatUsuallyTakes(t *testing.T) {
	others := []*Trace{
		ofPod(t, "7c0e2c1a-6d1b-4f2e-9c55-3d2b1a0e7f11", 30, 100), ofPod(t, "7c0e2c1a-6d1b-4f2e-9c55-3d2b1a0e7f12", 20, 90),
		ofPod(t, "7c0e2c1a-6d1b-4f2e-9c55-3d2b1a0e7f13", 40, 120),
	}
	going := ofPod(t, "7c0e2c1a-6d1b-4f2e-9c55-3d2b1a0e7f14", 50, 0)
	now := progressCreated.Add(81 * time.Second)
	for name, c := range map[string]struct {
		others []*Trace
		want   string
	}{
		"others of its owner":   {others, "torch_compile 31.0 s, usually 20.0 s; ready in about 39.0 s"},
		"nothing to compare to": {nil, "torch_compile 31.0 s"},
	} {
		if got := going.Now(c.others, now); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := others[0].Now(others, now); got != "" {
		t.Errorf("of one that is ready: %q", got)
	}
	if got := going.Now(others, now.Add(time.Hour)); got != "torch_compile 1h 01m, usually 20.0 s; ready in about 0 s" {
		t.Errorf("late: %q", got)
	}
}

func TestSilencesAndEarlierLaunchesAreTold(t *testing.T) {
	init := phaseOf("vllm_init", "vllm_init", startup.KeyInContainer, 5, 60)
	event := func(name string, of ...attribute.KeyValue) startup.Event {
		return startup.Event{Name: name, Time: progressCreated, Attributes: of}
	}
	init.Events = []startup.Event{
		event(startup.EventLaunch, attribute.Float64("duration_seconds", 12.3), attribute.String("outcome", "failed"), attribute.String("reason", "cuda_out_of_memory")),
		event(startup.EventSilence, attribute.Float64("duration_seconds", 31), attribute.String("phase", "torch_compile"), attribute.String("after", "dynamo")),
		event(startup.EventSilence, attribute.Float64("duration_seconds", 9)),
	}
	text, _ := drawn(t, []startup.Span{rootOf(70, "ready")}, []startup.Span{init})
	for _, want := range []string{"launched  before, failed after 12.3 s: cuda_out_of_memory", "silent    31.0 s in torch_compile after dynamo · 9.00 s"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
