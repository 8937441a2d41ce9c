// SPDX-License-Identifier: Apache-2.0

package watch_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/startup"
)

// simulated is an API server of which only as much exists as the watcher asks for: one namespace with many pods that are
// long ready, and starts that go on.
type simulated struct {
	pods int // that are ready

	podWatch, eventWatch chan any
}

type watchEvent struct {
	Type   string `json:"type"`
	Object any    `json:"object"`
}

func (s *simulated) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	watching := r.URL.Query().Get("watch") == "true"
	w.Header().Set("Content-Type", "application/json")
	switch path := strings.TrimPrefix(r.URL.Path, "/api/v1/"); {
	case path == "namespaces" && watching:
		s.stream(w, r, nil)
	case path == "namespaces":
		reply(w, corev1.NamespaceList{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NamespaceList"}, ListMeta: metav1.ListMeta{ResourceVersion: "1"},
			Items: []corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: podNamespace, ResourceVersion: "1"}}},
		})
	case strings.HasSuffix(path, "/pods") && watching:
		s.stream(w, r, s.podWatch)
	case strings.HasSuffix(path, "/pods"):
		s.listPods(w, r)
	case strings.HasSuffix(path, "/events") && watching:
		s.stream(w, r, s.eventWatch)
	case strings.HasSuffix(path, "/events"):
		reply(w, corev1.EventList{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "EventList"}, ListMeta: metav1.ListMeta{ResourceVersion: "1"},
		})
	case strings.HasPrefix(path, "nodes/"):
		reply(w, metav1.PartialObjectMetadata{
			TypeMeta:   metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"},
			ObjectMeta: metav1.ObjectMeta{Name: nodeName, Labels: map[string]string{"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}},
		})
	case strings.Contains(path, "/configmaps") && r.Method != http.MethodGet:
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		_, _ = io.Copy(w, r.Body)
	default: // of the checkpoint too: there is none at first
		w.WriteHeader(http.StatusNotFound)
		reply(w, metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure,
			Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound,
		})
	}
}

func reply(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }

// stream sends what comes until the client goes.
func (s *simulated) stream(w http.ResponseWriter, r *http.Request, events chan any) {
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case e := <-events:
			if json.NewEncoder(w).Encode(e) != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	}
}

func (s *simulated) listPods(w http.ResponseWriter, r *http.Request) {
	first, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	last := min(first+limit, s.pods)
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, ListMeta: metav1.ListMeta{ResourceVersion: "1"}}
	if last < s.pods {
		list.Continue = strconv.Itoa(last)
	}
	for i := first; i < last; i++ {
		pod := simulatedPod(i)
		ready(pod, time.Now().Add(-24*time.Hour))
		list.Items = append(list.Items, *pod)
	}
	reply(w, list)
}

// simulatedPod has about the size of a real one.
func simulatedPod(i int) *corev1.Pod {
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("launch-endpoint-id-end-%08d-7c9d4f6b58-q2x8w", i), Namespace: podNamespace, ResourceVersion: "1",
			UID:               types.UID(fmt.Sprintf("%08x-0000-4000-8000-000000000001", i)),
			Labels:            map[string]string{"managed-by": "model-engine", "endpoint_name": fmt.Sprintf("endpoint-%d", i%200)},
			CreationTimestamp: metav1.NewTime(time.Now().Add(-24 * time.Hour)),
		},
		Spec: corev1.PodSpec{NodeName: nodeName},
	}
	for _, name := range []string{"main", "http-forwarder"} {
		c := corev1.Container{Name: name, Image: "registry.test/vllm:v0.9.2", Command: []string{"python", "-m", "vllm_server"}}
		for n := range 40 {
			c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("VARIABLE_NUMBER_%d", n), Value: "a value of some length, as they have"})
		}
		if name == "main" {
			c.Resources.Limits = corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}
		}
		pod.Spec.Containers = append(pod.Spec.Containers, c)
	}
	return pod
}

func ready(pod *corev1.Pod, at time.Time) {
	pod.Status.Phase = corev1.PodRunning
	for _, c := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: c, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(at)})
	}
	pod.Status.ContainerStatuses = nil
	for _, c := range pod.Spec.Containers {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(at)}},
		})
	}
}

