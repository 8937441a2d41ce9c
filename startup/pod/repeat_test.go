// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/startup/pod"

	"github.com/coldtrace/coldtrace/startup"
)

// life is a pod's as the API server would have it: a version and the events after each thing that happens.
type life struct {
	now    time.Time
	pod    *corev1.Pod
	events []*corev1.Event
	steps  []step
}

type step struct {
	now    time.Time
	pod    *corev1.Pod
	events []*corev1.Event
}

func newLife(policy corev1.RestartPolicy, init ...string) *life {
	l := &life{now: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}
	l.pod = &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "llama", Namespace: "models", UID: "5a0c2f0e-4b7e-4a2f-9d7a-1f6b3f0f9a01", CreationTimestamp: metav1.NewTime(l.now)},
		Spec: corev1.PodSpec{RestartPolicy: policy, Containers: []corev1.Container{{
			Name: "main", Image: "example.test/vllm:1", ReadinessProbe: &corev1.Probe{}, StartupProbe: &corev1.Probe{},
		}}},
	}
	for _, name := range init {
		l.pod.Spec.InitContainers = append(l.pod.Spec.InitContainers, corev1.Container{Name: name})
		l.pod.Status.InitContainerStatuses = append(l.pod.Status.InitContainerStatuses, corev1.ContainerStatus{Name: name})
	}
	l.pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main"}}
	l.step()
	l.after(800 * time.Millisecond)
	l.pod.Spec.NodeName = "gpu-1"
	l.condition(corev1.PodScheduled)
	l.event("Scheduled", "", "")
	l.step()
	l.after(900 * time.Millisecond)
	l.condition(corev1.PodReadyToStartContainers)
	return l
}

func (l *life) after(d time.Duration) { l.now = l.now.Add(d) }

func (l *life) step() {
	s := step{now: l.now, pod: l.pod.DeepCopy()}
	for _, e := range l.events {
		s.events = append(s.events, e.DeepCopy())
	}
	l.steps = append(l.steps, s)
}

func (l *life) second() metav1.Time { return metav1.NewTime(l.now.Truncate(time.Second)) }

func (l *life) condition(c corev1.PodConditionType) {
	l.pod.Status.Conditions = append(l.pod.Status.Conditions, corev1.PodCondition{Type: c, Status: corev1.ConditionTrue, LastTransitionTime: l.second()})
}

// event is written as the kubelet's recorder does it: what was said before is counted.
func (l *life) event(reason, container, message string) {
	path := ""
	if container != "" {
		path = "spec.containers{" + container + "}"
	}
	for _, e := range l.events {
		if e.Reason == reason && e.Message == message && e.InvolvedObject.FieldPath == path {
			e.Count++
			e.LastTimestamp = l.second()
			return
		}
	}
	l.events = append(l.events, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: fmt.Sprintf("llama.%x", l.now.UnixNano())},
		InvolvedObject: corev1.ObjectReference{UID: l.pod.UID, FieldPath: path},
		Reason:         reason, Message: message, Count: 1, FirstTimestamp: l.second(), LastTimestamp: l.second(),
	})
}

func (l *life) status(name string) *corev1.ContainerStatus {
	for _, all := range [][]corev1.ContainerStatus{l.pod.Status.InitContainerStatuses, l.pod.Status.ContainerStatuses} {
		for i := range all {
			if all[i].Name == name {
				return &all[i]
			}
		}
	}
	return nil
}

// start is the image and the container's start.
func (l *life) start(name string, pulls bool) {
	s := l.status(name)
	if s.State.Terminated != nil || s.LastTerminationState.Terminated != nil {
		if s.State.Terminated != nil {
			s.LastTerminationState = s.State
		}
		s.RestartCount++
	}
	if pulls {
		l.event("Pulling", name, `Pulling image "example.test/vllm:1"`)
		s.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}
		l.after(1300 * time.Millisecond)
		l.event("Pulled", name, fmt.Sprintf(`Successfully pulled image "example.test/vllm:1" in %dms (1.3s including waiting). Image size: 4942111 bytes.`, 700+s.RestartCount))
	} else {
		l.event("Pulled", name, `Container image "example.test/vllm:1" already present on machine`)
	}
	l.after(300 * time.Millisecond)
	l.event("Created", name, "Container created")
	l.after(200 * time.Millisecond)
	l.event("Started", name, "Container started")
	s.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: l.second()}}
	l.step()
}

