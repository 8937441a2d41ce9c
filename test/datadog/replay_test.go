// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// The incident, for one minute: 1,000 polls a second, each of a server's span and what it asked its database for.
// A tenth of a second is sent at a time.
const (
	minute      = 60
	ticks       = 10 // a second
	pollsATick  = 100
	startups    = 100
	dropped     = 10 // startups whose annotation says so
	phases      = 8  // spans of a startup
	pollErrors  = 60
	requestRate = 50 // a second, and one that fails
	lossy       = 0.01
)

// Classes of traces, the last byte of their numbers.
const (
	classPoll     = 'p'
	classPollFail = 'e'
	classRequest  = 'r'
	classReqFail  = 'f'
	classStart    = 's'
	classUnwanted = 'u'
)

// TestTheIncidentReplayedKeepsEveryStartAndErrorAndHardlyAPoll sends a minute of it through the configuration as it is
// rendered: its waits, batches and limits are the chart's own.
func TestTheIncidentReplayedKeepsEveryStartAndErrorAndHardlyAPoll(t *testing.T) {
	in := newIntake(t)
	c := start(t, rendered(t, `
collector: {datadog: {enabled: true}}
traceVolume:
  enabled: true
  keepPercent: 10
  routes:
    - {path: /v1/async-tasks/*, keepPercent: 0.5}
    - {path: /health, keepPercent: 0}
`), in, "")
	sent := replay(t, c)
	memory := resident(t, c)
	polls := sent.traces[classPoll] + sent.traces[classPollFail]
	const calls, duration, route = "traces.span.metrics.calls", "traces.span.metrics.duration", "coldtrace.route:/v1/async-tasks/*"
	// Neither the connector nor the exporter sends what it holds when the collector ends. The last error is of the last
	// second.
	certain := sent.spans[classStart] + sent.spans[classPollFail] + sent.spans[classReqFail]
	flushed := time.Now().Add(time.Minute)
	eventually(t, "the statistics and what is always kept", func() bool {
		kept := in.find(func(s *ddSpan) bool {
			class := sent.class[s.TraceID]
			return class == classStart || class == classPollFail || class == classReqFail
		})
		return len(kept) >= certain && in.sum(calls, route) >= float64(polls) && in.observations(duration, route) >= int64(polls) ||
			time.Now().After(flushed)
	})
	c.stop(t)

	arrived := map[byte]map[uint64]int{}
	in.look(func() {
		for _, s := range in.spans {
			class := sent.class[s.TraceID]
			if class == 0 {
				t.Errorf("trace %x was never sent", s.TraceID)
				continue
			}
			if arrived[class] == nil {
				arrived[class] = map[uint64]int{}
			}
			arrived[class][s.TraceID]++
		}
	})
	counted, timed := in.sum(calls, route), in.observations(duration, route)
	sent.print(t, arrived, counted, memory)

	for class, want := range map[byte]struct{ least, most float64 }{
		classStart:    {1, 1},
		classUnwanted: {0, 0},
		classPollFail: {1, 1},
		classReqFail:  {1, 1},
		classPoll:     {0, lossy},
		classRequest:  {0.05, 0.15}, // 10 % of 3,000 by trace id
	} {
		spans := 0
		for _, n := range arrived[class] {
			spans += n
		}
		// Whole traces or none.
		if perTrace := sent.spans[class] / sent.traces[class]; spans != len(arrived[class])*perTrace {
			t.Errorf("class %c: %d traces arrived with %d spans, want %d each", class, len(arrived[class]), spans, perTrace)
		}
		if share := float64(len(arrived[class])) / float64(sent.traces[class]); share < want.least || share > want.most {
			t.Errorf("class %c: %.2f %% arrived, want %v to %v", class, 100*share, 100*want.least, 100*want.most)
		}
	}
	if counted != float64(polls) || timed != int64(polls) {
		t.Errorf("statistics count %v polls and time %d, want %d", counted, timed, polls)
	}
	if len(in.problems) > 0 {
		t.Errorf("the intake: %v", in.problems)
	}
}

// load is what was sent.
type load struct {
	class         map[uint64]byte // by Datadog's trace id
	traces, spans map[byte]int
	took          time.Duration
}

func replay(t *testing.T, c *collector) *load {
	t.Helper()
	sent := &load{class: map[uint64]byte{}, traces: map[byte]int{}, spans: map[byte]int{}}
	begin := time.Now()
	tick := time.NewTicker(time.Second / ticks)
	defer tick.Stop()
	for n := range minute * ticks {
		var batch []span
		add := func(class byte, number int, of func(pcommon.TraceID) []span) {
			id := traceID(class, uint64(number))
			spans := of(id)
			sent.class[low(id)] = class
			sent.traces[class]++
			sent.spans[class] += len(spans)
			batch = append(batch, spans...)
		}
		failing := n%(minute*ticks/pollErrors) == 0
		for i := range pollsATick {
			if i == 0 && failing {
				add(classPollFail, n, func(id pcommon.TraceID) []span { return poll(id, n, true) })
				continue
			}
			add(classPoll, n*pollsATick+i, func(id pcommon.TraceID) []span { return poll(id, n*pollsATick+i, false) })
		}
		for i := range requestRate / ticks {
			add(classRequest, n*ticks+i, func(id pcommon.TraceID) []span { return request(id, false) })
		}
		if n%ticks == 0 {
			add(classReqFail, n, func(id pcommon.TraceID) []span { return request(id, true) })
		}
		if every := minute * ticks / startups; n%every == 0 {
			add(classStart, n, func(id pcommon.TraceID) []span { return startupTrace(id, priorityKeep) })
		}
		if every := minute * ticks / dropped; n%every == 0 {
			add(classUnwanted, n, func(id pcommon.TraceID) []span { return startupTrace(id, priorityDrop) })
		}
		c.send(t, batch...)
		<-tick.C
	}
	sent.took = time.Since(begin)
	return sent
}

