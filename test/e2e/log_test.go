// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/cluster"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/stage"
	"github.com/coldtrace/coldtrace/trace"
)

// overheard is the start of a pod as its status, its events and its log tell it.
func overheard(t *testing.T, pod *corev1.Pod) cluster.Start {
	t.Helper()
	r := cluster.Reader{Client: on.Kube, MaxLogBytes: cluster.DefaultMaxLogBytes, Now: time.Now}
	start := r.Starts(t.Context(), []corev1.Pod{*pod})[0]
	for _, m := range start.Missing {
		t.Logf("%s: %s", pod.Name, m)
	}
	return start
}

// compareWithLog holds what was sent of a start against what its log tells: the same ids, and no edge that both know further
// away than that.
func compareWithLog(t *testing.T, pod *corev1.Pod, sent *trace.Trace, within time.Duration) {
	t.Helper()
	start := overheard(t, pod)
	nodes := map[string]*trace.Node{}
	sent.Walk(func(n *trace.Node) { nodes[n.ID] = n })
	var offs []time.Duration
	told := map[string]bool{}
	// On a busy machine the wrapper is up a while after the kubelet says that the container started.
	var began time.Time
	for _, sp := range start.Inside {
		if sp.Name == startup.SpanStartup {
			began = sp.Start
		}
	}
	for _, sp := range start.Inside {
		told[sp.Name] = true
		n := nodes[start.Subject.SpanContext(sp.Key).SpanID().String()]
		if n == nil {
			t.Errorf("only the log tells %s", sp.Key)
			continue
		}
		if parent := start.Subject.SpanContext(sp.ParentKey).SpanID().String(); n.Name != sp.Name || n.ParentID != parent || sp.Open {
			t.Errorf("%s: %+v, sent was %+v", sp.Key, sp, n.Span)
		}
		from, to := sp.Start.Sub(n.Start), sp.End.Sub(n.End)
		t.Logf("%-20s start %+6.1f ms, end %+6.1f ms", sp.Key, ms(from), ms(to))
		// A log does not tell when an engine's process starts: what it has is the end of what came before.
		process := sp.Name == startup.SpanPythonImport || sp.Name == startup.SpanVLLMInit
		if (process || sp.Start.Equal(began)) && from < 0 && from > -time.Second {
			from = 0
		}
		for _, off := range []time.Duration{from, to} {
			offs = append(offs, off.Abs())
			if off.Abs() > within {
				t.Errorf("%s is %v off what the wrapper sent", sp.Key, off)
			}
		}
		for _, a := range n.Attributes {
			if strings.HasPrefix(a.Key, "time.") || a.Key == startup.AttrDurationSeconds || a.Key == startup.AttrTotalStartupSeconds ||
				a.Key == startup.AttrBytes || a.Key == startup.AttrThroughputMBps || a.Key == startup.AttrClockSkewSeconds {
				continue // where times come from, and what no log says
			}
			if sp.Get(a.Key).String() == "" && !common(start.Subject, a.Key) {
				t.Errorf("%s from the log lacks %s", sp.Key, a.Key)
			}
		}
	}
	for _, n := range nodes {
		if n.Get("service.name") == startup.ServiceWrapper && !told[n.Name] {
			t.Errorf("the log does not tell %s", n.Name)
		}
	}
	slices.Sort(offs)
	if len(offs) > 0 {
		t.Logf("%s: %d edges, p95 %.1f ms, at most %.1f ms off", pod.Name, len(offs), ms(offs[len(offs)*95/100]), ms(offs[len(offs)-1]))
	}
}

// common tells an attribute that every span has, or that follows from its other fields.
func common(s startup.Subject, key string) bool {
	return key == startup.AttrSamplingPriority || slices.ContainsFunc(s.Attributes(), func(a attribute.KeyValue) bool { return string(a.Key) == key })
}

func TestAPodThatWasNeverInjectedIsToldByItsLog(t *testing.T) {
	pod := begin(t, unlabelled, "overheard")
	pod = await(t, pod, stage.Ready)
	start := overheard(t, pod)
	keys := map[string]bool{}
	for _, sp := range append(start.Outside, start.Inside...) {
		keys[sp.Key] = !sp.Open
	}
	for key := range expected {
		if !keys[key] {
			t.Errorf("it does not tell %s: %v", key, keys)
		}
	}
}
