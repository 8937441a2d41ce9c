// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"strconv"
	"strings"
	"testing"

	"github.com/coldtrace/coldtrace/startup"
)

// told is a span of a start with what the watcher or the wrapper says of it: k=v, or a reason.
func told(id, parent, name string, from, to float64, says ...string) *Span {
	s := span(id, parent, name, from, to)
	for _, text := range says {
		key, value, ok := strings.Cut(text, "=")
		switch {
		case text == "open":
			s.Open = true
			continue
		case !ok || key == "exit_code":
			key, value, s.Failed, s.Message = startup.AttrReason, text, true, text
		}
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			s.Attributes = append(s.Attributes, Attribute{key, n})
		} else {
			s.Attributes = append(s.Attributes, Attribute{key, value})
		}
	}
	return s
}

func root(to float64, says ...string) *Span {
	return told("r", "", startup.SpanPodStartup, 0, to, says...)
}

// done is a container that ended well.
func done(s *Span) *Span {
	s.Attributes = append(s.Attributes, Attribute{startup.AttrExitCode, int64(0)})
	return s
}

// failing is an attempt of the container: the watcher's span, the wrapper's, and the phase at fault.
func failing(n int, from, to float64, reason string) []*Span {
	number := "attempt=" + strconv.Itoa(n)
	id := strconv.Itoa(n)
	return []*Span{
		told("y"+id, "r", startup.SpanPodReady, from, to, "exit_code=1", number),
		told("s"+id, "r", startup.SpanStartup, from, to, "exit_code=1", number),
		told("v"+id, "s"+id, startup.SpanVLLMInit, from+1, to, "exit_code=1", number),
		told("m"+id, "v"+id, startup.SpanModelLoad, from+2, to, reason, number),
	}
}

func spans(parts ...any) []*Span {
	var out []*Span
	for _, p := range parts {
		switch p := p.(type) {
		case *Span:
			out = append(out, p)
		case []*Span:
			out = append(out, p...)
		}
	}
	return out
}

const oom = "cuda_out_of_memory"