// poll is a look at a task's result, as one of three kinds of instrumentation writes it.
func poll(id pcommon.TraceID, n int, failed bool) []span {
	path := "/v1/async-tasks/" + strconv.Itoa(n)
	server := span{
		service: "model-engine-gateway", scope: "http", trace: id, id: 1, kind: ptrace.SpanKindServer, failed: failed,
		name: "GET /v1/async-tasks/{task_id}", duration: 3 * time.Millisecond,
	}
	switch n % 3 {
	case 0: // the present conventions
		server.attrs = map[string]any{"url.path": path, "http.route": "/v1/async-tasks/{task_id}", "http.response.status_code": int64(200)}
	case 1: // the former ones
		server.attrs = map[string]any{"http.target": path + "?wait=1", "http.status_code": int64(200)}
	case 2: // Envoy
		server.name = "gateway.llm.svc.cluster.local:80/*"
		server.attrs = map[string]any{"http.url": "https://llm.example.com" + path, "http.status_code": "200"}
	}
	db := span{
		service: "model-engine-gateway", scope: "redis", trace: id, id: 2, parent: 1, kind: ptrace.SpanKindClient, name: "GET",
		duration: time.Millisecond, attrs: map[string]any{"db.system": "redis"},
	}
	return []span{server, db}
}

// request is one that people trace for.
func request(id pcommon.TraceID, failed bool) []span {
	return []span{
		{
			service: "model-engine-gateway", scope: "http", trace: id, id: 1, kind: ptrace.SpanKindServer, failed: failed,
			name: "POST /v1/llm/completions-sync", duration: time.Second,
			attrs: map[string]any{"url.path": "/v1/llm/completions-sync", "http.route": "/v1/llm/completions-sync"},
		},
		{
			service: "vllm", scope: "vllm.tracing.otel", trace: id, id: 2, parent: 1, kind: ptrace.SpanKindServer, name: "llm_request",
			duration: time.Second, attrs: map[string]any{"gen_ai.request.id": "cmpl-1"},
		},
	}
}

// startupTrace is a start as the watcher, the wrapper and a vLLM that traces its loading write it.
func startupTrace(id pcommon.TraceID, priority int64) []span {
	var spans []span
	for i, name := range []string{"pod_startup", "pod_pending", "image_pull", "startup", "s5cmd_download", "vllm_init", "model_load", "Load weights"} {
		s := startupSpan(name, uint64(i+1), priority)
		s.trace = id
		if i > 0 {
			s.parent = 1
		}
		if name == "Load weights" && priority > 0 {
			// vLLM's own: it knows nothing of sampling.priority.
			s.service, s.scope = "unknown_service", "vllm.tracing.otel"
			s.attrs = map[string]any{"code.namespace": "vllm.model_executor.model_loader.default_loader", "code.function": "load_weights"}
		}
		spans = append(spans, s)
	}
	return spans[:phases]
}

// low is what Datadog calls a trace.
func low(id pcommon.TraceID) uint64 {
	var n uint64
	for _, b := range id[8:] {
		n = n<<8 | uint64(b)
	}
	return n
}

// resident is the collector's memory, in MiB.
func resident(t *testing.T, c *collector) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", c.cmd.Process.Pid))
	if err != nil {
		t.Logf("no memory figure: %v", err)
		return 0
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	must(t, err)
	return pages * os.Getpagesize() >> 20
}

func (l *load) print(t *testing.T, arrived map[byte]map[uint64]int, counted float64, memory int) {
	t.Helper()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "traces\tsent\tspans\tarrived\tspans\tshare\t")
	for _, class := range []struct {
		is   byte
		name string
	}{
		{classStart, "startups"}, {classUnwanted, "startups, annotated drop"}, {classPollFail, "polls that failed"}, {classReqFail, "requests that failed"},
		{classRequest, "other requests"}, {classPoll, "polls"},
	} {
		spans := 0
		for _, n := range arrived[class.is] {
			spans += n
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%.2f %%\t\n", class.name, l.traces[class.is], l.spans[class.is], len(arrived[class.is]), spans,
			100*float64(len(arrived[class.is]))/float64(l.traces[class.is]))
	}
	must(t, w.Flush())
	t.Logf("sent in %v; the collector's memory at the end: %d MiB\n%spolls in the statistics: %.0f", l.took.Round(time.Second), memory, b.String(), counted)
}
