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
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/streaming"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	restwatch "k8s.io/client-go/rest/watch"

	"github.com/coldtrace/coldtrace/startup"
)

// simulated is an API server of which only as much exists as the watcher asks for: one namespace with many pods that are
// long ready, and starts that go on. It speaks protobuf, as the real one does to a client that asks for it.
type simulated struct {
	pods int // that are ready

	podWatch, eventWatch chan apiwatch.Event
}

func (s *simulated) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	watching := r.URL.Query().Get("watch") == "true"
	switch path := strings.TrimPrefix(r.URL.Path, "/api/v1/"); {
	case path == "namespaces" && watching:
		stream(w, r, nil)
	case path == "namespaces":
		reply(w, &corev1.NamespaceList{
			ListMeta: metav1.ListMeta{ResourceVersion: "1"},
			Items:    []corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: podNamespace, ResourceVersion: "1"}}},
		})
	case strings.HasSuffix(path, "/pods") && watching:
		stream(w, r, s.podWatch)
	case strings.HasSuffix(path, "/pods"):
		s.listPods(w, r)
	case strings.HasSuffix(path, "/events") && watching:
		stream(w, r, s.eventWatch)
	case strings.HasSuffix(path, "/events"):
		reply(w, &corev1.EventList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}})
	case strings.HasPrefix(path, "nodes/"):
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(metav1.PartialObjectMetadata{
			TypeMeta:   metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"},
			ObjectMeta: metav1.ObjectMeta{Name: nodeName, Labels: map[string]string{"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}},
		})
	case strings.Contains(path, "/configmaps") && r.Method != http.MethodGet:
		object, err := io.ReadAll(r.Body) // whole: an answer that has begun ends the request
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		_, _ = w.Write(object)
	default: // of the checkpoint too: there is none at first
		w.Header().Set("Content-Type", protobufType)
		w.WriteHeader(http.StatusNotFound)
		_ = protobufEncoder().Encode(&metav1.Status{
			Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound,
		}, w)
	}
}

const protobufType = "application/vnd.kubernetes.protobuf"

func protobufInfo() runtime.SerializerInfo {
	info, ok := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), protobufType)
	if !ok {
		panic("the scheme has no protobuf")
	}
	return info
}

func protobufEncoder() runtime.Encoder {
	return scheme.Codecs.EncoderForVersion(protobufInfo().Serializer, corev1.SchemeGroupVersion)
}

func reply(w http.ResponseWriter, o runtime.Object) {
	w.Header().Set("Content-Type", protobufType)
	_ = protobufEncoder().Encode(o, w)
}

// stream sends what comes until the client goes.
func stream(w http.ResponseWriter, r *http.Request, events chan apiwatch.Event) {
	w.Header().Set("Content-Type", protobufType+";stream=watch")
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	info := protobufInfo()
	out := restwatch.NewEncoder(
		streaming.NewEncoder(info.StreamSerializer.NewFrameWriter(w), scheme.Codecs.EncoderForVersion(info.StreamSerializer.Serializer, corev1.SchemeGroupVersion)),
		protobufEncoder())
	for {
		select {
		case <-r.Context().Done():
			return
		case e := <-events:
			if out.Encode(&e) != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	}
}

func (s *simulated) listPods(w http.ResponseWriter, r *http.Request) {
	first, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	if limit == 0 {
		limit = s.pods
	}
	last := min(first+limit, s.pods)
	list := corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}
	if last < s.pods {
		list.Continue = strconv.Itoa(last)
	}
	for i := first; i < last; i++ {
		pod := simulatedPod(i)
		ready(pod, time.Now().Add(-24*time.Hour))
		list.Items = append(list.Items, *pod)
	}
	reply(w, &list)
}

// simulatedPod has about the size of a real one.
func simulatedPod(i int) *corev1.Pod {
	pod := &corev1.Pod{
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

// TestScale measures the watcher's process. It is off unless COLDTRACE_SCALE_PODS says how many pods there are; with
// COLDTRACE_SCALE_GROUP those that start are of groups of that size.
func TestScale(t *testing.T) {
	pods := drillSize("COLDTRACE_SCALE_PODS", 0)
	if pods == 0 {
		t.Skip("COLDTRACE_SCALE_PODS is not set")
	}
	m := measureScale(t, "", pods, drillSize("COLDTRACE_SCALE_IN_FLIGHT", 5000), drillSize("COLDTRACE_SCALE_SECONDS", 30))
	t.Logf("%d pods, %.0f events/s: peak RSS %d MB (at the end %d MB of memory, %d MB of the binary's file), CPU %.2f cores, lag of pod_pending p50 %s p99 %s",
		pods, m.rate, m.peakMB, m.heldMB, m.fileMB, m.cores, m.p50, m.p99)
}

// BenchmarkScale measures the watcher's process and one with typed informers that select the same pods and events and do
// nothing with them, which is what most watchers are built on. In each 2,000 more pods start, with 500 events a second.
func BenchmarkScale(b *testing.B) {
	for _, pods := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("pods=%d", pods), func(b *testing.B) {
			var own, informer scale
			for b.Loop() {
				own, informer = measureScale(b, "", pods, 2000, 15), measureScale(b, withInformers, pods, 2000, 15)
			}
			b.ReportMetric(float64(own.peakMB), "coldtrace-MB")
			b.ReportMetric(float64(informer.peakMB), "informers-MB")
			b.ReportMetric(float64(informer.peakMB)/float64(own.peakMB), "x-less")
			b.ReportMetric(own.cores*100, "coldtrace-%core")
			b.ReportMetric(informer.cores*100, "informers-%core")
			b.ReportMetric(float64(own.p50.Milliseconds()), "lag-p50-ms")
			b.ReportMetric(float64(own.p99.Milliseconds()), "lag-p99-ms")
		})
	}
}

