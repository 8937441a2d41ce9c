// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// Values of sampling.priority, as the contract has them.
const (
	priorityKeep = 2
	priorityDrop = -1
)

// span is one to be sent.
type span struct {
	service  string
	name     string
	scope    string
	trace    pcommon.TraceID
	id       uint64
	parent   uint64
	kind     ptrace.SpanKind
	attrs    map[string]any
	failed   bool
	duration time.Duration
}

// traceID is a trace's of a class. The rest of the number is scattered as a random one would be: samplers go by it.
func traceID(class byte, n uint64) pcommon.TraceID {
	var id pcommon.TraceID
	binary.BigEndian.PutUint64(id[:8], scatter(n<<8|uint64(class)))
	binary.BigEndian.PutUint64(id[8:], scatter(n<<8|uint64(class)|1<<63))
	return id
}

// scatter is splitmix64's last step: neighbours end far apart, and no two numbers meet.
func scatter(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// startupSpan is one of coldtrace's own.
func startupSpan(name string, id uint64, priority int64) span {
	service := "vllm-startup"
	if name == "pod_startup" || name == "image_pull" || name == "pod_pending" {
		service = "k8s-startup-watcher"
	}
	return span{
		service: service, name: name, scope: "github.com/coldtrace/coldtrace", trace: traceID('s', 0), id: id,
		kind: ptrace.SpanKindInternal, duration: time.Minute,
		attrs: map[string]any{"sampling.priority": priority, "endpoint_name": "llama", "gpu_type": "h100"},
	}
}

// send exports spans over OTLP/HTTP, a resource each; the collector must take them.
func (c *collector) send(t testing.TB, spans ...span) {
	t.Helper()
	traces := ptrace.NewTraces()
	resources := map[string]ptrace.ResourceSpans{}
	now := time.Now()
	for _, s := range spans {
		key := s.service + "\x00" + s.scope
		r, there := resources[key]
		if !there {
			r = traces.ResourceSpans().AppendEmpty()
			r.Resource().Attributes().PutStr("service.name", s.service)
			r.ScopeSpans().AppendEmpty().Scope().SetName(s.scope)
			resources[key] = r
		}
		fill(r.ScopeSpans().At(0).Spans().AppendEmpty(), s, now)
	}
	body, err := ptraceotlp.NewExportRequestFromTraces(traces).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	for deadline := now.Add(time.Minute); ; {
		resp, err := http.Post(c.http+"/v1/traces", "application/x-protobuf", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		said, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
		// 503 is the memory limiter's: a sender repeats, as OTLP asks for.
		if resp.StatusCode != http.StatusServiceUnavailable || time.Now().After(deadline) {
			t.Fatalf("export: %s: %s", resp.Status, said)
		}
	}
}

func fill(to ptrace.Span, s span, now time.Time) {
	to.SetName(s.name)
	to.SetKind(s.kind)
	to.SetTraceID(s.trace)
	to.SetSpanID(spanID(s.id))
	if s.parent != 0 {
		to.SetParentSpanID(spanID(s.parent))
	}
	to.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
	to.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-s.duration)))
	if s.failed {
		to.Status().SetCode(ptrace.StatusCodeError)
	}
	for k, v := range s.attrs {
		if n, whole := v.(int64); whole {
			to.Attributes().PutInt(k, n)
		} else {
			to.Attributes().PutStr(k, v.(string))
		}
	}
}

func spanID(n uint64) (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}
