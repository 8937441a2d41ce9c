// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/trace"
)

// watched are workloads in whose pods nothing of ours is: what each runs, and what its log tells.
var watched = map[string]struct {
	kind   string // Deployment or Job; a pod of its own if empty
	run    []func(*corev1.Pod, *corev1.Container)
	phases []string // spans from the log, each with a histogram
	failed string   // reason of each attempt; empty: it gets ready
	tries  int      // attempts to wait for, if it fails
}{
	"args-only-vllm": {kind: "Deployment", run: altered(argsOnly), phases: []string{
		startup.SpanVLLMInit, startup.SpanModelLoad, startup.SpanTorchCompile, startup.SpanCUDAGraphCapture, startup.SpanServerReady,
	}},
	"tgi":    {kind: "Deployment", run: altered(programs["argv-tgi"]), phases: []string{"tgi_init", startup.SpanServerReady}},
	"sglang": {kind: "Deployment", run: altered(programs["argv-sglang"]), phases: []string{"sglang_init", startup.SpanModelLoad, startup.SpanServerReady}},
	"job":    {kind: "Job", run: altered(programs["argv-vllm"], once), phases: []string{startup.SpanVLLMInit, startup.SpanModelLoad, startup.SpanServerReady}},
	"batch":  {kind: "Job", run: altered(argv("python", "vllm_batch.py"), once, unprobed), phases: []string{startup.SpanVLLMInit, startup.SpanModelLoad}},
	"lws": {run: altered(programs["argv-vllm"], func(pod *corev1.Pod, _ *corev1.Container) {
		for key, value := range map[string]string{"name": "watched", "group-index": "0", "worker-index": "0", "group-key": "77ab"} {
			pod.Labels["leaderworkerset.sigs.k8s.io/"+key] = value
		}
		pod.Annotations = map[string]string{"leaderworkerset.sigs.k8s.io/size": "2"}
	}), phases: []string{startup.SpanVLLMInit, startup.SpanModelLoad, startup.SpanServerReady}},
	"crash-loop": {run: altered(programs["argv-vllm"], withEnv("SIM_FAIL", "cuda_oom")), phases: []string{startup.SpanVLLMInit}, failed: "cuda_out_of_memory", tries: 2},
	// Killed by the kernel: of a container that is started again the log is that of the attempt before, else that of the last.
	"oom":       {run: altered(programs["argv-vllm"], outOfMemory), phases: []string{startup.SpanVLLMInit, startup.SpanModelLoad}, failed: "OOMKilled", tries: 2},
	"oom-never": {kind: "Job", run: altered(programs["argv-vllm"], outOfMemory, once), phases: []string{startup.SpanVLLMInit, startup.SpanModelLoad}, failed: "OOMKilled", tries: 1},
}

// unprobed is a container that nothing asks whether it serves: a batch job's.
func unprobed(_ *corev1.Pod, main *corev1.Container) { main.ReadinessProbe = nil }

// outOfMemory takes more memory than the container may have once its model is loaded.
func outOfMemory(pod *corev1.Pod, main *corev1.Container) {
	withEnv("SIM_FAIL", "host_oom")(pod, main)
	main.Resources.Limits[corev1.ResourceMemory] = resource.MustParse("96Mi")
}

func altered(c ...func(*corev1.Pod, *corev1.Container)) []func(*corev1.Pod, *corev1.Container) {
	return c
}

// small leaves room on the node for all of them at a time, and names the endpoint so that its histograms can be told.
func small(name string) func(*corev1.Pod, *corev1.Container) {
	return func(pod *corev1.Pod, main *corev1.Container) {
		pod.Labels["endpoint_name"] = name
		main.Resources.Requests[corev1.ResourceCPU], main.Resources.Requests[corev1.ResourceMemory] = resource.MustParse("20m"), resource.MustParse("32Mi")
		pod.Spec.Containers = []corev1.Container{*main}
	}
}

