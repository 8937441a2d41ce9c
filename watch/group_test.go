// SPDX-License-Identifier: Apache-2.0

package watch_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/watch"
)

// lwsPod is a pod as LeaderWorkerSet's controller and webhook make it: the leader's owner is the set's StatefulSet, that of the
// workers is one which the leader owns.
func lwsPod(set string, index, size int, making string) *corev1.Pod {
	leader := set + "-0"
	pod := endpointPod(podNamespace, leader, map[string]string{"leaderworkerset.sigs.k8s.io/size": strconv.Itoa(size)})
	owner := set
	if index > 0 {
		pod.Name, owner = fmt.Sprintf("%s-%d", leader, index), leader
		pod.Annotations["leaderworkerset.sigs.k8s.io/leader-name"] = leader
		pod.Spec.Containers[0].ReadinessProbe = nil
		pod.Spec.Containers[0].Command = append(pod.Spec.Containers[0].Command, "--headless")
	}
	for key, value := range map[string]string{
		"name": set, "group-index": "0", "worker-index": strconv.Itoa(index), "group-key": "8d1f", "template-revision-hash": "77b",
	} {
		pod.Labels["leaderworkerset.sigs.k8s.io/"+key] = value
	}
	yes := true
	pod.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "apps/v1", Kind: "StatefulSet", Name: owner, UID: types.UID(owner + "-" + making), Controller: &yes,
	}}
	return pod
}

