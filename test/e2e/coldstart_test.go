// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/stage"
	"github.com/coldtrace/coldtrace/trace"
)

// expected is every span of a vLLM endpoint's start, by key, with its parent's key.
var expected = map[string]struct{ name, parent string }{
	"pod_startup":             {startup.SpanPodStartup, ""},
	"pod_pending":             {startup.SpanPodPending, "pod_startup"},
	"sandbox_creating":        {startup.SpanSandboxCreating, "pod_startup"},
	"image_pull:main":         {startup.SpanImagePull, "pod_startup"},
	"container_creating:main": {startup.SpanContainerCreating, "pod_startup"},
	"pod_ready":               {startup.SpanPodReady, "pod_startup"},
	"in_container_startup":    {startup.SpanStartup, "pod_startup"},
	"s5cmd_download":          {startup.SpanS5cmdDownload, "in_container_startup"},
	"vllm_init":               {startup.SpanVLLMInit, "in_container_startup"},
	"python_import":           {startup.SpanPythonImport, "vllm_init"},
	"model_load":              {startup.SpanModelLoad, "vllm_init"},
	"torch_compile":           {startup.SpanTorchCompile, "vllm_init"},
	"cuda_graph_capture":      {startup.SpanCUDAGraphCapture, "vllm_init"},
	"server_ready":            {startup.SpanServerReady, "in_container_startup"},
}

// tolerance is how far a span's edge may be from what was simulated.
const tolerance = 100 * time.Millisecond

func TestAColdStartIsOneTraceThatTellsWhatHappened(t *testing.T) {
	pod := begin(t, labelled, "cold-start", timedDownload(t))
	pod = await(t, pod, stage.Ready)
	uid := string(pod.UID)
	got := awaitTrace(t, uid, startup.SpanPodStartup, startup.SpanStartup, startup.SpanServerReady, startup.SpanPodReady)
	t.Log("\n" + trace.Waterfall(got, trace.Options{Width: 120}))

	nodes := map[string]*trace.Node{}
	parents := map[string]*trace.Node{}
	got.Walk(func(n *trace.Node) {
		nodes[n.ID] = n
		for _, c := range n.Children {
			parents[c.ID] = n
		}
	})

	t.Run("there is exactly one trace, and its id is the MD5 of the pod's UID", func(t *testing.T) {
		spans, err := on.Spans()
		if err != nil {
			t.Fatal(err)
		}
		ids := map[string]bool{}
		for _, s := range spans {
			if s.Get("k8s.pod.uid") == uid || s.Get("k8s.pod.name") == pod.Name && !s.Start.Before(pod.CreationTimestamp.Time) {
				ids[s.TraceID] = true
			}
		}
		if want := startup.MD5.TraceID(uid).String(); len(ids) != 1 || !ids[want] {
			t.Errorf("trace ids %v, want only %s", ids, want)
		}
		if len(got.Roots) != 1 || got.Conflicts != 0 {
			t.Errorf("%d roots and %d spans that came twice with different content, want 1 and 0", len(got.Roots), got.Conflicts)
		}
	})
	t.Run("every span is there, with the right id and parent", func(t *testing.T) {
		for key, want := range expected {
			n := nodes[startup.MD5.SpanID(uid, key).String()]
			if n == nil {
				t.Errorf("no span %s", key)
				continue
			}
			parent := ""
			if want.parent != "" {
				parent = startup.MD5.SpanID(uid, want.parent).String()
			}
			if n.Name != want.name || n.ParentID != parent {
				t.Errorf("span %s is named %s and its parent is %s, want %s and %s", key, n.Name, n.ParentID, want.name, parent)
			}
			if n.Failed {
				t.Errorf("span %s failed: %s", key, n.Reason())
			}
		}
	})
	t.Run("every span has the common attributes", func(t *testing.T) {
		for _, n := range nodes {
			checkAttributes(t, n, pod)
		}
	})
	t.Run("children lie inside their parents", func(t *testing.T) {
		for id, parent := range parents {
			c := nodes[id]
			if c.Start.Before(parent.Start) || c.End.After(parent.End) {
				t.Errorf("%s [%v, %v] is not inside %s [%v, %v]", c.Name, c.Start, c.End, parent.Name, parent.Start, parent.End)
			}
		}
	})
	t.Run("each simulated phase is within 100 ms of what was simulated", func(t *testing.T) {
		truth, late := simulated(t, pod)
		truth[startup.SpanS5cmdDownload] = downloadTimes(t, logs(t, pod))
		for name, want := range truth {
			if _, ok := expected[name]; !ok {
				continue
			}
			n := nodes[startup.MD5.SpanID(uid, name).String()]
			if n == nil {
				t.Errorf("no span for the simulated phase %s", name)
				continue
			}
			from, to := n.Start.Sub(want.start), n.End.Sub(want.end)
			t.Logf("%-20s start %+6.1f ms, end %+6.1f ms (simulator's timers %.1f ms)", name, ms(from), ms(to), ms(late))
			if from.Abs() > tolerance+late || to.Abs() > tolerance+late {
				t.Errorf("%s is [%v, %v], simulated were [%v, %v]", name, n.Start, n.End, want.start.UTC(), want.end.UTC())
			}
		}
		for _, name := range []string{"s5cmd_download", "vllm_init", "model_load", "torch_compile", "cuda_graph_capture", "server_ready"} {
			if _, ok := truth[name]; !ok {
				t.Errorf("the simulator does not tell %s", name)
			}
		}
	})
	t.Run("its log tells the same, within 100 ms", func(t *testing.T) {
		_, late := simulated(t, pod)
		compareWithLog(t, pod, got, tolerance+late)
	})
	t.Run("spans tell their size", func(t *testing.T) {
		for key, attributes := range map[string][]string{
			"s5cmd_download":       {startup.AttrBytes, startup.AttrThroughputMBps, startup.AttrTool},
			"in_container_startup": {startup.AttrTotalStartupSeconds},
			"image_pull:main":      {startup.AttrCached},
			"vllm_init":            {startup.AttrEngine},
		} {
			n := nodes[startup.MD5.SpanID(uid, key).String()]
			if n == nil {
				continue // said above
			}
			for _, a := range attributes {
				if n.Get(a) == nil {
					t.Errorf("%s lacks %s", key, a)
				}
			}
		}
	})
	t.Run("the histograms name no pod", func(t *testing.T) { checkMetrics(t, pod) })
}

