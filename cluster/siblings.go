// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// mostSiblings suffice to say what is usual. Up to as many are asked for their events by name.
const mostSiblings = fewPods

// Siblings are the newest pods of a pod's owner, beside the pod itself, that are ready: at most mostSiblings, and of the namespace's
// pods two pages of 500 are held while they are looked for.
func Siblings(ctx context.Context, client kubernetes.Interface, p *corev1.Pod) (siblings []corev1.Pod, err error) {
	owner := metav1.GetControllerOf(p)
	if owner == nil {
		return nil, nil
	}
	err = eachPod(ctx, client, p.Namespace, "", func(other *corev1.Pod) {
		if of := metav1.GetControllerOf(other); of == nil || of.UID != owner.UID || other.UID == p.UID || !isReady(other) {
			return
		}
		siblings = append(siblings, *other)
		slices.SortStableFunc(siblings, func(a, b corev1.Pod) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
		siblings = siblings[:min(len(siblings), mostSiblings)]
	})
	if err != nil {
		return nil, fmt.Errorf("look for other pods of %s: %w", owner.Name, err)
	}
	return siblings, nil
}

func isReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
