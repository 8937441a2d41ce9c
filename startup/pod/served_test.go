// SPDX-License-Identifier: Apache-2.0

package pod_test

import (
	"encoding/json"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// dawn is when the pod of these tests is created.
var dawn = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

func at(d time.Duration) metav1.Time { return metav1.NewTime(dawn.Add(d)) }

func llama(spec corev1.PodSpec, status corev1.PodStatus) *corev1.Pod {
	spec.NodeName = "gpu-1"
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "llama", Namespace: "models", UID: "5a0c2f0e-4b7e-4a2f-9d7a-1f6b3f0f9a01", CreationTimestamp: at(0)},
		Spec:       spec, Status: status,
	}
}

// ended is the status of a container that ran from the second second to the fortieth.
func ended(name, reason string, code int32) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		Reason: reason, ExitCode: code, StartedAt: at(2 * time.Second), FinishedAt: at(40 * time.Second),
	}}}
}

// takenOver are the facts as the next leader has them.
func takenOver(t *testing.T, f *pod.Facts) *pod.Facts {
	t.Helper()
	raw, err := json.Marshal(f.Stub())
	if err != nil {
		t.Fatal(err)
	}
	var stub pod.Stub
	if err := json.Unmarshal(raw, &stub); err != nil {
		t.Fatal(err)
	}
	return pod.FromStub(stub)
}

// What nothing probes Kubernetes calls ready when it runs. Where its log is read, that says when it serves.
func TestAStartThatNothingProbesEndsWithWhatItsLogSays(t *testing.T) {
	running := func(p *corev1.Pod) {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(2 * time.Second)}}}}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: at(2 * time.Second)}}
	}
	over := func(code int32, phase corev1.PodPhase) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			running(p)
			p.Spec.RestartPolicy = corev1.RestartPolicyNever
			p.Status.Phase = phase
			p.Status.ContainerStatuses[0] = ended("main", "", code)
		}
	}
	never := func(f *pod.Facts) { f.Hear(pod.Said{Unsaid: true}) }
	says := func(f *pod.Facts) {
		f.Hear(pod.Said{Served: dawn.Add(90*time.Second + 123*time.Millisecond).UnixNano()})
	}
	for name, tc := range map[string]struct {
		pod     func(*corev1.Pod)
		heard   func(*pod.Facts)
		after   time.Duration // now; 0: two minutes
		outcome pod.Outcome
		end     time.Duration // of the root
		source  startup.TimeSource
	}{
		"while the log has not said so it goes on":          {pod: running, outcome: pod.Open},
		"the log says it":                                   {pod: running, heard: says, outcome: pod.Ready, end: 90*time.Second + 123*time.Millisecond, source: startup.TimeLog},
		"the log will never say it":                         {pod: running, heard: never, outcome: pod.Started, end: 3*time.Second - 1, source: startup.TimeStatus},
		"the log has not said it until the time-out":        {pod: running, after: 3 * time.Hour, outcome: pod.Started, end: 3*time.Second - 1, source: startup.TimeStatus},
		"it fails before":                                   {pod: over(1, corev1.PodFailed), outcome: pod.Failed, end: 40 * time.Second, source: startup.TimeStatus},
		"a job that is done before":                         {pod: over(0, corev1.PodSucceeded), outcome: pod.Completed, end: 40 * time.Second, source: startup.TimeStatus},
		"another container is asked, and is ready before":   {pod: sidecar(30 * time.Second), heard: says, outcome: pod.Ready, end: 90*time.Second + 123*time.Millisecond, source: startup.TimeLog},
		"another container is asked, and is ready after":    {pod: sidecar(100 * time.Second), heard: says, outcome: pod.Ready, end: 101*time.Second - 1, source: startup.TimeStatus},
		"another container is asked, and was not ready yet": {pod: sidecar(0), heard: says, outcome: pod.Open},
		"what is asked itself waits for no log": {
			pod:   func(p *corev1.Pod) { running(p); p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{} },
			heard: nil, outcome: pod.Ready, end: 3*time.Second - 1, source: startup.TimeStatus,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := llama(corev1.PodSpec{Containers: []corev1.Container{{Name: "main"}}}, corev1.PodStatus{})
			tc.pod(p)
			f := &pod.Facts{Target: "main"}
			f.Pod(p, dawn)
			f.AwaitLog()
			if tc.heard != nil {
				tc.heard(f)
			}
			now := dawn.Add(max(tc.after, 2*time.Minute))
			got := f.Build(now, 0)
			root := got.Spans[0]
			if got.Outcome != tc.outcome {
				t.Fatalf("the outcome is %q, want %q", got.Outcome, tc.outcome)
			}
			if tc.outcome == pod.Open {
				return
			}
			source := root.Get(startup.AttrTimeSourceEnd).AsString()
			if source == "" {
				source = root.Get(startup.AttrTimeSource).AsString()
			}
			if end := root.End.Sub(dawn); end != tc.end || source != string(tc.source) {
				t.Errorf("ended after %s by %s, want %s by %s", end, source, tc.end, tc.source)
			}
			for _, sp := range got.Spans {
				if sp.Name == startup.SpanPodReady && tc.source == startup.TimeLog && (!sp.End.Equal(root.End) || sp.Failure != "") {
					t.Errorf("pod_ready ends %s, %q", sp.End.Sub(dawn), sp.Failure)
				}
			}
			// Whoever takes over has the same.
			g := takenOver(t, f)
			g.Pod(p, now)
			g.AwaitLog()
			if tc.heard != nil || tc.outcome == pod.Started {
				if again := g.Build(now, 0); again.Outcome != got.Outcome || !again.Spans[0].End.Equal(root.End) {
					t.Errorf("after a restart: %s %s", again.Outcome, again.Spans[0].End.Sub(dawn))
				}
			}
		})
	}
}

// sidecar is a pod whose other container is asked, and ready so long after its creation.
func sidecar(ready time.Duration) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "proxy", ReadinessProbe: &corev1.Probe{}})
		for _, name := range []string{"main", "proxy"} {
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{
				Name: name, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(2 * time.Second)}},
			})
		}
		if ready > 0 {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: at(ready)}}
		}
	}
}