func TestTheVerdictIsAsGoodAsWhatTheWholeStartTells(t *testing.T) {
	pending := told("p", "r", startup.SpanPodPending, 0, 2)
	for name, c := range map[string]struct {
		spans         []*Span
		verdict, list string
	}{
		"ready":                   {spans(root(30, "outcome=ready"), pending), "ready after 30.0 s", "ready"},
		"ready, as others say it": {spans(root(30), pending), "ready after 30.0 s", "ready"},
		"ready at the third attempt": {
			spans(root(104, "outcome=ready"), failing(1, 2, 20, oom), failing(2, 30, 50, oom), told("y3", "r", startup.SpanPodReady, 60, 104, "attempt=3"), told("s3", "r", startup.SpanStartup, 60, 103, "attempt=3")),
			"ready after 1m 44s, 3 attempts (2 failed: cuda_out_of_memory)", "ready, 3 attempts",
		},
		"completed": {spans(root(9, "outcome=completed"), pending), "completed after 9.00 s", "completed"},
		"a failure that only the innermost phase explains": {
			spans(root(190, "CrashLoopBackOff"), failing(1, 2, 20, "gpu_memory_in_use")), "failed after 3m 10s: gpu_memory_in_use", "failed: gpu_memory_in_use",
		},
		"killed says more than its code": {
			spans(root(30, "exit_code=137", "outcome=failed"), told("s", "r", startup.SpanStartup, 2, 30, "killed")), "failed after 30.0 s: killed", "failed: killed",
		},
		"what the kubelet says of a kill says more than the wrapper": {
			spans(root(30, "outcome=failed", "exit_code=137"), told("y", "r", startup.SpanPodReady, 2, 30, "OOMKilled"), told("s", "r", startup.SpanStartup, 2, 30, "killed")), "failed after 30.0 s: OOMKilled", "failed: OOMKilled",
		},
		"an error of the engine's own span is no typed reason": {
			spans(root(30, "outcome=failed", "exit_code=1"), told("s", "r", startup.SpanStartup, 2, 30, "kv_cache_too_small"), &Span{TraceID: "t", ID: "e", ParentID: "s", Name: "Load", Start: noon, End: noon.Add(30e9), Failed: true, Message: "RuntimeError: a long text"}),
			"failed after 30.0 s: kv_cache_too_small", "failed: kv_cache_too_small",
		},
		"a pod that was evicted": {
			spans(root(30, "Evicted", "outcome=failed"), told("y", "r", startup.SpanPodReady, 2, 30, "exit_code=137")), "failed after 30.0 s: Evicted", "failed: Evicted",
		},
		"a crash loop that is deleted": {
			spans(root(190, "deleted", "outcome=deleted"), failing(1, 2, 20, oom), failing(2, 30, 50, oom), failing(3, 60, 80, oom), failing(4, 100, 120, oom)),
			"failed after 3m 10s: cuda_out_of_memory ×4, then deleted", "failed: cuda_out_of_memory ×4, then deleted",
		},
		"a crash loop of several reasons": {
			spans(root(190, "deleted", "outcome=deleted"), failing(1, 2, 20, oom), failing(2, 30, 50, "port_in_use"), failing(3, 60, 80, oom), failing(4, 100, 120, "exit_code=1")),
			"failed after 3m 10s: cuda_out_of_memory ×2, port_in_use, 4 attempts, then deleted", "failed: cuda_out_of_memory ×2, port_in_use, 4 attempts, then deleted",
		},
		"a crash loop that nobody deletes": {
			spans(root(7200, "timed_out", "outcome=timed_out"), failing(1, 2, 20, oom), failing(2, 30, 50, oom)), "failed after 2h 00m: cuda_out_of_memory ×2, then timed out", "failed: cuda_out_of_memory ×2, then timed out",
		},
		"deleted at its second attempt": {
			spans(root(90, "deleted", "outcome=deleted"), failing(1, 2, 20, oom), told("y2", "r", startup.SpanPodReady, 30, 90, "deleted", "attempt=2"), told("s2", "r", startup.SpanStartup, 30, 90, "terminated", "attempt=2")),
			"failed after 1m 30s: cuda_out_of_memory, 2 attempts, then deleted", "failed: cuda_out_of_memory, 2 attempts, then deleted",
		},
		"deleted while it was starting": {
			spans(root(20, "deleted", "outcome=deleted"), told("y", "r", startup.SpanPodReady, 2, 20, "deleted"), told("s", "r", startup.SpanStartup, 2, 19, "terminated")), "deleted after 20.0 s", "deleted",
		},
		"preempted": {
			spans(root(20, "PreemptionByScheduler", "outcome=deleted"), told("y", "r", startup.SpanPodReady, 2, 20, "PreemptionByScheduler")), "deleted after 20.0 s: PreemptionByScheduler", "deleted: PreemptionByScheduler",
		},
		"an image that never came": {
			spans(root(7200, "timed_out", "outcome=timed_out"), told("i", "r", startup.SpanImagePull, 2, 7200, "ImagePullBackOff")), "timed out after 2h 00m: ImagePullBackOff", "timed out: ImagePullBackOff",
		},
		"no node for it": {
			spans(root(7200, "timed_out", "outcome=timed_out"), scheduling(told("p", "r", startup.SpanPodPending, 0, 7200, "timed_out"))),
			"timed out after 2h 00m: pod_pending (insufficient_gpu, taints)", "timed out: pod_pending (insufficient_gpu, taints)",
		},
		"a server that exits with 0 in a pod that nothing probes": {
			spans(root(2, "outcome=ready"), told("y", "r", startup.SpanPodReady, 1, 2), told("s", "r", startup.SpanStartup, 1, 13.6, "exit_code=0")), "failed after 13.6 s: exit_code=0", "failed: exit_code=0",
		},
		"one whose wrapper could not see that it is ready": {
			spans(root(100, "outcome=ready"), told("y", "r", startup.SpanPodReady, 1, 100), told("s", "r", startup.SpanStartup, 1, 7200, "timed_out")), "ready after 1m 40s", "ready",
		},
		"between two attempts": {
			spans(root(60, "open"), failing(1, 2, 20, oom), failing(2, 30, 50, oom)), "attempt 3, after 2 failed (cuda_out_of_memory), 1m 00s so far", "attempt 3, after 2 failed (cuda_out_of_memory)",
		},
		"in the third attempt": {
			spans(root(60, "open"), failing(1, 2, 20, oom), failing(2, 30, 50, "exit_code=1"), told("y3", "r", startup.SpanPodReady, 55, 60, "attempt=3", "open")),
			"attempt 3, after 2 failed (cuda_out_of_memory), 1m 00s so far", "attempt 3, after 2 failed (cuda_out_of_memory)",
		},
		"still without a node": {
			spans(root(60, "open"), scheduling(told("p", "r", startup.SpanPodPending, 0, 60, "open"))), "still starting, 1m 00s so far: pod_pending (insufficient_gpu, taints)", "still starting: pod_pending (insufficient_gpu, taints)",
		},
		"one that is ready, whose root is still to come": {
			spans(pending, told("y", "r", startup.SpanPodReady, 2, 9), told("s", "r", startup.SpanStartup, 2, 8)), "ready after 9.00 s", "ready",
		},
		"a Job whose container is through while another runs on": {
			spans(root(60, "open"), pending, done(told("y", "r", startup.SpanPodReady, 2, 9))), "completed after 9.00 s", "completed",
		},
		"a Job through at its second attempt, whose root is still to come": {
			spans(pending, failing(1, 2, 20, oom), done(told("y2", "r", startup.SpanPodReady, 30, 50, "attempt=2"))), "completed after 50.0 s, 2 attempts (1 failed: cuda_out_of_memory)", "completed, 2 attempts",
		},
		"one whose root is still to come": {
			spans(pending, told("i", "r", startup.SpanImagePull, 2, 22, "k8s.container.name=main")), "still starting, 22.0 s so far; image_pull main ended last", "still starting",
		},
		"an attempt that failed before the root is there": {
			spans(failing(1, 2, 20, oom)), "attempt 2, after 1 failed (cuda_out_of_memory), 18.0 s so far", "attempt 2, after 1 failed (cuda_out_of_memory)",
		},
		"a server that is ready before the root is there": {
			spans(told("s", "r", startup.SpanStartup, 2, 20)), "still starting, 18.0 s so far; startup ended last", "still starting",
		},
		"an init container that fails": {
			spans(root(60, "open"), told("f1", "r", startup.SpanInitContainer, 2, 5, "exit_code=7", "k8s.container.name=fetch"), told("f2", "r", startup.SpanInitContainer, 9, 12, "exit_code=7", "attempt=2", "k8s.container.name=fetch")),
			"still starting, 1m 00s so far: init_container fetch (exit_code=7 ×2)", "still starting: init_container fetch (exit_code=7 ×2)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range c.spans {
				s.Resource = []Attribute{{startup.ResourcePodUID, "u"}}
				if s.ParentID == "r" && len(c.spans) > 0 && c.spans[0].ID != "r" {
					s.ParentID = startup.MD5.SpanID("u", startup.SpanPodStartup).String()
				}
			}
			built := Build(c.spans)[0]
			if got := built.verdict().text; got != c.verdict {
				t.Errorf("verdict %q, want %q", got, c.verdict)
			}
			if got := built.Outcome().String(); got != c.list {
				t.Errorf("in the list %q, want %q", got, c.list)
			}
		})
	}
}