// Level 1 alone: there is no webhook, and nothing in any pod.
func TestWatchingAloneTellsWhatHappensInsideOfWhateverRuns(t *testing.T) {
	t.Cleanup(func() { reinstall(t) })
	if err := on.InstallChart(t.Context(), "webhook.enabled=false", "logs.namespaces={"+labelled+"}"); err != nil {
		t.Fatal(err)
	}
	for name, w := range watched {
		speed := "8"
		if w.tries > 1 {
			speed = "2" // an attempt takes longer to fail than a busy node takes to answer for the log of the one before, as with engines
		}
		work(t, w.kind, "watched-"+name, append(slices.Clone(w.run), withEnv("SIM_SPEED", speed), small("watched-"+name))...)
	}
	for name, w := range watched {
		t.Run(name, func(t *testing.T) {
			pod := watchedPod(t, "watched-"+name)
			if _, ok := pod.Annotations[config.StatusAnnotation]; ok || len(pod.Spec.InitContainers) > 0 || strings.Contains(strings.Join(container(pod, target).Command, " "), "coldtrace") {
				t.Errorf("it was changed: %v %q", pod.Annotations, container(pod, target).Command)
			}
			ctx, cancel := context.WithTimeout(t.Context(), startTime)
			defer cancel()
			if w.failed != "" {
				got := awaitAttempts(ctx, t, pod, w.tries)
				for _, n := range named(got, startup.SpanStartup) {
					if n.Reason() != w.failed {
						t.Errorf("the attempt from %s to %s failed by %q, want %s", n.Start.Format(time.StampMilli), n.End.Format(time.StampMilli), n.Reason(), w.failed)
					}
				}
				checkInside(t, got, w.phases)
				awaitPhases(ctx, t, "watched-"+name, w.phases)
				return
			}
			got, err := on.AwaitTrace(ctx, string(pod.UID), func(tr *trace.Trace) bool { return len(named(tr, startup.SpanPodStartup, startup.SpanStartup)) == 2 })
			if err != nil {
				t.Fatalf("%v\n%s", err, logs(t, pod))
			}
			if got.Outcome().Failed() {
				t.Errorf("the start is %v", got.Outcome())
			}
			checkInside(t, got, w.phases)
			awaitPhases(ctx, t, "watched-"+name, w.phases)
		})
	}
}

// work makes what runs the pod, and deletes it when the test is over.
func work(t *testing.T, kind, name string, change ...func(*corev1.Pod, *corev1.Container)) {
	t.Helper()
	if kind == "" {
		begin(t, labelled, name, change...)
		return
	}
	pod, err := endpoint(name, change...)
	if err != nil {
		t.Fatal(err)
	}
	meta := metav1.ObjectMeta{Name: name}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels, Annotations: pod.Annotations}, Spec: pod.Spec}
	apps, jobs := on.Kube.AppsV1().Deployments(labelled), on.Kube.BatchV1().Jobs(labelled)
	remove := apps.Delete
	if kind == "Job" {
		_, err = jobs.Create(t.Context(), &batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Template: template, BackoffLimit: new(int32)}}, metav1.CreateOptions{})
		remove = jobs.Delete
	} else {
		_, err = apps.Create(t.Context(), &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"e2e": name}}, Template: template,
		}}, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		background := metav1.DeletePropagationForeground
		if err := remove(context.Background(), name, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
			t.Error(err)
		}
	})
}

// watchedPod is the only pod of a workload, as soon as it is there.
func watchedPod(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	pod, err := on.AwaitPod(ctx, labelled, "e2e="+name, func(*corev1.Pod) (bool, error) { return true, nil })
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// awaitAttempts waits until so many attempts are told.
func awaitAttempts(ctx context.Context, t *testing.T, pod *corev1.Pod, tries int) *trace.Trace {
	t.Helper()
	got, err := on.AwaitTrace(ctx, string(pod.UID), func(tr *trace.Trace) bool { return len(named(tr, startup.SpanStartup)) >= tries })
	if err != nil {
		t.Fatalf("%v\n%s", err, logs(t, pod))
	}
	return got
}

// named are the spans of a trace with one of some names.
func named(tr *trace.Trace, names ...string) (out []*trace.Node) {
	tr.Walk(func(n *trace.Node) {
		if !n.Missing && slices.Contains(names, n.Name) {
			out = append(out, n)
		}
	})
	return out
}

// checkInside says which phases are not told, or by anything but a log.
func checkInside(t *testing.T, tr *trace.Trace, phases []string) {
	t.Helper()
	for _, phase := range phases {
		switch of := named(tr, phase); {
		case len(of) == 0:
			t.Errorf("no %s:\n%s", phase, trace.Waterfall(tr, trace.Options{Width: 120}))
		case fmt.Sprint(of[0].Get("service.name")) != startup.ServiceWrapper:
			t.Errorf("%s is told by %v", phase, of[0].Get("service.name"))
		}
	}
}

// awaitPhases waits until the collector has a histogram value of each phase of an endpoint.
func awaitPhases(ctx context.Context, t *testing.T, endpoint string, phases []string) {
	t.Helper()
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for {
		missing := slices.Clone(phases)
		for _, of := range metricRequests(t) {
			for _, p := range pointsOf(of, startup.MetricPhaseDuration) {
				labels := labelsOf(p)
				if labels[startup.AttrEndpointName] == endpoint && p.Count > 0 {
					missing = slices.DeleteFunc(missing, func(phase string) bool { return phase == labels[startup.LabelPhase] })
				}
			}
		}
		if len(missing) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			t.Errorf("no histogram of %v", missing)
			return
		case <-look.C:
		}
	}
}
