// SPDX-License-Identifier: Apache-2.0

// Package tracetest writes starts down as text, for tests of what reads them:
//
//	endpoint_name=llama node_name=gpu-1
//	pod_startup 0-100 outcome=ready
//	  image_pull 2-42 cached=false k8s.container.name=main
//	  pod_ready 43-100
//	    @probe_failed 60 probe=readiness
//	  startup 43-99
//	    vllm_init 50-98 engine=vllm
//	      model_load 50-60 !cuda_out_of_memory
//
// The first line holds for all spans. Spans are indented under their parents, from and to are seconds after Noon, "!" is
// why one failed, "open" that it goes on, "@" an event. Values are integers, floats, booleans, lists (a,b) or texts.
package tracetest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/trace"
)

// Noon is when starts begin.
var Noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// Spans are those of the start that text tells, of a pod with this UID, so many seconds after Noon. It panics where text is
// none: it is a test's own.
func Spans(uid string, after float64, text string) []*trace.Span {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	margin := len(lines[0]) - len(strings.TrimLeft(lines[0], "\t"))
	about := attributes(strings.Fields(lines[0]))
	var (
		spans []*trace.Span
		path  []*trace.Span
		at    = func(s string) time.Time {
			return Noon.Add(time.Duration((after + number(s)) * float64(time.Second)))
		}
	)
	for i, line := range lines[1:] {
		line = strings.Replace(line, "\t", "", margin)
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		depth := (len(line) - len(strings.TrimLeft(line, " "))) / 2
		if name, ok := strings.CutPrefix(fields[0], "@"); ok {
			of := spans[len(spans)-1]
			of.Events = append(of.Events, trace.Event{Name: name, Time: at(fields[1]), Attributes: attributes(fields[2:])})
			continue
		}
		from, to, ok := strings.Cut(fields[1], "-")
		if !ok {
			panic(fmt.Sprintf("line %d: want FROM-TO: %q", i+2, line))
		}
		s := &trace.Span{
			TraceID: startup.MD5.TraceID(uid).String(), ID: startup.MD5.SpanID(uid, fmt.Sprint(fields[0], i)).String(), Name: fields[0],
			Start: at(from), End: at(to), Scope: startup.ScopeName,
		}
		path = append(path[:depth], s)
		service := startup.ServiceWatcher
		for _, p := range path {
			if p.Name == startup.SpanStartup {
				service = startup.ServiceWrapper
			}
		}
		if depth > 0 {
			s.ParentID = path[depth-1].ID
		}
		for _, field := range fields[2:] {
			switch reason, failed := strings.CutPrefix(field, "!"); {
			case failed:
				s.Failed, s.Message = true, reason
				s.Attributes = append(s.Attributes, trace.Attribute{Key: startup.AttrReason, Value: reason})
			case field == "open":
				s.Open = true
			case strings.HasPrefix(field, "service="):
				service = strings.TrimPrefix(field, "service=")
			default:
				s.Attributes = append(s.Attributes, attributes([]string{field})...)
			}
		}
		s.Attributes = append(s.Attributes, about...)
		s.Resource = []trace.Attribute{
			{Key: startup.ResourceService, Value: service}, {Key: startup.ResourcePodUID, Value: uid}, {Key: startup.ResourcePodName, Value: "pod-" + uid}, {Key: startup.ResourceNamespace, Value: "models"},
		}
		spans = append(spans, s)
	}
	return spans
}

// Trace is the start that text tells.
func Trace(uid, text string) *trace.Trace { return trace.Build(Spans(uid, 0, text))[0] }

func attributes(fields []string) (out []trace.Attribute) {
	for _, field := range fields {
		key, value, ok := strings.Cut(field, "=")
		if !ok {
			panic(fmt.Sprintf("want KEY=VALUE: %q", field))
		}
		out = append(out, trace.Attribute{Key: key, Value: valueOf(value)})
	}
	return out
}

func valueOf(s string) any {
	if strings.Contains(s, ",") {
		var list []any
		for item := range strings.SplitSeq(s, ",") {
			list = append(list, item)
		}
		return list
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i
	}
	if b, err := strconv.ParseBool(s); err == nil {
		return b
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && strings.Count(s, ".") < 2 {
		return f
	}
	return s
}

func number(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic(fmt.Sprintf("want seconds: %q", s))
	}
	return f
}

var update = flag.Bool("update", false, "rewrite golden files")

// Golden holds a text against the file of that name in testdata.
func Golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s (-update rewrites it):\n%s", path, got)
	}
}
