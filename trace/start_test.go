// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"

	"github.com/coldtrace/coldtrace/startup"
)

func TestAStartThatWasNeverExportedIsDrawnAsIfItWere(t *testing.T) {
	subject := startup.Subject{PodUID: "0f0e2c1a-6d1b-4f2e-9c55-3d2b1a0e7f10", PodName: "p",
		Endpoint: startup.Endpoint{Namespace: "n", EndpointName: "e", GPUType: "h100", NumGPUs: 8}}
	at := func(s float64) startup.Span {
		x := span("", "", "", s, s+10)
		return startup.Span{Start: x.Start, End: x.End}
	}
	root, pull := at(0), at(2)
	root.Name, root.Key = startup.SpanPodStartup, startup.Key(startup.SpanPodStartup, "", 1)
	root.Events = []startup.Event{{Name: "container_terminated", Time: noon, Attributes: []attribute.KeyValue{attribute.Int("exit_code", 1)}}}
	pull.Name, pull.Key, pull.ParentKey, pull.Failure = startup.SpanImagePull, startup.Key(startup.SpanImagePull, "main", 1), root.Key, "ImagePullBackOff"
	pull.Attributes = []attribute.KeyValue{attribute.Bool(startup.AttrCached, false), attribute.StringSlice("list", []string{"a"})}

	spans := FromStart(subject, startup.ServiceWatcher, []startup.Span{root, pull})
	spans[0].Open = true
	built := Build(spans)
	if len(built) != 1 || shape(built[0]) != "pod_startup(image_pull)" || built[0].ID != startup.MD5.TraceID(subject.PodUID).String() {
		t.Fatalf("built %d traces, the first %s", len(built), shape(built[0]))
	}
	got := Waterfall(built[0], Options{Width: 140})
	for _, want := range []string{"e · 8 × h100", "pod n/p", "still starting, 12.0 s so far; image_pull failed last (ImagePullBackOff)", "going on", "✗ image_pull", "ImagePullBackOff"} {
		if !strings.Contains(got, want) {
			t.Errorf("the drawing lacks %q:\n%s", want, got)
		}
	}
	if e := spans[0].Events; len(e) != 1 || e[0].Attributes[0].Text() != "1" {
		t.Errorf("events %v", e)
	}
}