// end is of a container that runs; the kubelet waits before it starts it again.
func (l *life) end(name string, after time.Duration, exit int32, reason string) {
	s := l.status(name)
	l.after(after)
	s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: exit, Reason: reason, StartedAt: s.State.Running.StartedAt, FinishedAt: l.second(),
	}}
	l.step()
}

func (l *life) backoff(name string, d time.Duration) {
	s := l.status(name)
	s.LastTerminationState = s.State
	s.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
	l.step()
	l.after(d)
}

func (l *life) ready() {
	l.after(40 * time.Second)
	l.condition(corev1.PodReady)
	s := l.status("main")
	s.Ready = true
	l.step()
}

func (l *life) deleted() {
	l.after(7 * time.Second)
	at, grace := metav1.NewTime(l.now.Truncate(time.Second).Add(30*time.Second)), int64(30)
	l.pod.DeletionTimestamp, l.pod.DeletionGracePeriodSeconds = &at, &grace
	l.step()
	if s := l.status("main"); s.State.Running != nil {
		l.end("main", 2*time.Second, 143, "Error")
	}
}

// evicted is a job whose container ends beside one that runs on, until the pod is evicted.
func evicted(exit int32, after time.Duration) func() *life {
	return func() *life {
		l := newLife(corev1.RestartPolicyNever)
		for _, p := range []*corev1.Pod{l.steps[0].pod, l.steps[1].pod, l.pod} {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "proxy"})
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: "proxy"})
		}
		l.start("main", true)
		l.start("proxy", false)
		l.end("main", 5*time.Second, exit, "")
		l.after(after / 2)
		l.step()
		l.pod.Status.Phase, l.pod.Status.Reason = corev1.PodFailed, "Evicted"
		l.end("proxy", after/2, 137, "Error")
		return l
	}
}

// lives are ways of starts that fail before they end.
var lives = map[string]func() *life{
	"crashes five times, then ready": func() *life {
		l := newLife(corev1.RestartPolicyAlways)
		for range 5 {
			l.start("main", false)
			l.end("main", 9*time.Second, 1, "Error")
			l.backoff("main", 20*time.Second)
		}
		l.start("main", false)
		l.ready()
		l.end("main", 400*time.Millisecond, 1, "Error")
		return l
	},
	"crashes in the second in which it was ready": func() *life {
		l := newLife(corev1.RestartPolicyAlways)
		l.start("main", false)
		l.ready()
		l.end("main", 10*time.Millisecond, 3, "Error")
		l.backoff("main", 10*time.Second)
		l.start("main", false)
		return l
	},
	"crashes in turn with being killed by its startup probe, pulls each time, then is deleted": func() *life {
		l := newLife(corev1.RestartPolicyAlways)
		for i := range 6 {
			l.start("main", true)
			if i%2 == 0 {
				l.end("main", 30*time.Second, 1, "Error")
			} else {
				l.after(20 * time.Second)
				l.event("Unhealthy", "main", "Startup probe failed: HTTP probe failed with statuscode: 503")
				l.after(40 * time.Second)
				l.event("Killing", "main", "Container main failed startup probe, will be restarted")
				l.step()
				l.end("main", 30*time.Second, 137, "Error")
			}
			l.backoff("main", 30*time.Second)
		}
		l.deleted()
		return l
	},
	"two init containers that fail, out of memory twice, deleted while it loads": func() *life {
		l := newLife(corev1.RestartPolicyAlways, "fetch", "warm")
		for _, name := range []string{"fetch", "warm"} {
			for range 2 {
				l.start(name, name == "warm")
				l.end(name, 5*time.Second, 7, "Error")
				l.backoff(name, 15*time.Second)
			}
			l.start(name, name == "warm")
			l.end(name, 12*time.Second, 0, "Completed")
		}
		l.condition(corev1.PodInitialized)
		for range 2 {
			l.start("main", false)
			l.end("main", 50*time.Second, 137, "OOMKilled")
			l.backoff("main", 10*time.Second)
		}
		l.start("main", false)
		l.deleted()
		return l
	},
	"a job that fails twice, then completes": func() *life {
		l := newLife(corev1.RestartPolicyOnFailure)
		for range 2 {
			l.start("main", false)
			l.end("main", 5*time.Second, 2, "Error")
			l.backoff("main", 10*time.Second)
		}
		l.start("main", false)
		l.pod.Status.Phase = corev1.PodSucceeded
		l.end("main", 3*time.Second, 0, "Completed")
		return l
	},
	"a job that is through beside a proxy":                   evicted(0, time.Hour),
	"a job that fails beside a proxy":                        evicted(3, time.Hour),
	"a job that is evicted, whose proxy takes longer to end": evicted(143, 20*time.Second),
	"a job that is evicted, whose proxy ends a little later": evicted(0, 31*time.Second),
	"a job that may not restart": func() *life {
		l := newLife(corev1.RestartPolicyNever)
		l.start("main", true)
		l.pod.Status.Phase = corev1.PodFailed
		l.end("main", 5*time.Second, 2, "Error")
		return l
	},
}