// scale is what a process needed.
type scale struct {
	peakMB, heldMB, fileMB int     // at most; of its own and of its binary, at the end
	cores                  float64 // while events came
	rate                   float64 // events per second
	p50, p99               time.Duration
}

// withInformers makes the measured process one of informers, which export nothing: it has no lag.
const withInformers = "informers"

// inGroup makes the pod one of a LeaderWorkerSet's groups of a size.
func inGroup(pod *corev1.Pod, i, size int) {
	yes := true
	group := strconv.Itoa(i / size)
	for key, value := range map[string]string{"name": "llama", "group-index": group, "worker-index": strconv.Itoa(i % size)} {
		pod.Labels["leaderworkerset.sigs.k8s.io/"+key] = value
	}
	pod.Annotations = map[string]string{"leaderworkerset.sigs.k8s.io/size": strconv.Itoa(size)}
	if i%size > 0 {
		pod.Annotations["leaderworkerset.sigs.k8s.io/leader-name"] = "llama-" + group
	}
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "llama-" + group, UID: types.UID("workers-" + group), Controller: &yes}}
}

// measureScale starts a process with so many pods that are long ready, lets others start, and sends events for a while.
func measureScale(t testing.TB, process string, pods, inFlight, seconds int) scale {
	t.Helper()
	const rate = 500
	s := &simulated{pods: pods, podWatch: make(chan apiwatch.Event, 100), eventWatch: make(chan apiwatch.Event, 100)}
	server := httptest.NewServer(s)
	t.Cleanup(server.CloseClientConnections)
	r := newReceiver(t)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: %q}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\ncurrent-context: c\n", server.URL)
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("COLDTRACE_DRILL_ALONE", "true")
	t.Setenv(envProcess, process)
	t.Setenv("KUBE_FEATURE_WatchListClient", "false") // the simulated API server has no streaming lists
	l := newLeader(t, path, r.address)
	defer func() { l.end(syscall.SIGTERM) }()

	began := time.Now()
	created := make([]*corev1.Pod, inFlight)
	for i := range created {
		created[i] = simulatedPod(pods + i)
		created[i].CreationTimestamp = metav1.Now()
		created[i].Spec.NodeName = ""
		if size := drillSize("COLDTRACE_SCALE_GROUP", 0); size > 0 {
			inGroup(created[i], i, size)
		}
		s.podWatch <- apiwatch.Event{Type: apiwatch.Added, Object: created[i]}
	}
	t.Logf("list of %d and %d new pods taken after %s", pods, inFlight, time.Since(began).Round(100*time.Millisecond))
	before := cpuSeconds(t, l.cmd.Process.Pid)
	measured := time.Now()
	var (
		mu      sync.Mutex
		lags    []time.Duration
		samples sync.WaitGroup
	)
	for n := range seconds * rate {
		// By the clock, so that a machine which is late catches up: the rate is what was asked for.
		pause(time.Until(measured.Add(time.Duration(n) * time.Second / time.Duration(rate))))
		pod := created[n/5%inFlight]
		now := time.Now()
		reason := []string{"Scheduled", "Pulling", "Pulled", "Created", "Started"}[n%5]
		e := &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Name: fmt.Sprintf("%s.%x", pod.Name, now.UnixNano()), Namespace: podNamespace, ResourceVersion: "2"},
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: podNamespace, Name: pod.Name, UID: pod.UID},
			Reason:         reason, Count: 1, FirstTimestamp: metav1.NewTime(now), LastTimestamp: metav1.NewTime(now),
			Message: `Successfully pulled image "registry.test/vllm:v0.9.2" in 2ms (2ms including waiting). Image size: 4942111 bytes.`,
		}
		if reason != "Scheduled" {
			e.InvolvedObject.FieldPath = "spec.containers{main}"
		}
		s.eventWatch <- apiwatch.Event{Type: apiwatch.Added, Object: e}
		if reason == "Scheduled" {
			pod.Spec.NodeName, pod.ResourceVersion = nodeName, "2"
			s.podWatch <- apiwatch.Event{Type: apiwatch.Modified, Object: pod.DeepCopy()}
			if n%50 == 0 && process != withInformers {
				samples.Go(func() {
					trace := startup.MD5.TraceID(string(pod.UID)).String()
					if !r.wait(within(t, 20*time.Second), func() bool { return r.named(trace, startup.SpanPodPending) != nil }) {
						t.Errorf("pod_pending of %s did not come", pod.Name)
						return
					}
					mu.Lock()
					defer mu.Unlock()
					lags = append(lags, time.Since(now))
				})
			}
		}
	}
	elapsed := time.Since(measured).Seconds()
	samples.Wait()
	cpu := (cpuSeconds(t, l.cmd.Process.Pid) - before) / elapsed
	out := scale{
		peakMB: memory(t, l.cmd.Process.Pid, "VmHWM"), heldMB: memory(t, l.cmd.Process.Pid, "RssAnon"),
		fileMB: memory(t, l.cmd.Process.Pid, "RssFile"), cores: cpu, rate: float64(seconds*rate) / elapsed,
	}
	if slices.Sort(lags); len(lags) > 0 {
		out.p50, out.p99 = lags[len(lags)/2], lags[len(lags)*99/100]
	}
	return out
}

// memory is a figure of the process's status, in MB.
func memory(t testing.TB, pid int, figure string) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(figure + `:\s+(\d+) kB`).FindSubmatch(data)
	kb, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kb / 1000
}

func cpuSeconds(t testing.TB, pid int) float64 {
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
