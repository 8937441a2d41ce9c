// SPDX-License-Identifier: Apache-2.0

package watch_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/freeport"
	"github.com/coldtrace/coldtrace/watch"
)

// wrapped is what admission writes on a pod whose start the wrapper tells.
var wrapped = map[string]string{"coldtrace.io/status": `{"version":"1","outcome":"injected","features":["env","wrapper"]}`}

// hearing is a watcher that may read logs and writes Events, and everything that it said.
type hearing struct {
	*api
	r       *receiver
	metrics *prometheus.Registry

	mu   sync.Mutex
	said strings.Builder // its log
}

func newHearing(t *testing.T, a *api, change ...func(*watch.Config)) *hearing {
	t.Helper()
	h := &hearing{api: a, r: newReceiver(t), metrics: prometheus.NewRegistry()}
	broadcaster := record.NewBroadcaster()
	t.Cleanup(broadcaster.Shutdown)
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: a.client.CoreV1().Events("")})
	log := funcr.New(func(_, args string) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.said.WriteString(args + "\n")
	}, funcr.Options{Verbosity: 9})
	run(t, newWatcher(t, a.rest, h.r.address, h.metrics, append([]func(*watch.Config){func(c *watch.Config) {
		c.LogNamespaces, c.LogAnswer, c.Log = []string{"*"}, 2*time.Second, log
		c.Events = broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "coldtrace"})
	}}, change...)...))
	return h
}