func (s step) tell(f *pod.Facts) {
	f.Pod(s.pod, s.now)
	for _, e := range s.events {
		f.Event(e)
	}
}

// A span that is sent twice is one: whoever watches, since when, over any restart that lost what was not yet noted, or with
// the namespace's label gone for a while.
func TestASpanHasOneContentOnceItIsFinalWhoeverTellsIt(t *testing.T) {
	for name, live := range lives {
		t.Run(name, func(t *testing.T) {
			steps := live().steps
			final := map[string]pod.Span{}
			by := map[string]string{}
			tell := func(who string, f *pod.Facts, now time.Time) {
				for _, s := range f.Build(now, 0).Spans {
					s.Exact = false // says when it may be sent, not what
					old, known := final[s.Key]
					switch {
					case s.Open:
					case !known:
						final[s.Key], by[s.Key] = s, who
					case !reflect.DeepEqual(old, s):
						t.Fatalf("%s\n%s: %+v\n%s: %+v", s.Key, by[s.Key], old, who, s)
					}
				}
			}
			for from := range steps {
				f := &pod.Facts{Target: "main"}
				for at := from; at < len(steps); at++ {
					steps[at].tell(f)
					tell(fmt.Sprintf("watching since step %d, at step %d", from, at), f, steps[at].now)
					noted := f.Stub()
					for next := at + 1; next < len(steps); next++ {
						restored := pod.FromStub(noted)
						steps[next].tell(restored)
						tell(fmt.Sprintf("watching since step %d, noted at %d, restored at %d", from, at, next), restored, steps[next].now)
					}
				}
			}
			if len(final) < 4 {
				t.Errorf("only %d spans were told", len(final))
			}
		})
	}
}

// What a start has come to is told on its root.
func TestTheRootTellsHowAStartEndedByTheWholeOfIt(t *testing.T) {
	for name, want := range map[string]struct {
		outcome pod.Outcome
		failure startup.Reason
		attrs   string
	}{
		"crashes five times, then ready": {pod.Ready, "", "restarts=5 failed_attempts=5 outcome=ready"},
		"crashes in turn with being killed by its startup probe, pulls each time, then is deleted": {
			pod.Failed, "startup_probe_failed", "restarts=5 failed_attempts=6 ended_by=deleted outcome=failed",
		},
		"two init containers that fail, out of memory twice, deleted while it loads": {
			pod.Failed, "OOMKilled", "restarts=6 failed_attempts=2 ended_by=deleted outcome=failed",
		},
		"a job that fails twice, then completes":                 {pod.Completed, "", "restarts=2 failed_attempts=2 outcome=completed"},
		"a job that may not restart":                             {pod.Failed, "exit_code=2", "failed_attempts=1 outcome=failed"},
		"a job that is through beside a proxy":                   {pod.Completed, "", "outcome=completed"},
		"a job that fails beside a proxy":                        {pod.Failed, "exit_code=3", "failed_attempts=1 outcome=failed"},
		"a job that is evicted, whose proxy takes longer to end": {pod.Failed, "Evicted", "failed_attempts=1 outcome=failed"},
	} {
		t.Run(name, func(t *testing.T) {
			steps := lives[name]().steps
			f := &pod.Facts{Target: "main"}
			for _, s := range steps {
				s.tell(f)
			}
			got := f.Build(steps[len(steps)-1].now, 0)
			if got.Outcome != want.outcome || got.Spans[0].Failure != want.failure || !strings.Contains(printed(got), want.attrs) {
				t.Errorf("%s %q, want %s %q, %s\n%s", got.Outcome, got.Spans[0].Failure, want.outcome, want.failure, want.attrs, printed(got))
			}
		})
	}
}
