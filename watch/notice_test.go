// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
)

func TestWhatAnEventSaysOfAStart(t *testing.T) {
	const s = time.Second
	failed := func(reason startup.Reason) func(*pod.Span) { return func(sp *pod.Span) { sp.Failure = reason } }
	exited := func(sp *pod.Span) { sp.Attributes = append(sp.Attributes, attribute.Int(startup.AttrExitCode, 1)) }
	attempt := func(n int) func(*pod.Span) {
		return func(sp *pod.Span) { sp.Attributes = append(sp.Attributes, attribute.Int(startup.AttrAttempt, n)) }
	}
	told := []startup.Span{
		aSpan("startup", "pod_startup", 30*s, 119*s).Span, aSpan("vllm_init", "startup", 31*s, 110*s).Span, aSpan("torch_compile", "vllm_init", 60*s, 85*s+800*time.Millisecond).Span,
		aSpan("cuda_graph_capture", "vllm_init", 90*s, 109*s+300*time.Millisecond).Span, aSpan("kernel_warmup", "vllm_init", 88*s, 88*s+50*time.Millisecond).Span,
	}
	outside := []pod.Span{
		aSpan("pod_startup", "", 0, 119*s), aSpan("pod_pending", "pod_startup", 0, 2*s), aSpan("image_pull", "pod_startup", 4*s, 28*s), aSpan("pod_ready", "pod_startup", 30*s, 119*s),
	}
	trace := startup.MD5.TraceID("uid").String()
	for name, tc := range map[string]struct {
		parcel parcel
		inside []startup.Span
		reads  inject.Inside
		want   string
	}{
		"ready, told inside": {
			parcel: parcel{choice: choice{whole: true}, timeline: pod.Timeline{Outcome: pod.Ready, Spans: outside}}, inside: told, reads: inject.InsideLog,
			want: "Normal ready after 1m59s: torch_compile 25.8 s, image_pull 24.0 s, cuda_graph_capture 19.3 s; trace " + trace,
		},
		"ready, and the wrapper tells the rest": {
			parcel: parcel{choice: choice{whole: true}, timeline: pod.Timeline{Outcome: pod.Ready, Spans: outside}},
			want:   "Normal ready after 1m59s: pod_ready 1m29s, image_pull 24.0 s, pod_pending 2.0 s; trace " + trace,
		},
		"failed, as its log says why": {
			parcel: parcel{choice: choice{whole: true}, timeline: pod.Timeline{Outcome: pod.Failed, Spans: []pod.Span{aSpan("pod_startup", "", 0, 40*s, failed("exit_code=1"))}}},
			inside: []startup.Span{aSpan("startup", "pod_startup", 30*s, 40*s, failed("cuda_out_of_memory")).Span, aSpan("model_load", "vllm_init", 31*s, 40*s, failed("cuda_out_of_memory")).Span}, reads: inject.InsideLog,
			want: "Warning failed after 40.0 s (cuda_out_of_memory): model_load 9.0 s; trace " + trace,
		},
		"deleted before anything happened": {
			parcel: parcel{choice: choice{whole: true}, timeline: pod.Timeline{Outcome: pod.Deleted, Spans: []pod.Span{aSpan("pod_startup", "", 0, 40*s, failed("deleted"))}}},
			want:   "Normal deleted after 40.0 s; trace " + trace,
		},
		"given up": {
			parcel: parcel{choice: choice{whole: true}, timeline: pod.Timeline{Outcome: pod.TimedOut, Spans: []pod.Span{aSpan("pod_startup", "", 0, 7200*s, failed("timed_out"))}}},
			want:   "Warning timed_out after 2h0m0s; trace " + trace,
		},
		"an attempt that failed, told inside": {
			parcel: parcel{inside: true, choice: choice{spans: []startup.Span{
				aSpan("startup", "pod_startup", 30*s, 40*s, failed("cuda_out_of_memory"), exited, attempt(2)).Span,
				aSpan("model_load", "vllm_init", 31*s, 40*s, failed("cuda_out_of_memory"), attempt(2)).Span,
			}}},
			reads: inject.InsideLog, want: "Warning attempt 2 failed after 10.0 s (cuda_out_of_memory): model_load 9.0 s; trace " + trace,
		},
		"an attempt that failed, which the wrapper tells more of": {
			parcel: parcel{choice: choice{spans: []startup.Span{aSpan("pod_ready", "pod_startup", 30*s, 40*s, failed("OOMKilled"), exited).Span}}},
			want:   "Warning attempt 1 failed after 10.0 s (OOMKilled): pod_ready 10.0 s; trace " + trace,
		},
		"a phase that is over is worth none": {
			parcel: parcel{choice: choice{spans: []startup.Span{aSpan("image_pull", "pod_startup", 4*s, 28*s).Span}}},
		},
		"of an attempt whose log is read, when it is": {
			parcel: parcel{choice: choice{spans: []startup.Span{aSpan("pod_ready", "pod_startup", 30*s, 40*s, failed("OOMKilled"), exited).Span}}}, reads: inject.InsideLog,
		},
		"of an attempt whose log is read beside the wrapper, as if it were not": {
			parcel: parcel{choice: choice{spans: []startup.Span{aSpan("pod_ready", "pod_startup", 30*s, 40*s, failed("OOMKilled"), exited).Span}}}, reads: inject.InsideBoth,
			want: "Warning attempt 1 failed after 10.0 s (OOMKilled): pod_ready 10.0 s; trace " + trace,
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := &start{subject: startup.Subject{PodUID: "uid"}}
			if tc.reads != "" {
				st.inside = &inside{by: tc.reads, runs: []*reading{{attempt: 1, done: true, spans: tc.inside}}}
			}
			n := noticeOf(st, &tc.parcel)
			if got := strings.TrimSpace(n.kind + " " + n.text); got != tc.want {
				t.Errorf("said %q\nwant %q", got, tc.want)
			}
		})
	}
}