// pod is one whose start a test plays.
func (h *hearing) pod(t *testing.T, name string, change func(*corev1.Pod)) *scripted {
	t.Helper()
	s, err := h.createAs(t.Context(), podNamespace, name, change)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// told waits for a span of a start.
func (h *hearing) told(t *testing.T, s *scripted, name string) *tracepb.Span {
	t.Helper()
	if !h.r.wait(within(t, 90*time.Second), func() bool { return h.r.named(s.trace(), name) != nil }) {
		t.Fatalf("%s: %s did not come", s.pod.Name, name)
	}
	h.r.mu.Lock()
	defer h.r.mu.Unlock()
	return h.r.named(s.trace(), name)
}

// names are the spans of a start, sorted.
func (h *hearing) names(s *scripted) (names []string) {
	h.r.mu.Lock()
	defer h.r.mu.Unlock()
	for _, copies := range h.r.spans[s.trace()] {
		names = append(names, copies[0].Name)
	}
	slices.Sort(names)
	return names
}

func textOf(s *tracepb.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

// argsOnly is a pod whose command is its image's: the wrapper can't get in.
func argsOnly(p *corev1.Pod) {
	p.Spec.Containers[0].Command, p.Spec.Containers[0].Args = nil, []string{"--model", "m"}
	p.Spec.Containers[0].Image = "vllm/vllm-openai:v0.19.0"
}

// unprobed is one that nothing asks whether it serves.
func unprobed(p *corev1.Pod) {
	argsOnly(p)
	p.Spec.Containers[0].ReadinessProbe = nil
}

// insideSpans are what ofVLLM tells.
var insideSpans = []string{startup.SpanStartup, startup.SpanVLLMInit, startup.SpanModelLoad, startup.SpanTorchCompile, startup.SpanServerReady}

// begins plays a start until the container runs, and what it writes then.
func (s *scripted) begins(t *testing.T, lines ...string) {
	t.Helper()
	for _, step := range []func() error{
		func() error { return s.bind(t.Context()) },
		func() error {
			return s.status(t.Context(), false, corev1.PodReadyToStartContainers, corev1.PodInitialized)
		},
		func() error {
			return s.event(t.Context(), "Pulled", `Container image "vllm/vllm-openai:v0.19.0" already present on machine`, "main")
		},
		func() error {
			err := s.event(t.Context(), "Started", "Container started", "main")
			s.says(s.started.Time, lines...) // before anybody can know that there is something to read
			return err
		},
		func() error { return s.status(t.Context(), true) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *scripted) isReady(t *testing.T) {
	t.Helper()
	if err := s.status(t.Context(), true, corev1.ContainersReady, corev1.PodReady); err != nil {
		t.Fatal(err)
	}
}

// restarts ends the container with a code and starts it again.
func (s *scripted) restarts(t *testing.T, code int32) {
	t.Helper()
	s.a.logs.mu.Lock()
	s.a.logs.logs[s.key()+"?previous"] = s.a.logs.logs[s.key()]
	delete(s.a.logs.logs, s.key())
	s.a.logs.mu.Unlock()
	p, err := s.a.client.CoreV1().Pods(s.pod.Namespace).Get(t.Context(), s.pod.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := &p.Status.ContainerStatuses[0]
	now := metav1.NewTime(time.Now().Truncate(time.Second).Add(time.Second))
	c.LastTerminationState = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Error", StartedAt: c.State.Running.StartedAt, FinishedAt: now}}
	s.started = metav1.NewTime(now.Add(2 * time.Second))
	c.State, c.RestartCount = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: s.started}}, c.RestartCount+1
	if _, err := s.a.client.CoreV1().Pods(s.pod.Namespace).UpdateStatus(t.Context(), p, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// notices are the Events on a pod of how its start went.
func (h *hearing) notices(t *testing.T, s *scripted, n int) (texts []string) {
	t.Helper()
	ctx := within(t, time.Minute)
	list := func() []corev1.Event {
		events, err := h.client.CoreV1().Events(podNamespace).List(ctx, metav1.ListOptions{
			FieldSelector: "reason=" + watch.NoticeReason + ",involvedObject.uid=" + string(s.pod.UID),
		})
		if err != nil {
			t.Fatal(err)
		}
		return events.Items
	}
	await(t, "the events of "+s.pod.Name, func() bool { return len(list()) >= n })
	for _, e := range list() {
		texts = append(texts, e.Type+" "+e.Message)
	}
	return texts
}

func TestAStartIsToldInsideByItsLog(t *testing.T) {
	h := newHearing(t, startAPI(t))

	t.Run("where the wrapper is not in", func(t *testing.T) {
		s := h.pod(t, "args-only", argsOnly)
		s.begins(t, ofVLLM...)
		s.isReady(t)
		root := h.told(t, s, startup.SpanPodStartup)
		got := h.names(s)
		for _, name := range insideSpans {
			if !slices.Contains(got, name) {
				t.Errorf("no %s among %v", name, got)
			}
		}
		start := h.told(t, s, startup.SpanStartup)
		if want := startup.MD5.SpanID(string(s.pod.UID), "in_container_startup"); hex.EncodeToString(start.SpanId) != want.String() || hex.EncodeToString(start.ParentSpanId) != hex.EncodeToString(root.SpanId) {
			t.Errorf("startup is %x under %x", start.SpanId, start.ParentSpanId)
		}
		if source := textOf(h.told(t, s, startup.SpanTorchCompile), startup.AttrTimeSource); source != string(startup.TimeLog) {
			t.Errorf("its times are from %q", source)
		}
		if n := h.logs.requests(s); n != 1 {
			t.Errorf("%d requests", n)
		}
		if texts := h.notices(t, s, 1); len(texts) != 1 || !strings.HasPrefix(texts[0], "Normal ready after ") || !strings.HasSuffix(texts[0], "; trace "+s.trace()) {
			t.Errorf("events: %q", texts)
		}
	})
	t.Run("which the phases' histograms show", func(t *testing.T) {
		if n := count(t, h.metrics, "coldtrace_watch_phase_duration_seconds", "phase", startup.SpanVLLMInit); n != 1 {
			t.Errorf("%v of vllm_init", n)
		}
	})
	t.Run("and not where it is", func(t *testing.T) {
		s := h.pod(t, "wrapped", func(p *corev1.Pod) { p.Annotations = wrapped })
		s.begins(t, ofVLLM...)
		s.isReady(t)
		h.told(t, s, startup.SpanPodStartup)
		if got := h.names(s); slices.Contains(got, startup.SpanStartup) || h.logs.requests(s) != 0 {
			t.Errorf("%v, %d requests", got, h.logs.requests(s))
		}
	})
	t.Run("and not where an annotation has it off", func(t *testing.T) {
		before := metric(t, h.metrics, "coldtrace_starts_unseen_inside_total", "reason", "logs-off")
		s := h.pod(t, "off", func(p *corev1.Pod) { argsOnly(p); p.Annotations = map[string]string{"coldtrace.io/logs": "off"} })
		s.begins(t, ofVLLM...)
		s.isReady(t)
		h.told(t, s, startup.SpanPodStartup)
		if got := h.names(s); slices.Contains(got, startup.SpanStartup) || h.logs.requests(s) != 0 {
			t.Errorf("%v, %d requests", got, h.logs.requests(s))
		}
		await(t, "it to be counted", func() bool {
			return metric(t, h.metrics, "coldtrace_starts_unseen_inside_total", "reason", "logs-off") == before+1
		})
	})
	t.Run("beside the wrapper under ids of its own, unmeasured", func(t *testing.T) {
		before := count(t, h.metrics, "coldtrace_watch_phase_duration_seconds", "phase", startup.SpanVLLMInit)
		s := h.pod(t, "compared", func(p *corev1.Pod) {
			p.Annotations = map[string]string{"coldtrace.io/status": wrapped["coldtrace.io/status"], "coldtrace.io/logs": "always"}
		})
		s.begins(t, ofVLLM...)
		s.isReady(t)
		h.told(t, s, startup.SpanPodStartup)
		if id := startup.MD5.SpanID(string(s.pod.UID), "log:in_container_startup"); hex.EncodeToString(h.told(t, s, startup.SpanStartup).SpanId) != id.String() {
			t.Error("startup has the wrapper's id")
		}
		if n := count(t, h.metrics, "coldtrace_watch_phase_duration_seconds", "phase", startup.SpanVLLMInit); n != before {
			t.Errorf("%v of vllm_init, before %v", n, before)
		}
	})
	t.Run("each attempt, with what its log says of its failure", func(t *testing.T) {
		s := h.pod(t, "crashes", func(p *corev1.Pod) {
			argsOnly(p)
			c := &p.Spec.Containers[0]
			c.Args, c.Env = append(c.Args, "--api-key", secret), []corev1.EnvVar{{Name: "HF_TOKEN", Value: secret}}
		})
		s.begins(t, slices.Concat(ofVLLM[:4], withSecrets, []string{"(EngineCore pid=9) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB " + secret})...)
		s.restarts(t, 1)
		s.says(s.started.Time, ofVLLM...)
		pause(time.Until(s.started.Add(time.Second)))
		s.isReady(t)
		h.told(t, s, startup.SpanPodStartup)
		reasons := map[string]string{}
		h.r.wait(t.Context(), func() bool {
			for _, copies := range h.r.spans[s.trace()] {
				if sp := copies[0]; sp.Name == startup.SpanStartup {
					reasons[hex.EncodeToString(sp.SpanId)] = textOf(sp, startup.AttrReason)
				}
			}
			return true
		})
		first, second := startup.MD5.SpanID(string(s.pod.UID), "in_container_startup").String(), startup.MD5.SpanID(string(s.pod.UID), "in_container_startup#2").String()
		if len(reasons) != 2 || reasons[first] != "cuda_out_of_memory" || reasons[second] != "" {
			t.Errorf("%v", reasons)
		}
		if n := h.logs.requests(s); n != 2 { // one each: the first one's log says why
			t.Errorf("%d requests", n)
		}
		texts := h.notices(t, s, 2)
		if len(texts) != 2 || !slices.ContainsFunc(texts, func(x string) bool {
			return strings.HasPrefix(x, "Warning attempt 1 failed after ") && strings.Contains(x, "(cuda_out_of_memory)")
		}) {
			t.Errorf("events: %q", texts)
		}
	})
	for name, change := range map[string]func(*corev1.Pod){
		"and why the whole start failed":                                           argsOnly,
		"and nothing but that beside the wrapper, which tells the watcher nothing": func(p *corev1.Pod) { p.Annotations = wrapped },
	} {
		t.Run(name, func(t *testing.T) {
			s := h.pod(t, fmt.Sprint("fails-", len(name)), change)
			s.begins(t, append(slices.Clone(ofVLLM[:4]), "(EngineCore pid=9) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB")...)
			s.restarts(t, 1)
			await(t, "the log to be read", func() bool { return h.logs.requests(s) > 0 })
			pause(time.Until(s.started.Add(time.Second)))
			s.remove(t)
			root := h.told(t, s, startup.SpanPodStartup)
			if why := textOf(root, startup.AttrReason); why != "cuda_out_of_memory" || textOf(root, startup.AttrOutcome) != startup.OutcomeFailed {
				t.Errorf("%s, %s", textOf(root, startup.AttrOutcome), why)
			}
			if texts := h.notices(t, s, 2); !slices.ContainsFunc(texts, func(x string) bool {
				return strings.Contains(x, "Warning failed after ") && strings.Contains(x, "(cuda_out_of_memory)")
			}) {
				t.Errorf("events: %q", texts)
			}
			if inside := slices.Contains(h.names(s), startup.SpanStartup); inside == (s.pod.Annotations != nil) {
				t.Errorf("%v", h.names(s))
			}
		})
	}
	t.Run("whatever else it says", func(t *testing.T) {
		var starts []*scripted
		for i, lines := range [][]string{
			withSecrets, // of no engine
			slices.Concat(ofSGLang[:1], withSecrets, ofSGLang[1:]), slices.Concat(ofTGI[:1], withSecrets, ofTGI[1:]), slices.Concat(withSecrets, ofVLLM, withSecrets),
		} {
			s := h.pod(t, "secrets-"+strconv.Itoa(i), argsOnly)
			s.begins(t, lines...)
			s.isReady(t)
			starts = append(starts, s)
		}
		for _, s := range starts {
			h.told(t, s, startup.SpanPodStartup)
			h.notices(t, s, 1)
		}
	})
	t.Run("and nothing of a line goes anywhere", func(t *testing.T) { h.silentOf(t, secret) })
}

// withSecrets are lines of every kind that people find secrets in: what a shell and Python print, structured logs, tracebacks,
// downloads, progress bars, access logs.
var withSecrets = []string{
	"+ export HF_TOKEN=" + secret,
	"HF_TOKEN=" + secret + " AWS_SECRET_ACCESS_KEY=" + secret,
	`{"time":"2026-03-01T06:00:10Z","level":"INFO","message":"token ` + secret + `","args":{"api_key":"` + secret + `"},"logger":"vllm.` + secret + `"}`,
	"INFO 03-01 06:00:10 [" + secret + ".py:1] non-default args: {'api_key': '" + secret + "', 'hf_token': '" + secret + "'}",
	"cp s3://models/" + secret + "/model-00001.safetensors model_files/" + secret,
	`ERROR "cp s3://models/` + secret + `": AccessDenied: key ` + secret + " status code: 403",
	"Downloading shards: https://user:" + secret + "@hub.example.com/a/b?token=" + secret,
	"\x1b[32m" + secret + "\x1b[0m loading \rLoading safetensors checkpoint shards:  50% Completed | 1/2 [00:01<00:01, " + secret + "]",
	"Traceback (most recent call last):",
	`  File "/opt/` + secret + `/engine.py", line 7, in load_` + secret,
	`    client = Client(password="` + secret + `")`,
	"ValueError: the key " + secret + " was refused",
	"During handling of the above exception, another exception occurred:",
	"requests.exceptions.HTTPError: 401 for url: https://hub.example.com/?token=" + secret,
	"usage: vllm serve [--api-key " + secret + "]",
	`INFO:     10.0.0.1:55 - "GET /v1/models?key=` + secret + ` HTTP/1.1" 200 OK`,
	"Set-Cookie: session=" + secret,
	secret,
}

// silentOf looks for a text in everything that left the watcher.
func (h *hearing) silentOf(t *testing.T, text string) {
	t.Helper()
	spans := 0
	h.r.wait(t.Context(), func() bool {
		for _, all := range h.r.spans {
			for _, copies := range all {
				spans++
				if strings.Contains(fmt.Sprint(copies), text) {
					t.Errorf("a span holds it: %v", copies[0])
				}
			}
		}
		return true
	})
	if spans < 20 {
		t.Errorf("only %d spans to look at", spans)
	}
	h.r.wait(t.Context(), func() bool {
		for metric, values := range h.r.values {
			for _, v := range values {
				if strings.Contains(v.labels, text) {
					t.Errorf("a value of %s holds it: %s", metric, v.labels)
				}
			}
		}
		return true
	})
	families, err := h.metrics.Gather()
	if err != nil || strings.Contains(fmt.Sprint(families), text) {
		t.Errorf("a metric holds it, or can't be read: %v", err)
	}
	h.mu.Lock()
	if strings.Contains(h.said.String(), text) {
		t.Errorf("the log holds it: %s", h.said.String())
	}
	h.mu.Unlock()
	events, err := h.client.CoreV1().Events("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range events.Items {
		if strings.Contains(events.Items[i].String(), text) {
			t.Errorf("an event holds it: %s", events.Items[i].Message)
		}
	}
	maps, err := h.client.CoreV1().ConfigMaps("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range maps.Items {
		if strings.Contains(maps.Items[i].String(), text) {
			t.Errorf("ConfigMap %s holds it", maps.Items[i].Name)
		}
	}
}

// What nothing probes is Ready as soon as it runs. Its start goes on until its log says that it serves.
func TestAStartThatNothingProbesEndsWhenItsLogSaysThatItServes(t *testing.T) {
	h := newHearing(t, startAPI(t), func(c *watch.Config) { c.Clock = later{by: 40 * time.Second} }) // it looks after half a minute
	t.Run("a server", func(t *testing.T) {
		s := h.pod(t, "server", unprobed)
		s.begins(t, ofVLLM...)
		s.isReady(t)
		root := h.told(t, s, startup.SpanPodStartup)
		served := s.started.Add(time.Duration(len(ofVLLM)) * 5 * time.Millisecond).UnixNano()
		if textOf(root, startup.AttrOutcome) != startup.OutcomeReady || int64(root.EndTimeUnixNano) != served { //nolint:gosec // a time
			t.Errorf("%s, %s after its log says", textOf(root, startup.AttrOutcome), time.Duration(int64(root.EndTimeUnixNano)-served)) //nolint:gosec // a time
		}
		if source := textOf(root, startup.AttrTimeSourceEnd); source != string(startup.TimeLog) {
			t.Errorf("its end is from %q", source)
		}
		if texts := h.notices(t, s, 1); !strings.HasPrefix(texts[0], "Normal ready after ") {
			t.Errorf("events: %q", texts)
		}
	})
	unasked := map[string]struct {
		image, init string
		lines       []string
		change      func(*corev1.Pod)
	}{
		"an SGLang server": {"lmsysorg/sglang:v0.5.1", "sglang_init", ofSGLang, func(*corev1.Pod) {}},
		"a TGI server":     {"ghcr.io/huggingface/text-generation-inference:3.3.4", "tgi_init", ofTGI, func(*corev1.Pod) {}},
		"a job without a server": {"vllm/vllm-openai:v0.19.0", startup.SpanVLLMInit, ofBatch, func(p *corev1.Pod) {
			p.Spec.RestartPolicy, p.Annotations = corev1.RestartPolicyNever, map[string]string{"coldtrace.io/role": "batch"}
		}},
	}
	starts := map[string]*scripted{}
	for name, tc := range unasked {
		s := h.pod(t, strings.ToLower(strings.ReplaceAll(name, " ", "-")), func(p *corev1.Pod) {
			unprobed(p)
			p.Spec.Containers[0].Image = tc.image
			tc.change(p)
		})
		s.begins(t, tc.lines...)
		s.isReady(t)
		starts[name] = s
	}
	for name, tc := range unasked { // they are waited for together
		t.Run(name, func(t *testing.T) {
			root := h.told(t, starts[name], startup.SpanPodStartup)
			if outcome := textOf(root, startup.AttrOutcome); outcome != startup.OutcomeReady || textOf(root, startup.AttrTimeSourceEnd) != string(startup.TimeLog) {
				t.Errorf("the outcome is %s, by %s", outcome, textOf(root, startup.AttrTimeSourceEnd))
			}
			h.told(t, starts[name], tc.init)
		})
	}
	t.Run("a job that fails before", func(t *testing.T) {
		s := h.pod(t, "job", func(p *corev1.Pod) { unprobed(p); p.Spec.RestartPolicy = corev1.RestartPolicyNever })
		s.begins(t, append(slices.Clone(ofVLLM[:4]), "(EngineCore pid=9) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB")...)
		s.isReady(t)
		p, err := h.client.CoreV1().Pods(podNamespace).Get(t.Context(), "job", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p.Status.Phase = corev1.PodFailed
		p.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", StartedAt: s.started, FinishedAt: metav1.NewTime(s.started.Add(3 * time.Second))}}
		if _, err := h.client.CoreV1().Pods(podNamespace).UpdateStatus(t.Context(), p, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		root := h.told(t, s, startup.SpanPodStartup)
		if outcome := textOf(root, startup.AttrOutcome); outcome != startup.OutcomeFailed {
			t.Errorf("the outcome is %s", outcome)
		}
		if why := textOf(h.told(t, s, startup.SpanStartup), startup.AttrReason); why != "cuda_out_of_memory" {
			t.Errorf("startup failed by %q", why)
		}
	})
	t.Run("no right to hear it: Kubernetes' word has to do", func(t *testing.T) {
		s := h.pod(t, "unheard", unprobed)
		h.logs.fails(s, func(_ int, w http.ResponseWriter, _ *http.Request, _ string) bool {
			http.Error(w, "no", http.StatusForbidden)
			return true
		})
		s.begins(t)
		s.isReady(t)
		if outcome := textOf(h.told(t, s, startup.SpanPodStartup), startup.AttrOutcome); outcome != startup.OutcomeStarted {
			t.Errorf("the outcome is %s", outcome)
		}
	})
}

// Whatever the kubelet does, a start is told: coarser if it must be, and counted.
func TestNoStartIsStuckWhateverAKubeletDoes(t *testing.T) {
	h := newHearing(t, startAPI(t))
	answer := func(status int) fault {
		return func(_ int, w http.ResponseWriter, _ *http.Request, _ string) bool {
			http.Error(w, "no", status)
			return true
		}
	}
	once := func(f fault) fault {
		return func(n int, w http.ResponseWriter, r *http.Request, log string) bool { return n == 0 && f(n, w, r, log) }
	}
	hang := func(_ int, _ http.ResponseWriter, r *http.Request, _ string) bool { <-r.Context().Done(); return true }
	reset := func(int, http.ResponseWriter, *http.Request, string) bool { panic(http.ErrAbortHandler) }
	truncate := func(_ int, w http.ResponseWriter, _ *http.Request, log string) bool {
		_, _ = w.Write([]byte(log[:len(log)/2]))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	drip := func(pieces int, each time.Duration, end func()) fault {
		return func(_ int, w http.ResponseWriter, r *http.Request, log string) bool {
			for piece := range slices.Chunk([]byte(log), len(log)/pieces+1) {
				_, _ = w.Write(piece)
				w.(http.Flusher).Flush()
				select {
				case <-time.After(each):
				case <-r.Context().Done():
					return true
				}
			}
			end()
			return true
		}
	}
	say := func(text string) fault {
		return func(_ int, w http.ResponseWriter, _ *http.Request, _ string) bool {
			_, _ = w.Write([]byte(text))
			return true
		}
	}
	redirect := func(_ int, w http.ResponseWriter, r *http.Request, _ string) bool {
		http.Redirect(w, r, "https://elsewhere.example.com/", http.StatusFound)
		return true
	}
	kubelets := map[string]struct {
		fault  fault
		lines  []string
		after  time.Duration // the container's start
		port   int32         // of the kubelet; 0: that of one that answers
		unseen string        // empty: it is told all the same
	}{
		"401":                    {fault: answer(http.StatusUnauthorized), lines: ofVLLM, unseen: "forbidden"},
		"403":                    {fault: answer(http.StatusForbidden), lines: ofVLLM, unseen: "forbidden"},
		"429":                    {fault: answer(http.StatusTooManyRequests), lines: ofVLLM, unseen: "unanswered"},
		"503 once":               {fault: once(answer(http.StatusServiceUnavailable)), lines: ofVLLM},
		"redirects":              {fault: redirect, lines: ofVLLM, unseen: "unanswered"},
		"nobody listens":         {port: closedPort(t), lines: ofVLLM, unseen: "unanswered"},
		"no certificate":         {port: plainPort(t), lines: ofVLLM, unseen: "unanswered"},
		"drips":                  {fault: drip(60, 5*time.Millisecond, func() {}), lines: ofVLLM},
		"drips and resets":       {fault: drip(20, 5*time.Millisecond, func() { panic(http.ErrAbortHandler) }), lines: ofVLLM},
		"drips slower than that": {fault: drip(4, 2*time.Second, func() {}), lines: ofVLLM, unseen: "unanswered"},
		"a page of a proxy":      {fault: say("<html>\n<body>\n502 Bad Gateway\n</body>\n</html>\n"), lines: ofVLLM, unseen: "silent"},
		"no stamps":              {fault: say(strings.Join(ofVLLM, "\n") + "\n"), lines: ofVLLM, unseen: "silent"},
		"bytes that are no text": {lines: slices.Concat([]string{"\xff\xfe\x00\x01", strings.Repeat("\x00", 70<<10)}, ofVLLM, []string{"\x80"})},
		"500":                    {fault: answer(http.StatusInternalServerError), lines: ofVLLM, unseen: "unanswered"},
		"500 once":               {fault: once(answer(http.StatusInternalServerError)), lines: ofVLLM},
		"404":                    {fault: answer(http.StatusNotFound), lines: ofVLLM, unseen: "gone"},
		"hangs":                  {fault: hang, lines: ofVLLM, unseen: "unanswered"},
		"hangs once":             {fault: once(hang), lines: ofVLLM},
		"resets":                 {fault: reset, lines: ofVLLM, unseen: "unanswered"},
		"truncates":              {fault: truncate, lines: ofVLLM, unseen: "cut"},
		"truncates once":         {fault: once(truncate), lines: ofVLLM},
		"rotated":                {lines: []string{"INFO: 10.0.0.1 GET /health 200"}, after: time.Hour, unseen: "rotated"},
		"nothing known":          {lines: []string{"hello", "world"}, unseen: "no_engine"},
		"says nothing":           {lines: nil, unseen: "silent"},
		"one line of 300 kB":     {lines: append([]string{strings.Repeat("x", 300<<10)}, ofVLLM...)},
	}
	starts := map[string]*scripted{}
	for name, tc := range kubelets {
		own := strings.ToLower(strings.ReplaceAll(name, " ", "-"))
		h.node(t, own, tc.port)
		s := h.pod(t, "kubelet-"+own, argsOnly)
		s.node = own
		if tc.fault != nil {
			h.logs.fails(s, tc.fault)
		}
		s.begins(t)
		s.says(s.started.Add(tc.after), tc.lines...)
		s.isReady(t)
		starts[name] = s
	}
	for name, tc := range kubelets { // they are waited for together
		t.Run(name, func(t *testing.T) {
			s := starts[name]
			root := h.told(t, s, startup.SpanPodStartup)
			if outcome := textOf(root, startup.AttrOutcome); outcome != startup.OutcomeReady {
				t.Errorf("the outcome is %s", outcome)
			}
			got := h.names(s)
			if !slices.Contains(got, startup.SpanStartup) || slices.Contains(got, startup.SpanVLLMInit) != (tc.unseen == "") {
				t.Errorf("told %v", got)
			}
			// The API server asks again by itself when a connection is reset.
			if n := h.logs.requests(s); n > 6 && name != "resets" {
				t.Errorf("%d requests", n)
			}
			if tc.unseen != "" {
				await(t, "it to be counted", func() bool {
					return metric(t, h.metrics, "coldtrace_starts_unseen_inside_total", "reason", tc.unseen) > 0
				})
			}
		})
	}
}

// closedPort is one at which nobody listens.
func closedPort(t *testing.T) int32 {
	t.Helper()
	port, err := freeport.Find()
	if err != nil {
		t.Fatal(err)
	}
	return int32(port) //nolint:gosec // a port
}

// plainPort is that of a server that has no certificate.
func plainPort(t *testing.T) int32 {
	t.Helper()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	return int32(server.Listener.Addr().(*net.TCPAddr).Port) //nolint:gosec // a port
}

// A kubelet that has started the container again, before its status says so, has another run's log where it is asked for this one's.
func TestTheLogOfARunIsAskedForAgainWhenItIsAlreadyThatOfTheNext(t *testing.T) {
	h := newHearing(t, startAPI(t))
	s := h.pod(t, "restarted-meanwhile", argsOnly)
	s.begins(t)
	s.wrote("?previous", s.started.Time, append(slices.Clone(ofVLLM[:4]), "(EngineCore pid=9) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB")...)
	s.says(s.started.Add(time.Minute), ofVLLM[:2]...)
	p, err := h.client.CoreV1().Pods(podNamespace).Get(t.Context(), s.pod.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: 1, Reason: "Error", StartedAt: s.started, FinishedAt: metav1.NewTime(s.started.Add(3 * time.Second)),
	}}
	if _, err := h.client.CoreV1().Pods(podNamespace).UpdateStatus(t.Context(), p, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if why := textOf(h.told(t, s, startup.SpanStartup), startup.AttrReason); why != "cuda_out_of_memory" {
		t.Errorf("startup failed by %q", why)
	}
	h.told(t, s, startup.SpanVLLMInit)
	if n := h.logs.requests(s); n != 2 {
		t.Errorf("%d requests", n)
	}
}

// The chart gives rights by namespace; who was told of more than there are has it counted.
func TestALogThatMayNotBeReadIsNotAskedForAgain(t *testing.T) {
	a := startAPI(t)
	user, err := a.env.AddUser(envtest.User{Name: "watcher"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	a.must(t, func(ctx context.Context) error {
		_, err := a.client.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "watcher"}, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"pods", "events", "namespaces", "nodes", "configmaps"}, Verbs: []string{"get", "list", "watch", "create", "update"}},
		}}, metav1.CreateOptions{})
		return err
	})
	a.must(t, func(ctx context.Context) error {
		_, err := a.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "watcher"}, RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "watcher"},
			Subjects: []rbacv1.Subject{{Kind: "User", Name: "watcher", APIGroup: "rbac.authorization.k8s.io"}},
		}, metav1.CreateOptions{})
		return err
	})
	h := newHearing(t, a, func(c *watch.Config) { c.REST = user.Config() })
	s := h.pod(t, "forbidden", argsOnly)
	s.begins(t, ofVLLM...)
	s.isReady(t)
	h.told(t, s, startup.SpanPodStartup)
	if got := h.names(s); slices.Contains(got, startup.SpanVLLMInit) || h.logs.requests(s) != 0 {
		t.Errorf("%v", got)
	}
	await(t, "it to be counted", func() bool {
		return metric(t, h.metrics, "coldtrace_starts_unseen_inside_total", "reason", "forbidden") == 1
	})
	if n := metric(t, h.metrics, "coldtrace_watch_log_requests_total", "result", "forbidden"); n != 1 {
		t.Errorf("%v requests", n)
	}
}

// count is how often a histogram's series was observed.
func count(t *testing.T, r *prometheus.Registry, name, label, value string) (n uint64) {
	t.Helper()
	for _, m := range series(t, r, name, label, value) {
		n += m.GetHistogram().GetSampleCount()
	}
	return n
}
