// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/startup/pod"
)

// After its last mark nothing may happen any more to a start that is stuck: who looks at it says when it is to be given up.
func TestAStartThatIsStuckIsLookedAtWhenItIsGivenUp(t *testing.T) {
	const age = 100 * time.Minute
	left := pod.DefaultTimeout - age
	for name, change := range map[string]func(*corev1.Pod){
		"it waits for a node":             func(*corev1.Pod) {},
		"its image is pulled for ever":    func(p *corev1.Pod) { p.Spec.NodeName = "gpu-1" },
		"it is no endpoint, in its group": func(p *corev1.Pod) { p.Spec.Containers[0].Resources = corev1.ResourceRequirements{} },
		"its namespace is left":           nil,
	} {
		t.Run(name, func(t *testing.T) {
			p := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{
					Name: "llama", Namespace: "models", UID: "8d4e0d9e-5a5c-4f0e-8a64-0d3ec7a9b001", CreationTimestamp: metav1.NewTime(created),
					Labels: map[string]string{"ray.io/cluster": "llama", "ray.io/node-type": "head"},
				},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "main", Image: "vllm/vllm-openai:v0.19.0", Args: []string{"--model", "m"},
					ReadinessProbe: &corev1.Probe{}, Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}},
				}}},
			}
			w, n := aTerm(t, age, newRecord())
			if change != nil {
				change(p)
			}
			w.pod(n, p)
			if change == nil {
				n.stop = func() {}
				w.leave(n.name)
			}
			s := w.starts[p.UID]
			if s == nil {
				t.Fatal("it is not followed")
			}
			s.node = p.Spec.NodeName != ""
			for range 20 { // marks that it passed are told first
				part, again := w.pick(p.UID)
				if part == nil {
					if again <= 0 || again > left+time.Second {
						t.Fatalf("it is looked at again after %s, and given up after %s", again, left)
					}
					return
				}
				w.delivered(p.UID, part)
			}
			t.Error("there is always more to send")
		})
	}
}

// A pod may be placed, and over, between the moment when its node would have been asked and that when it is looked at.
func TestNothingIsToldOfAPodWhoseNodeWasNotAsked(t *testing.T) {
	w, n := aTerm(t, time.Hour, newRecord())
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "llama", Namespace: "models", UID: "8d4e0d9e-5a5c-4f0e-8a64-0d3ec7a9b002", CreationTimestamp: metav1.NewTime(time.Now().Add(-time.Minute)),
		},
		Spec: corev1.PodSpec{NodeName: "gpu-1", Containers: []corev1.Container{{
			Name: "main", Image: "vllm/vllm-openai:v0.19.0", Args: []string{"--model", "m"},
			Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}},
		}}},
	}
	w.pod(n, p)
	p.Status.Phase = corev1.PodFailed
	w.pod(n, p)
	if part, again := w.pick(p.UID); part != nil || again <= 0 || again > time.Second {
		t.Errorf("picked %v, looked at again after %s", part, again)
	}
	w.starts[p.UID].node = true
	if part, _ := w.pick(p.UID); part == nil {
		t.Error("there is nothing to tell when it is")
	}
}
