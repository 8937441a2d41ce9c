// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/startup/pod"
)

func TestTheWrappersTimeOutDoesNotEndAPodThatWaitsForANode(t *testing.T) {
	for name, tc := range map[string]struct {
		annotation string
		want       time.Duration
	}{
		"the policy's hour":               {want: pod.DefaultTimeout},
		"a minute":                        {annotation: "1m", want: pod.DefaultTimeout},
		"longer than any start is waited": {annotation: "5h", want: 5 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
			policy := config.Default()
			w := &Watcher{cfg: Config{Timeout: pod.DefaultTimeout, Policy: func() *config.Policy { return policy }}, restored: &record{}}
			candidate := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{
					Name: "llama", Namespace: "models", UID: "8d4e0d9e-5a5c-4f0e-8a64-0d3ec7a9b001",
					CreationTimestamp: metav1.NewTime(now.Add(-100 * time.Minute)), Annotations: map[string]string{},
				},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "main", Image: "example.com/vllm:1", Command: []string{"vllm", "serve", "/model"},
					Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}},
				}}},
			}
			if tc.annotation != "" {
				candidate.Annotations[config.Prefix+"timeout"] = tc.annotation
			}
			s := w.consider(&namespace{name: "models", podsListed: true}, candidate, now)
			if s == nil {
				t.Fatal("the pod is not traced")
			}
			if s.timeout != tc.want {
				t.Errorf("given up after %s, want %s", s.timeout, tc.want)
			}
			if got := s.facts.Build(now, s.timeout).Outcome; got != pod.Open {
				t.Errorf("after 100 minutes of waiting for a node: %s", got)
			}
		})
	}
}