func awaitTrace(t *testing.T, uid string, spans ...string) *trace.Trace {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := on.AwaitTrace(ctx, uid, stage.Has(spans...))
	if err != nil {
		if got != nil {
			t.Log("\n" + trace.Waterfall(got, trace.Options{Width: 120}))
		}
		t.Fatal(err)
	}
	return got
}

func checkAttributes(t *testing.T, n *trace.Node, pod *corev1.Pod) {
	t.Helper()
	if !strings.HasPrefix(n.Scope, startup.ScopeName) {
		return // the engine's own
	}
	want := map[string]any{
		startup.AttrEndpointName:     pod.Labels["endpoint_name"],
		startup.AttrModelName:        "llama-3-1-8b-instruct",
		startup.AttrGPUType:          "h100",
		startup.AttrNumGPUs:          int64(1),
		startup.AttrNamespace:        pod.Namespace,
		startup.AttrImageTag:         on.Tag(),
		startup.AttrRegion:           "us-west-2",
		"k8s.cluster.name":           "coldtrace-test",
		startup.AttrSamplingPriority: int64(startup.KeepPriority),
		"k8s.pod.uid":                string(pod.UID),
		"k8s.pod.name":               pod.Name,
		"k8s.namespace.name":         pod.Namespace,
	}
	if n.Name != startup.SpanPodPending {
		want[startup.AttrNodeName] = pod.Spec.NodeName
	}
	for key, value := range want {
		if got := n.Get(key); got != value {
			t.Errorf("%s of %s is %v, want %v", key, n.Name, got, value)
		}
	}
	if got, _ := n.Get(startup.AttrDurationSeconds).(float64); math.Abs(got-n.Duration().Seconds()) > 1e-6 {
		t.Errorf("duration_seconds of %s is %v, it took %v", n.Name, got, n.Duration())
	}
	if n.Get(startup.AttrTimeSource) == nil {
		t.Errorf("%s does not say where its times come from", n.Name)
	}
	for _, a := range n.Attributes {
		if a.Text() == "unknown" || a.Text() == "" {
			t.Errorf("%s of %s is %q; what is unknown is absent", a.Key, n.Name, a.Text())
		}
	}
}

// checkMetrics waits for the start's histograms in the collector's files.
func checkMetrics(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	want := []string{
		startup.MetricDownloadDuration, startup.MetricDownloadThroughput, startup.MetricVLLMInitDuration, startup.MetricTotalDuration,
		startup.MetricPodPendingDuration, startup.MetricImagePullDuration, startup.MetricPhaseDuration,
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for {
		lines := metricLines(t)
		missing := slices.DeleteFunc(slices.Clone(want), func(name string) bool { return strings.Contains(lines, `"`+name+`"`) })
		if len(missing) == 0 {
			for _, secret := range []string{string(pod.UID), pod.Name} {
				if strings.Contains(lines, secret) {
					t.Errorf("%q is on a metric", secret)
				}
			}
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the collector has no %v", missing)
		case <-look.C:
		}
	}
}

// metricLines are the collector's metric requests that come from us.
func metricLines(t *testing.T) string {
	t.Helper()
	files, err := on.TelemetryFiles()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for text := range strings.Lines(string(raw)) {
			var request struct{ ResourceMetrics json.RawMessage }
			if json.Unmarshal([]byte(text), &request) == nil && request.ResourceMetrics != nil {
				out.WriteString(text)
			}
		}
	}
	return out.String()
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