func scheduling(s *Span) *Span {
	s.Events = []Event{{startup.EventFailedSchedule, noon, []Attribute{{startup.AttrReasons, []any{"insufficient_gpu", "taints"}}}}}
	return s
}

func TestAttemptsAreGroupedAndOnlyTheCulpritSaysWhy(t *testing.T) {
	in := spans(root(104, "outcome=ready"), failing(1, 2, 20, oom), failing(2, 30, 50, oom),
		told("c3", "r", startup.SpanContainerCreating, 59, 60, "attempt=3", "k8s.container.name=main"), told("c", "r", startup.SpanContainerCreating, 59, 60, "attempt=3", "k8s.container.name=sidecar"),
		told("y3", "r", startup.SpanPodReady, 60, 104, "attempt=3"), told("s3", "r", startup.SpanStartup, 60, 103, "attempt=3"))
	for _, s := range in {
		s.Resource = []Attribute{{startup.AttrContainerName, "main"}}
	}
	built := Build(in)[0]
	want := "pod_startup(attempt 1(pod_ready startup(vllm_init(model_load))) restart_backoff attempt 2(pod_ready startup(vllm_init(model_load))) restart_backoff attempt 3(container_creating pod_ready startup) container_creating)"
	if got := shape(built); got != want {
		t.Errorf("tree\n%s\nwant\n%s", got, want)
	}
	drawing := Waterfall(built, Options{Width: 140})
	if got := strings.Count(drawing, oom); got != 3 { // the headline, and each culprit's row
		t.Errorf("the reason is said %d times, want 3:\n%s", got, drawing)
	}
	for _, want := range []string{"ready after 1m 44s, 3 attempts (2 failed: cuda_out_of_memory)", "slowest   startup #3 43.0 s", "restart_backoff #2 10.0 s"} {
		if !strings.Contains(drawing, want) {
			t.Errorf("the drawing lacks %q:\n%s", want, drawing)
		}
	}
	if strings.Contains(drawing, "model_load #2  ") {
		t.Errorf("the attempt is on the rows under it, too:\n%s", drawing)
	}
}

func TestALoopThatNeverEndedWaitsUntilItsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		root *Span
		open bool
	}{"it goes on": {root(90, "open"), true}, "it was deleted": {root(90, "deleted", "outcome=deleted"), false}} {
		t.Run(name, func(t *testing.T) {
			built := Build(spans(c.root, failing(1, 2, 20, oom), failing(2, 30, 50, oom)))[0]
			children := built.Roots[0].Children
			if last := children[len(children)-1]; last.Name != "restart_backoff" || seconds(last.Duration()) != "40.0 s" || last.Open != c.open {
				t.Errorf("the last row is %s of %s, open %v", last.Name, seconds(last.Duration()), last.Open)
			}
		})
	}
}
