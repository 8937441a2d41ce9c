// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/encoding/protojson"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/stage"
	"github.com/coldtrace/coldtrace/trace"
)

// groupSize is that of the group in pods: a leader and three workers, of which worker 2's image comes late and worker 3's
// command fails once.
const groupSize = 4

func TestAGroupOfPodsIsOneStart(t *testing.T) {
	first := beginGroup(t)
	awaitGroup(t, first)
	drawing := awaitDrawing(t, first)
	t.Log("\n" + drawing)
	for _, want := range []string{"group " + labelled + "/lws/group/0, 4 pods", "held up by worker 2", "image_pull", "worker 1", "worker 3", "ready after"} {
		if !strings.Contains(drawing, want) {
			t.Errorf("the drawing lacks %q", want)
		}
	}
	checkLinks(t, first)
	awaitGroups(t, 1)

	for _, pod := range first {
		remove(t, pod)
	}
	second := beginGroup(t) // as LWS's controller makes a group again: with the same names
	awaitGroup(t, second)
	awaitDrawing(t, second)
	awaitGroups(t, 2)
}

// beginGroup creates the pods of a group as the controller and webhook of LeaderWorkerSet (v0.10) and the StatefulSet controller do.
func beginGroup(t *testing.T) []*corev1.Pod {
	t.Helper()
	var pods []*corev1.Pod
	leaders, workers := statefulSet(t, "group"), types.UID("")
	for i := range groupSize {
		owner, uid := "group", leaders
		if i > 0 {
			if workers == "" {
				workers = statefulSet(t, "group-0")
			}
			owner, uid = "group-0", workers
		}
		pods = append(pods, begin(t, labelled, memberName(i), member(i, owner, uid)))
	}
	t.Cleanup(func() {
		for _, name := range []string{"group", "group-0"} {
			releaseStatefulSet(t, name)
		}
	})
	return pods
}

func memberName(i int) string {
	if i == 0 {
		return "group-0"
	}
	return fmt.Sprintf("group-0-%d", i)
}

func member(i int, owner string, uid types.UID) func(*corev1.Pod, *corev1.Container) {
	return func(pod *corev1.Pod, main *corev1.Container) {
		yes := true
		pod.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "apps/v1", Kind: "StatefulSet", Name: owner, UID: uid, Controller: &yes, BlockOwnerDeletion: &yes,
		}}
		for key, value := range map[string]string{"name": "group", "group-index": "0", "worker-index": strconv.Itoa(i), "group-key": "5f1d", "template-revision-hash": "6d9c"} {
			pod.Labels["leaderworkerset.sigs.k8s.io/"+key] = value
		}
		pod.Labels["apps.kubernetes.io/pod-index"], pod.Labels["controller-revision-hash"] = strconv.Itoa(i), owner+"-7f9b"
		pod.Annotations = map[string]string{"leaderworkerset.sigs.k8s.io/size": strconv.Itoa(groupSize)}
		if i == 0 {
			withEnv("SIM_SPEED", "12")(pod, main)
			return
		}
		pod.Annotations["leaderworkerset.sigs.k8s.io/leader-name"] = "group-0"
		pod.Annotations["coldtrace.io/role"] = string(startup.RoleWorker)
		main.ReadinessProbe = nil
		main.Command = []string{"/bin/bash", "-c", "exec /bin/sleep 3600"}
		switch i {
		case 2:
			main.Image += "-not-there-yet"
		case 3:
			main.Command[2] = "[ -e /dev/shm/failed ] || { : > /dev/shm/failed; exit 1; }; " + main.Command[2]
		}
		pod.Spec.Containers = []corev1.Container{*main}
	}
}

// statefulSet makes one that exists and does nothing, as the owner of pods that this test makes in its place: its deletion is
// held up, and until it is gone neither its controller nor the garbage collector touches them.
func statefulSet(t *testing.T, name string) types.UID {
	t.Helper()
	releaseStatefulSet(t, name)
	sets := on.Kube.AppsV1().StatefulSets(labelled)
	none := int32(0)
	labels := map[string]string{"e2e-owner": name}
	made, err := sets.Create(t.Context(), &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Finalizers: []string{"coldtrace.io/e2e"}},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &none, ServiceName: name, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "none"}}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	background := metav1.DeletePropagationBackground
	if err := sets.Delete(t.Context(), name, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		t.Fatal(err)
	}
	return made.UID
}

