// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/cluster"
)

// stampedAt are lines a tenth of a second apart, as the kubelet answers with them.
func stampedAt(from time.Time, lines ...string) string {
	var out strings.Builder
	for i, text := range lines {
		fmt.Fprintf(&out, "%s %s\n", from.Add(time.Duration(i)*100*time.Millisecond).UTC().Format(time.RFC3339Nano), text)
	}
	return out.String()
}

func secondsAfter(p *corev1.Pod, n int) metav1.Time {
	return metav1.NewTime(p.CreationTimestamp.Add(time.Duration(n) * time.Second))
}

func endedBetween(p *corev1.Pod, from, to int, code int32) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Error", StartedAt: secondsAfter(p, from), FinishedAt: secondsAfter(p, to)}}
}

func runningSince(p *corev1.Pod, from int) corev1.ContainerState {
	return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: secondsAfter(p, from)}}
}

// Whatever is not there or may not be read, what there is is drawn, and what is missing is named once.
func TestAPoorerPictureSaysWhatItLacks(t *testing.T) {
	b := newBare(t)
	b.namespace("models")
	pods := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list"}}
	noLogs := b.person("without-logs", "models", pods, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"list"}})
	noEvents := b.person("without-events", "models", pods, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods/log"}, Verbs: []string{"get"}})

	full := b.begin("models", "full", nil)
	b.happened(full, "Pulled", `Successfully pulled image "vllm/vllm-openai:v0.19.0" in 500ms (500ms including waiting). Image size: 9900000000 bytes.`, 900*time.Millisecond)
	b.happened(full, "Started", "Container started", 1010*time.Millisecond)
	b.ready(full, 28)
	b.log(full, false, said(full, len(vllm)))

	behind := b.begin("models", "behind", nil) // its node's clock is half a minute behind
	behind.Status.ContainerStatuses[0].State = runningSince(behind, -29)
	behind = b.status(behind)
	early := behind.DeepCopy()
	early.CreationTimestamp = secondsAfter(behind, -30)
	b.log(behind, false, said(early, len(vllm)))
	b.ready(behind, -2)

	older := b.begin("models", "older", nil)
	older.Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: "main", RestartCount: 1, State: runningSince(older, 90), LastTerminationState: endedBetween(older, 1, 60, 1)}
	older = b.status(older)
	b.log(older, false, said(older, 3))

	newer := b.begin("models", "newer", nil) // its last run has ended, and by now another one talks
	newer.Status.ContainerStatuses[0].State = endedBetween(newer, 1, 30, 1)
	newer = b.status(newer)
	b.log(newer, false, stampedAt(newer.CreationTimestamp.Add(40*time.Second), vllm[0].text, vllm[1].text))

	looping := b.begin("models", "looping", nil)
	looping.Status.ContainerStatuses[0] = corev1.ContainerStatus{
		Name: "main", RestartCount: 4, LastTerminationState: endedBetween(looping, 100, 116, 1),
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
	}
	looping = b.status(looping)
	last := looping.DeepCopy()
	last.CreationTimestamp = secondsAfter(looping, 99)
	b.log(looping, false, said(last, 3, "(EngineCore pid=9) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"))

	bare := b.begin("models", "unprobed", func(p *corev1.Pod) { p.Spec.Containers[0].ReadinessProbe = nil })
	bare = b.ready(bare, 1)
	b.log(bare, false, said(bare, len(vllm)))

	third := b.begin("models", "third", nil)
	third.Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: "main", RestartCount: 2, State: runningSince(third, 91), LastTerminationState: endedBetween(third, 31, 60, 1)}
	third = b.ready(b.status(third), 118)
	second, now := third.DeepCopy(), third.DeepCopy()
	second.CreationTimestamp, now.CreationTimestamp = secondsAfter(third, 30), secondsAfter(third, 90)
	b.log(third, true, said(second, 3, "(EngineCore pid=9) RuntimeError: NCCL error in: x.cpp:1, unhandled system error"))
	b.log(third, false, said(now, len(vllm)))

	always := corev1.ContainerRestartPolicyAlways
	helped := b.begin("models", "helped", func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "fetch", Image: "tools:1", Command: []string{"s5cmd", "cp", "s3://weights/*", "/model"}}, {Name: "proxy", Image: "proxy:1", RestartPolicy: &always}}
	})
	helped.Status.InitContainerStatuses = []corev1.ContainerStatus{
		{Name: "fetch", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: secondsAfter(helped, 1), FinishedAt: secondsAfter(helped, 20)}}},
		{Name: "proxy", State: runningSince(helped, 20)},
	}
	helped.Status.ContainerStatuses[0].State = runningSince(helped, 21)
	helped = b.ready(b.status(helped), 48)
	main := helped.DeepCopy()
	main.CreationTimestamp = secondsAfter(helped, 20)
	b.log(helped, false, said(main, len(vllm)))
	b.kubelet.mu.Lock()
	b.kubelet.logs["models/helped/fetch"] = stampedAt(helped.CreationTimestamp.Add(18*time.Second), "cp s3://weights/a.safetensors /model/a.safetensors", "cp s3://weights/b.safetensors /model/b.safetensors")
	b.kubelet.logs["models/helped/proxy"] = stampedAt(helped.CreationTimestamp.Add(21*time.Second), "listening")
	b.kubelet.mu.Unlock()

	for name, c := range map[string]struct {
		as    string
		args  []string
		want  []string // in the drawing
		says  []string // once, on standard error
		not   []string // in either
		reads []string // logs, and no others; nil: whatever it does
	}{
		"no right on logs": {
			noLogs, []string{"full"}, []string{"ready after", "image_pull main", "9.9 GB", "startup "},
			[]string{"no right to read the log of container main: coldtrace rights prints the Role"}, []string{"vllm_init", "events"}, nil,
		},
		"no right on events": {
			noEvents, []string{"full"}, []string{"ready after", "vllm_init", "torch_compile"},
			[]string{"no right to read events: coldtrace rights prints the Role"}, []string{"image_pull", "the log of"}, nil,
		},
		"a node whose clock is behind": {b.admin, []string{"behind"}, []string{"ready after", "vllm_init", "torch_compile", "server_ready"}, nil, []string{"another attempt"}, nil},
		"the log of an older attempt":  {b.admin, []string{"older"}, []string{"#2"}, []string{"the log of container main is of another attempt"}, []string{"vllm_init"}, nil},
		"the log of a newer attempt":   {b.admin, []string{"newer"}, []string{"exit_code=1"}, []string{"the log of container main is already that of the next attempt: try again"}, []string{"vllm_init"}, nil},
		"a crash loop keeps one log": {
			b.admin, []string{"looping"}, []string{"cuda_out_of_memory", "#5"},
			[]string{"of 5 attempts the log of the last one was read: those before are gone"}, []string{"--previous"}, []string{"models/looping/main"},
		},
		"a crash loop keeps one log, whatever is asked for": {
			b.admin, []string{"looping", "--previous"}, []string{"cuda_out_of_memory", "#5"},
			[]string{"of 5 attempts the log of the last one was read: those before are gone"}, nil, []string{"models/looping/main"},
		},
		"a container that runs for the third time": {
			b.admin, []string{"third"}, []string{"ready after"},
			[]string{"of 3 attempts the log of the last one was read: --previous reads one more; those before are gone"}, []string{"nccl_error"}, []string{"models/third/main"},
		},
		"a container that runs for the third time, and its run before": {
			b.admin, []string{"third", "--previous"}, []string{"ready after", "nccl_error", "torch_compile"},
			[]string{"of 3 attempts the logs of the last two were read: those before are gone"}, nil, []string{"models/third/main", "models/third/main?previous"},
		},
		"other containers' logs are left alone": {
			b.admin, []string{"helped"}, []string{"ready after 49.0 s", "init_container fetch", "vllm_init"}, nil, []string{"s5cmd_download", "fetch was"}, []string{"models/helped/main"},
		},
		"an init container's log, when asked for": {
			b.admin, []string{"helped", "-c", "fetch"}, []string{"ready after 49.0 s", "init_container fetch", "s5cmd_download"}, nil, []string{"vllm_init", "FAILED", "failed"}, []string{"models/helped/fetch"},
		},
		"a sidecar's log, when asked for": {
			b.admin, []string{"helped", "-c", "proxy"}, []string{"ready after 49.0 s"}, []string{"no engine was recognised in the log of container proxy"}, []string{"failed"}, []string{"models/helped/proxy"},
		},
		"nobody probes it, and its log says when it serves": {
			b.admin, []string{"unprobed"}, []string{"ready after 27.1 s", "torch_compile", "server_ready"}, nil, []string{"running after"}, nil,
		},
		"a container that there is not": {
			b.admin, []string{"helped", "-c", "nobody"}, []string{"ready after 49.0 s"},
			[]string{"there is no container nobody in helped: there are fetch, proxy, main"}, nil, []string{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b.kubelet.mu.Lock()
			clear(b.kubelet.whole)
			b.kubelet.mu.Unlock()
			out, errs, err := drawTrace(t, "", append([]string{"--kubeconfig", c.as, "--width", "100", "-n", "models"}, c.args...)...)
			if err != nil {
				t.Fatal(err, errs)
			}
			t.Logf("\n%s%s", out, errs)
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("the drawing lacks %q", want)
				}
			}
			for _, want := range c.says {
				if strings.Count(errs, want) != 1 {
					t.Errorf("it does not say once %q", want)
				}
			}
			for _, not := range c.not {
				if strings.Contains(out+errs, not) {
					t.Errorf("it says %q", not)
				}
			}
			if c.reads == nil {
				return
			}
			b.kubelet.mu.Lock()
			defer b.kubelet.mu.Unlock()
			for log, n := range b.kubelet.whole {
				if n != 1 || !slices.Contains(c.reads, log) {
					t.Errorf("%s was read %d times", log, n)
				}
			}
			if len(b.kubelet.whole) != len(c.reads) {
				t.Errorf("read %v, want %v", b.kubelet.whole, c.reads)
			}
		})
	}
	t.Run("events are gone after an hour", func(t *testing.T) {
		p, err := b.client.CoreV1().Pods("models").Get(t.Context(), "looping", metav1.GetOptions{})
		must(t, err)
		r := cluster.Reader{Client: b.client, MaxLogBytes: cluster.DefaultMaxLogBytes, Now: func() time.Time { return time.Now().Add(2 * time.Hour) }}
		if lacks := cluster.Lacking(r.Starts(t.Context(), []corev1.Pod{*p})); !slices.ContainsFunc(lacks, func(s string) bool { return strings.HasPrefix(s, "events are gone") }) {
			t.Errorf("it says %q", lacks)
		}
	})
	t.Run("what is usual is read of a few", func(t *testing.T) {
		owned := func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "llama-1", UID: "5a44de00-8fd2-4806-9638-a802730aea79", Controller: new(true)}}
		}
		for i := range 9 {
			p := b.begin("models", fmt.Sprintf("sibling-%d", i), owned)
			if i < 7 {
				p = b.ready(p, 28)
			}
			b.log(p, false, said(p, len(vllm)))
		}
		p := b.begin("models", "late", owned)
		b.log(p, false, said(p, 3))
		b.kubelet.mu.Lock()
		clear(b.kubelet.whole)
		b.kubelet.mu.Unlock()
		out, done := b.follow("late")
		out.await(t, "python_import")
		b.log(p, false, said(p, len(vllm)))
		b.ready(p, 28)
		if err := <-done; err != nil || !strings.Contains(out.String(), "usually") {
			t.Errorf("%v\n%s", err, out.String())
		}
		read := 0
		for log, n := range b.kubelet.whole {
			if strings.Contains(log, "sibling") {
				read += n
			}
		}
		if read != 4 || b.kubelet.whole["models/sibling-7/main"]+b.kubelet.whole["models/sibling-8/main"] != 0 {
			t.Errorf("read %v", b.kubelet.whole)
		}
	})
}
