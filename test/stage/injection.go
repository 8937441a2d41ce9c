// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// injectedIn is far more than kube-proxy takes.
const injectedIn = time.Minute

// AwaitInjection waits until the API server reaches the webhook. `helm --wait` returns when the replicas are ready; until
// kube-proxy knows of them the Service refuses connections, and the API server admits pods as they come.
func (s *Stage) AwaitInjection(ctx context.Context, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, injectedIn)
	defer cancel()
	probe := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "probe", Labels: map[string]string{"managed-by": "model-engine"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "main", Image: s.pull + "/sim:" + s.tag,
			Command:   []string{"python", "-m", "vllm_server", "--model", "probe"},
			Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}},
		}}},
	}
	if s.guest != nil {
		probe.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
	}
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		err := s.injects(ctx, namespace, probe)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until a pod in %s is injected: %w", namespace, err)
		case <-look.C:
		}
	}
}

// injects tells why the webhook in force is not the one that was installed last: a replica that is being replaced is asked
// for as long as it lives, and answers by its own policy.
func (s *Stage) injects(ctx context.Context, namespace string, probe *corev1.Pod) error {
	replicas, err := s.Kube.CoreV1().Pods(s.system).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if slices.ContainsFunc(replicas.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil }) {
		return errors.New("a replica is being replaced")
	}
	made, err := s.Kube.CoreV1().Pods(namespace).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err == nil && made.Annotations["coldtrace.io/status"] == "" {
		err = errors.New("it is admitted as it came")
	}
	return err
}