// releaseStatefulSet lets one go, and waits until it is gone.
func releaseStatefulSet(t *testing.T, name string) {
	t.Helper()
	sets := on.Kube.AppsV1().StatefulSets(labelled)
	patch := []byte(`{"metadata":{"finalizers":null}}`)
	for range 100 {
		switch _, err := sets.Patch(context.Background(), name, types.MergePatchType, patch, metav1.PatchOptions{}); {
		case apierrors.IsNotFound(err):
			return
		case err != nil:
			t.Error(err)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("StatefulSet %s does not go", name)
}

// awaitGroup lets worker 2's image come once the kubelet has missed it, and waits until all pods run.
func awaitGroup(t *testing.T, pods []*corev1.Pod) {
	t.Helper()
	await(t, pods[2], func(pod *corev1.Pod) (bool, error) {
		return slices.ContainsFunc(pod.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
			return c.State.Waiting != nil && c.State.Waiting.Reason == "ImagePullBackOff"
		}), nil
	})
	image := strings.TrimSuffix(container(pods[2], target).Image, "-not-there-yet")
	patch := []byte(fmt.Sprintf(`[{"op":"replace","path":"/spec/containers/0/image","value":%q}]`, image))
	if _, err := on.Kube.CoreV1().Pods(labelled).Patch(t.Context(), pods[2].Name, types.JSONPatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods {
		await(t, pod, stage.Ready)
	}
}

// awaitDrawing waits until the collector has the roots of all pods, and draws the group.
func awaitDrawing(t *testing.T, pods []*corev1.Pod) string {
	t.Helper()
	for _, pod := range pods {
		awaitTrace(t, string(pod.UID), startup.SpanPodStartup)
	}
	awaitTrace(t, string(pods[0].UID), startup.SpanPodStartup, startup.SpanStartup)
	spans, err := on.Spans()
	if err != nil {
		t.Fatal(err)
	}
	leader := startup.MD5.TraceID(string(pods[0].UID)).String()
	for _, group := range trace.Collapse(trace.Build(spans)) {
		if group.ID == leader {
			return trace.Waterfall(group, trace.Options{Width: 100})
		}
	}
	t.Fatal("the group's leader is in no drawing")
	return ""
}

// checkLinks holds the roots' links against the pods' UIDs.
func checkLinks(t *testing.T, pods []*corev1.Pod) {
	t.Helper()
	spans, err := on.Spans()
	if err != nil {
		t.Fatal(err)
	}
	root := func(pod *corev1.Pod) (id string) {
		return startup.MD5.SpanID(string(pod.UID), startup.SpanPodStartup).String()
	}
	for i, pod := range pods {
		want := []string{root(pods[0])}
		if i == 0 {
			want = []string{root(pods[1]), root(pods[2]), root(pods[3])}
		}
		for _, s := range spans {
			if s.ID != root(pod) {
				continue
			}
			var got []string
			for _, l := range s.Links {
				got = append(got, l.ID)
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s leads to %v, want %v", pod.Name, got, want)
			}
		}
	}
}

// awaitGroups waits until the collector has so many starts of this test's groups, all of which got ready, and no more.
func awaitGroups(t *testing.T, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for {
		got, err := groupStarts(t)
		if err == nil && got == want {
			return
		}
		if err != nil || got > want {
			t.Fatalf("%d starts of the group were measured, want %d: %v", got, want, err)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%d starts of the group were measured, want %d", got, want)
		case <-look.C:
		}
	}
}

// groupStarts counts the values of startup.group.duration_seconds of groups of this test's size.
func groupStarts(t *testing.T) (n int, err error) {
	t.Helper()
	for _, of := range metricRequests(t) {
		for _, p := range pointsOf(of, startup.MetricGroupDuration) {
			switch labels := labelsOf(p); {
			case labels[startup.LabelGroupSize] != strconv.Itoa(groupSize):
			case labels[startup.AttrOutcome] != startup.OutcomeReady:
				return n, errors.New("a group is " + labels[startup.AttrOutcome])
			default:
				n += int(p.Count) //nolint:gosec // small
			}
		}
	}
	return n, nil
}

// metricRequests are metricLines, read.
func metricRequests(t *testing.T) (out []*metricspb.ResourceMetrics) {
	t.Helper()
	for text := range strings.Lines(metricLines(t)) {
		var request metricspb.MetricsData
		if protojson.Unmarshal([]byte(text), &request) == nil { // else it is still being written
			out = append(out, request.ResourceMetrics...)
		}
	}
	return out
}

func labelsOf(p *metricspb.ExponentialHistogramDataPoint) map[string]string {
	labels := map[string]string{}
	for _, a := range p.Attributes {
		labels[a.Key] = a.Value.GetStringValue()
	}
	return labels
}

func pointsOf(of *metricspb.ResourceMetrics, metric string) (out []*metricspb.ExponentialHistogramDataPoint) {
	for _, scope := range of.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name == metric {
				out = append(out, m.GetExponentialHistogram().GetDataPoints()...)
			}
		}
	}
	return out
}
