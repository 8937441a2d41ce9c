// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	testclock "k8s.io/utils/clock/testing"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/otlp"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/group"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// aTerm is a watcher in its term that has listed a namespace, at a time so long after pods were created. It reaches nobody.
func aTerm(t *testing.T, age time.Duration, r *record) (*Watcher, *namespace) {
	t.Helper()
	policy := config.Default()
	w, err := New(Config{
		REST: &rest.Config{Host: "127.0.0.1:0"}, Namespace: "coldtrace", Policy: func() *config.Policy { return policy }, Exporter: &otlp.Exporter{},
		LogNamespaces: []string{anywhere}, Clock: testclock.NewFakeClock(created.Add(age)),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.begin()
	t.Cleanup(w.queue.ShutDown)
	w.resume(r)
	n := &namespace{name: "models", podsListed: true, eventsListed: true, marks: map[uid]uint8{}}
	w.namespaces[n.name] = n
	return w, n
}

// What a log said, or that it will not say, is the same for whoever knows the start after that.
func TestWhatALogSaidIsRemembered(t *testing.T) {
	running := metav1.NewTime(created.Add(2 * time.Second))
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "llama", Namespace: "models", UID: "8d4e0d9e-5a5c-4f0e-8a64-0d3ec7a9b001", CreationTimestamp: metav1.NewTime(created)},
		Spec: corev1.PodSpec{NodeName: "gpu-1", Containers: []corev1.Container{{Name: "proxy", Image: "example.com/proxy:1"}, {
			Name: "main", Image: "vllm/vllm-openai:v0.19.0", Args: []string{"--model", "m"},
			Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}},
		}}},
		Status: corev1.PodStatus{
			Phase:      corev1.PodRunning,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: running}},
			ContainerStatuses: []corev1.ContainerStatus{
				{Name: "proxy", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: running}}},
				{Name: "main", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: running}}},
			},
		},
	}
	const age = 6 * time.Minute
	shed := func(w *Watcher) { w.starts[p.UID].facts = nil }
	again := func(w *Watcher) { // as rederive does
		s := w.starts[p.UID]
		s.facts = &pod.Facts{Target: s.subject.Container}
		s.facts.Pod(p, w.cfg.Clock.Now())
		s.inside.adopt(s.facts)
	}
	failover := func(w *Watcher) *Watcher {
		r, _ := w.snapshot()
		data, _, err := r.encode()
		if err != nil {
			t.Fatal(err)
		}
		if r, err = decodeRecord(data); err != nil {
			t.Fatal(err)
		}
		next, n := aTerm(t, age, r)
		next.pod(n, p)
		return next
	}
	for name, then := range map[string]func(*Watcher) *Watcher{
		"by who heard it":                  func(w *Watcher) *Watcher { return w },
		"by who reads the pod again":       func(w *Watcher) *Watcher { shed(w); again(w); return w },
		"by the next leader":               failover,
		"by the one after that":            func(w *Watcher) *Watcher { return failover(failover(w)) },
		"by the next leader, read again":   func(w *Watcher) *Watcher { w = failover(w); shed(w); again(w); return w },
		"by the next leader, of what shed": func(w *Watcher) *Watcher { shed(w); return failover(w) },
	} {
		for _, tc := range []struct {
			what    string
			served  time.Time
			outcome pod.Outcome
		}{
			{"that it will not say", time.Time{}, pod.Started},
			{"since when it serves", created.Add(90 * time.Second), pod.Ready},
		} {
			t.Run(tc.what+" "+name, func(t *testing.T) {
				w, n := aTerm(t, age, newRecord())
				w.pod(n, p)
				s := w.starts[p.UID]
				if s == nil || s.inside == nil || !s.facts.Awaited() {
					t.Fatal("its log is not waited for")
				}
				w.serves(s, tc.served)
				s.delivered = append(s.delivered, hashKey(s.inside.toldKey(1)))
				w = then(w)
				s = w.starts[p.UID]
				if got := s.facts.Build(created.Add(age), s.timeout); s.facts.Awaited() || got.Outcome != tc.outcome {
					t.Errorf("the outcome is %q, want %q; the log is waited for: %v", got.Outcome, tc.outcome, s.facts.Awaited())
				}
			})
		}
	}
}

// A root that is sent again leads where it led the first time, if that was nowhere.
func TestTheLinksOfARootAreSettledOnce(t *testing.T) {
	w, _ := aTerm(t, time.Minute, newRecord())
	member := func(id types.UID) startup.Subject {
		s := startup.Subject{PodUID: string(id), PodName: "llama-" + string(id), Hash: startup.MD5}
		s.Namespace, s.Group = "models", startup.Group{Key: "ray/llama", Generation: "a", Role: startup.GroupServer}
		return s
	}
	s := &start{subject: member("one")}
	w.groups.Put(group.Of(s.subject, created))
	links := func(s *start) int {
		root := []startup.Span{{Name: startup.SpanPodStartup}}
		w.link(s, root)
		return len(root[0].Links)
	}
	first := links(s)
	w.groups.Put(group.Of(member("two"), created))
	if second := links(s); first != 0 || second != 0 {
		t.Errorf("%d links, then %d", first, second)
	}
	if n := links(&start{subject: s.subject}); n != 1 {
		t.Errorf("%d links of a root that is told later", n)
	}
}
