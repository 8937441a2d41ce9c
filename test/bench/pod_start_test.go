// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/coldtrace/coldtrace/test/stage"
)

const (
	labelled   = "bench-traced"
	unlabelled = "bench-plain"
)

var on *stage.Stage

func TestMain(m *testing.M) {
	klog.LogToStderr(false) // a warning of client-go would stand in the middle of a benchmark's line
	klog.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, m)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func run(ctx context.Context, m *testing.M) (code int, err error) {
	if on, err = stage.Open(ctx, os.Stderr); err != nil {
		return 1, fmt.Errorf("boot the cluster: %w", err)
	}
	defer func() { err = errors.Join(err, on.Close()) }()
	if err := on.StartAddon(ctx, "collector"); err != nil {
		return 1, fmt.Errorf("start collector: %w", err)
	}
	if err := on.PushImages(ctx); err != nil {
		return 1, fmt.Errorf("push images: %w", err)
	}
	for name, label := range map[string]bool{labelled: true, unlabelled: false} {
		if err := on.MakeNamespace(ctx, name, label); err != nil {
			return 1, fmt.Errorf("create namespace: %w", err)
		}
	}
	if err := on.InstallChart(ctx); err != nil {
		return 1, fmt.Errorf("install the chart: %w", err)
	}
	if err := on.AwaitInjection(ctx, labelled); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// arm is one way to start the same pod.
type arm struct {
	name      string
	namespace string
	// init gives the pod an init container that does nothing, as what any init container costs.
	init bool
	// volume gives the pod an image volume that nobody uses, as what any image volume costs.
	volume bool
	// delivery is the annotation's value; "": the pod is not injected.
	delivery string
}

var arms = []arm{
	{name: "plain", namespace: unlabelled},
	{name: "empty-init", namespace: unlabelled, init: true},
	{name: "init-container", namespace: labelled, delivery: "init-container"},
	{name: "empty-volume", namespace: unlabelled, volume: true},
	{name: "image-volume", namespace: labelled, delivery: "image-volume"},
}

// BenchmarkPodStart is the time from Scheduled, to the nanosecond in the event's name, until the first instruction of the
// container's own command, by its own clock; behind the wrapper where there is one. An operation is one pod of each arm,
// so many of them at once as the name says; the arms take turns, so that whatever else the machine does falls on all.
// Metrics are medians, and their spread from the 10th to the 90th percentile.
func BenchmarkPodStart(b *testing.B) {
	for _, together := range []int{1, 4, 8} { // the node has 8 GPUs
		b.Run("pods="+strconv.Itoa(together), func(b *testing.B) {
			took := make([][]time.Duration, len(arms))
			rounds := (b.N + together - 1) / together
			for round := range rounds {
				for i := range arms {
					at := (i + round) % len(arms)
					took[at] = append(took[at], start(b, arms[at], together)...)
				}
			}
			for i, a := range arms {
				slices.Sort(took[i])
				at := func(percent int) float64 {
					return float64(took[i][(len(took[i])-1)*percent/100].Microseconds()) / 1000
				}
				b.ReportMetric(at(50), a.name+"-ms")
				b.ReportMetric(at(10), a.name+"-p10-ms")
				b.ReportMetric(at(90), a.name+"-p90-ms")
			}
			median := func(name string) float64 {
				i := slices.IndexFunc(arms, func(a arm) bool { return a.name == name })
				return float64(took[i][(len(took[i])-1)/2])
			}
			b.ReportMetric(median("init-container")/median("empty-init"), "x-empty-init")
			b.ReportMetric(median("image-volume")/median("plain"), "x-plain")
			b.ReportMetric(median("image-volume")/median("empty-volume"), "x-empty-volume")
		})
	}
}

// start runs so many pods at once and says how long each took.
func start(b *testing.B, a arm, pods int) []time.Duration {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute)
	defer cancel()
	var made []*corev1.Pod
	for range pods {
		pod, err := on.Kube.CoreV1().Pods(a.namespace).Create(ctx, a.pod(), metav1.CreateOptions{})
		if err != nil {
			b.Fatal(err)
		}
		made = append(made, pod)
	}
	var took []time.Duration
	for _, pod := range made {
		over, err := on.AwaitPod(ctx, a.namespace, "bench="+pod.Labels["bench"], stage.Finished("main"))
		if err != nil {
			b.Fatal(err)
		}
		a.check(b, over)
		took = append(took, began(b, over).Sub(scheduled(ctx, b, over)))
		if err := on.Kube.CoreV1().Pods(a.namespace).Delete(ctx, pod.Name, *metav1.NewDeleteOptions(0)); err != nil {
			b.Fatal(err)
		}
	}
	return took
}

func (a arm) pod() *corev1.Pod {
	name := a.name + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{"managed-by": "model-engine", "bench": name}, Annotations: map[string]string{},
		},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers: []corev1.Container{{
				Name: "main", Image: on.Expand("registry.coldtrace.test/sim:dev"),
				// The server is only named, for admission to see an engine.
				Command:   []string{"/bin/bash", "-c", "printf %s $EPOCHREALTIME > /dev/termination-log; : python -m vllm_server"},
				Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}},
			}},
		},
	}
	if a.init {
		pod.Spec.InitContainers = []corev1.Container{{
			Name: "empty", Image: pod.Spec.Containers[0].Image, Command: []string{"/bin/bash", "-c", ":"},
		}}
	}
	if a.volume {
		pod.Spec.Volumes = []corev1.Volume{{Name: "empty", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{
			Reference: on.Expand("registry.coldtrace.test/coldtrace-wrapper:dev"), PullPolicy: corev1.PullIfNotPresent,
		}}}}
		pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "empty", MountPath: "/empty", ReadOnly: true}}
	}
	if a.delivery != "" {
		pod.Annotations["coldtrace.io/delivery"] = a.delivery
	}
	return pod
}

// check makes sure that the pod was started the way that is measured.
func (a arm) check(b *testing.B, pod *corev1.Pod) {
	b.Helper()
	var got string
	switch {
	case slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Image != nil && v.Name != "empty" }):
		got = "image-volume"
	case slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name != "empty" }):
		got = "init-container"
	}
	if got != a.delivery {
		b.Fatalf("a pod of arm %q was delivered by %q", a.name, got)
	}
}

// began is when the container's own command says that it began.
func began(b *testing.B, pod *corev1.Pod) time.Time {
	b.Helper()
	end := pod.Status.ContainerStatuses[0].State.Terminated
	if end == nil || end.ExitCode != 0 {
		b.Fatalf("the container ended with %+v", end)
	}
	micros, err := strconv.ParseInt(strings.ReplaceAll(end.Message, ".", ""), 10, 64)
	if err != nil {
		b.Fatalf("parse the container's time: %v", err)
	}
	return time.UnixMicro(micros)
}

// scheduled reads the time from the name of the scheduler's event, which ends with it.
func scheduled(ctx context.Context, b *testing.B, pod *corev1.Pod) time.Time {
	b.Helper()
	events, err := on.Kube.CoreV1().Events(pod.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: "reason=Scheduled,involvedObject.uid=" + string(pod.UID),
	})
	if err != nil {
		b.Fatal(err)
	}
	if len(events.Items) != 1 {
		b.Fatalf("%d Scheduled events", len(events.Items))
	}
	name := events.Items[0].Name
	nanos, err := strconv.ParseInt(name[strings.LastIndexByte(name, '.')+1:], 16, 64)
	if err != nil {
		b.Fatalf("parse the event's name: %v", err)
	}
	return time.Unix(0, nanos)
}