func (a *api) mustCreate(t *testing.T, pod *corev1.Pod) *scripted {
	t.Helper()
	s, err := a.createPod(t.Context(), pod)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustPlay(t *testing.T, starts ...*scripted) {
	t.Helper()
	for _, s := range starts {
		if err := s.play(t.Context(), func() {}); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *scripted) remove(t *testing.T) {
	t.Helper()
	now := int64(0)
	if err := s.a.client.CoreV1().Pods(s.pod.Namespace).Delete(t.Context(), s.pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
}

// measured waits for the values of a metric, and sums up how many there are of each set of labels.
func (r *receiver) measured(t *testing.T, metric string, want map[string]uint64) {
	t.Helper()
	got := func() map[string]uint64 {
		out := map[string]uint64{}
		for _, p := range r.values[metric] {
			out[p.labels] += p.count
		}
		return out
	}
	if !r.wait(within(t, 30*time.Second), func() bool { return fmt.Sprint(got()) == fmt.Sprint(want) }) {
		r.wait(t.Context(), func() bool { t.Errorf("%s: got %v, want %v", metric, got(), want); return true })
	}
}

// linked are the traces that a pod's root leads to.
func (r *receiver) linked(t *testing.T, s *scripted) (to []string) {
	t.Helper()
	r.wait(t.Context(), func() bool {
		root := r.named(s.trace(), startup.SpanPodStartup)
		if root == nil {
			return true
		}
		for _, l := range root.Links {
			to = append(to, hex.EncodeToString(l.TraceId))
		}
		return true
	})
	slices.Sort(to)
	return to
}

func traces(of ...*scripted) (out []string) {
	for _, s := range of {
		out = append(out, s.trace())
	}
	slices.Sort(out)
	return out
}

// groupWithoutLeader makes a group of three, whose workers are told and whose leader is not ready.
func groupWithoutLeader(t *testing.T, a *api, r *receiver) (leader, one, two *scripted) {
	t.Helper()
	leader, one, two = a.mustCreate(t, lwsPod("llama", 0, 3, "a")), a.mustCreate(t, lwsPod("llama", 1, 3, "a")), a.mustCreate(t, lwsPod("llama", 2, 3, "a"))
	mustPlay(t, one, two)
	for _, s := range []*scripted{one, two} {
		if !r.wait(within(t, 20*time.Second), r.complete(s.trace())) {
			t.Fatal("a worker's spans are missing")
		}
	}
	return leader, one, two
}

func TestAGroupIsToldOnceWhoeverLeads(t *testing.T) {
	a := startAPI(t)
	r := newReceiver(t)
	labels := func(outcome string) string {
		return "endpoint_name=llama-3-8b gpu_type=h100 group_size=3 model_name=llama outcome=" + outcome
	}
	metrics := prometheus.NewRegistry()
	stop := run(t, newWatcher(t, a.rest, r.address, metrics))
	leader, one, two := groupWithoutLeader(t, a, r)
	for _, s := range []*scripted{one, two} {
		if got := r.linked(t, s); !slices.Equal(got, traces(leader)) {
			t.Errorf("a worker leads to %v, want its leader %v", got, traces(leader))
		}
	}
	stop() // the workers were told by one leader, the group by the next
	stop = run(t, newWatcher(t, a.rest, r.address, nil))
	mustPlay(t, leader)
	if !r.wait(within(t, 20*time.Second), r.complete(leader.trace())) {
		t.Fatal("the leader's spans are missing")
	}
	if got := r.linked(t, leader); !slices.Equal(got, traces(one, two)) {
		t.Errorf("the leader leads to %v, want its workers %v", got, traces(one, two))
	}
	told := map[string]uint64{labels("ready"): 1}
	r.measured(t, startup.MetricGroupDuration, told)

	stop() // nor does a third leader tell it again
	stop = run(t, newWatcher(t, a.rest, r.address, nil))
	for _, s := range []*scripted{leader, one, two} { // the set makes the group again; the new leader fails before it is ready
		s.remove(t)
	}
	failing := a.mustCreate(t, lwsPod("llama", 0, 3, "b"))
	worker := a.mustCreate(t, lwsPod("llama", 1, 3, "b"))
	mustPlay(t, worker)
	if !r.wait(within(t, 20*time.Second), r.complete(worker.trace())) { // this leader watches: it sees the pod that fails go
		t.Fatal("a worker's spans are missing")
	}
	failing.remove(t)
	told[labels("deleted")] = 1
	r.measured(t, startup.MetricGroupDuration, told)
	stop()
	r.wait(t.Context(), func() bool {
		if n := len(r.values[startup.MetricGroupStraggler]); n != 1 {
			t.Errorf("%d values of who was last, want that of the group that got ready", n)
		}
		return true
	})
}

// A group counts as told when its pods' starts are: the leader who tells one of those later has to know the others.
func TestAStartThatIsToldByTheNextLeaderIsLinkedWithItsGroup(t *testing.T) {
	a, r, metrics := startAPI(t), newReceiver(t), prometheus.NewRegistry()
	stop := run(t, newWatcher(t, a.rest, r.address, metrics))
	leader, one, two := groupWithoutLeader(t, a, r)
	r.broken.Store(true)
	mustPlay(t, leader)
	await(t, "an export that fails", func() bool { return metric(t, metrics, "coldtrace_watch_export_retries_total") > 0 })
	pause(3 * time.Second) // that the group is not told announces nothing
	stop()
	r.broken.Store(false)
	stop = run(t, newWatcher(t, a.rest, r.address, nil))
	if !r.wait(within(t, 20*time.Second), r.complete(leader.trace())) {
		t.Fatal("the leader's spans are missing")
	}
	if got := r.linked(t, leader); !slices.Equal(got, traces(one, two)) {
		t.Errorf("the leader leads to %v, want its workers %v", got, traces(one, two))
	}
	r.measured(t, startup.MetricGroupDuration, map[string]uint64{"endpoint_name=llama-3-8b gpu_type=h100 group_size=3 model_name=llama outcome=ready": 1})
	stop()
}

func TestAGroupWhoseLeaderIsNoEndpointIsToldByItsWorkers(t *testing.T) {
	a := startAPI(t)
	r := newReceiver(t)
	stop := run(t, newWatcher(t, a.rest, r.address, nil))
	node := func(name, kind string) *corev1.Pod {
		pod := endpointPod(podNamespace, name)
		pod.Labels["ray.io/cluster"], pod.Labels["ray.io/node-type"] = "c", kind
		yes := true
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "ray.io/v1", Kind: "RayCluster", Name: "c", UID: "c", Controller: &yes}}
		if kind == "head" {
			pod.Spec.Containers[0].Resources = corev1.ResourceRequirements{}
		}
		return pod
	}
	head, worker := a.mustCreate(t, node("head", "head")), a.mustCreate(t, node("worker", "worker"))
	mustPlay(t, worker, head)
	r.measured(t, startup.MetricGroupDuration, map[string]uint64{"endpoint_name=llama-3-8b gpu_type=h100 group_size=2 model_name=llama outcome=ready": 1})
	stop()
	if len(r.spans[head.trace()]) > 0 {
		t.Error("a pod without a GPU has a trace")
	}
}

func TestAGroupWhoseMemberNeverComesEndsAtTheTimeOutAndSaysWhich(t *testing.T) {
	a := startAPI(t)
	r := newReceiver(t)
	var (
		mu  sync.Mutex
		log []string
	)
	stop := run(t, newWatcher(t, a.rest, r.address, nil, func(c *watch.Config) {
		c.Timeout = 3 * time.Second
		c.Log = funcr.New(func(_, args string) {
			mu.Lock()
			defer mu.Unlock()
			log = append(log, args)
		}, funcr.Options{})
	}))
	a.mustCreate(t, lwsPod("llama", 0, 3, "a"))
	mustPlay(t, a.mustCreate(t, lwsPod("llama", 1, 3, "a")))
	r.measured(t, startup.MetricGroupDuration, map[string]uint64{"endpoint_name=llama-3-8b gpu_type=h100 group_size=3 model_name=llama outcome=timed_out": 1})
	stop()
	mu.Lock()
	defer mu.Unlock()
	if !slices.ContainsFunc(log, func(l string) bool {
		return strings.Contains(l, `"group"="lws/llama/0"`) && strings.Contains(l, `"missing"=["worker 2"]`) && strings.Contains(l, `"notReady"=["leader"]`)
	}) {
		t.Errorf("nothing says who never came: %q", log)
	}
}

func TestAGroupThatWasReadyLongBeforeAnybodyWatchedIsNotTold(t *testing.T) {
	a := startAPI(t)
	mustPlay(t, a.mustCreate(t, lwsPod("old", 0, 2, "a")), a.mustCreate(t, lwsPod("old", 1, 2, "a")))
	r := newReceiver(t)
	stop := run(t, newWatcher(t, a.rest, r.address, nil, func(c *watch.Config) { c.Clock = later{by: 20 * time.Minute} }))
	mustPlay(t, a.mustCreate(t, lwsPod("new", 0, 2, "a")), a.mustCreate(t, lwsPod("new", 1, 2, "a")))
	r.measured(t, startup.MetricGroupDuration, map[string]uint64{"endpoint_name=llama-3-8b gpu_type=h100 group_size=2 model_name=llama outcome=ready": 1})
	stop()
}