// TestScale measures the watcher's process. It is off unless COLDTRACE_SCALE_PODS says how many pods there are.
func TestScale(t *testing.T) {
	pods := drillSize("COLDTRACE_SCALE_PODS", 0)
	if pods == 0 {
		t.Skip("COLDTRACE_SCALE_PODS is not set")
	}
	inFlight, seconds, rate := drillSize("COLDTRACE_SCALE_IN_FLIGHT", 5000), drillSize("COLDTRACE_SCALE_SECONDS", 30), 500
	s := &simulated{pods: pods, podWatch: make(chan any, 100), eventWatch: make(chan any, 100)}
	server := httptest.NewServer(s)
	t.Cleanup(server.CloseClientConnections)
	r := newReceiver(t)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: %q}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\ncurrent-context: c\n", server.URL)
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("COLDTRACE_DRILL_ALONE", "true")
	l := newLeader(t, path, r.address)
	defer func() { l.end(syscall.SIGTERM) }()

	began := time.Now()
	created := make([]*corev1.Pod, inFlight)
	for i := range created {
		created[i] = simulatedPod(pods + i)
		created[i].CreationTimestamp = metav1.Now()
		created[i].Spec.NodeName = ""
		s.podWatch <- watchEvent{"ADDED", created[i]}
	}
	t.Logf("list of %d and %d new pods taken after %s", pods, inFlight, time.Since(began).Round(100*time.Millisecond))
	before := cpuSeconds(t, l.cmd.Process.Pid)
	measured := time.Now()
	var lags []time.Duration
	ticker := time.NewTicker(time.Second / time.Duration(rate))
	defer ticker.Stop()
	for n := range seconds * rate {
		<-ticker.C
		pod := created[n/5%inFlight]
		now := time.Now()
		reason := []string{"Scheduled", "Pulling", "Pulled", "Created", "Started"}[n%5]
		e := &corev1.Event{
			TypeMeta:       metav1.TypeMeta{APIVersion: "v1", Kind: "Event"},
			ObjectMeta:     metav1.ObjectMeta{Name: fmt.Sprintf("%s.%x", pod.Name, now.UnixNano()), Namespace: podNamespace, ResourceVersion: "2"},
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: podNamespace, Name: pod.Name, UID: pod.UID},
			Reason:         reason, Count: 1, FirstTimestamp: metav1.NewTime(now), LastTimestamp: metav1.NewTime(now),
			Message: `Successfully pulled image "registry.test/vllm:v0.9.2" in 2ms (2ms including waiting). Image size: 4942111 bytes.`,
		}
		if reason != "Scheduled" {
			e.InvolvedObject.FieldPath = "spec.containers{main}"
		}
		s.eventWatch <- watchEvent{"ADDED", e}
		if reason == "Scheduled" {
			pod.Spec.NodeName, pod.ResourceVersion = nodeName, "2"
			s.podWatch <- watchEvent{"MODIFIED", pod.DeepCopy()}
			trace, sent := startup.MD5.TraceID(string(pod.UID)).String(), now
			if n%50 == 0 {
				if r.wait(within(t, 20*time.Second), func() bool { return r.named(trace, startup.SpanPodPending) != nil }) {
					lags = append(lags, time.Since(sent))
				}
			}
		}
	}
	elapsed := time.Since(measured).Seconds()
	cpu := (cpuSeconds(t, l.cmd.Process.Pid) - before) / elapsed
	slices.Sort(lags)
	t.Logf("%d pods, %d in flight, %.0f events/s for %.0f s: peak RSS %d MB, CPU %.2f cores, lag of pod_pending p50 %s p99 %s (%d samples)",
		pods, inFlight, float64(seconds*rate)/elapsed, elapsed, peakRSS(t, l.cmd.Process.Pid), cpu,
		lags[len(lags)/2], lags[len(lags)*99/100], len(lags))
}

func peakRSS(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(data)
	kb, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kb / 1000
}

func cpuSeconds(t *testing.T, pid int) float64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')'):]))
	user, _ := strconv.Atoi(fields[12])
	system, _ := strconv.Atoi(fields[13])
	return float64(user+system) / 100
}
