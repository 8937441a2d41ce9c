// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/webhook/breaker"
)

func TestAWrapperImageThatCannotBePulledStopsTheWrapperForItsOwner(t *testing.T) {
	in := install(t, 2, nil, patient, "webhook.failurePolicy=Fail", "policy.wrapper.delivery=init-container")
	ns := labelled(t)
	controller := true
	owned := func(name, owner string) *corev1.Pod {
		pod := endpointPod(name)
		pod.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "apps/v1", Kind: "ReplicaSet", Name: owner, UID: types.UID(owner), Controller: &controller,
		}}
		return pod
	}
	wrapped := func(pod *corev1.Pod) bool {
		d, ok := decision(t, pod)
		return ok && slices.Contains(d.Features, inject.FeatureWrapper)
	}
	pod, err := create(t.Context(), ns, owned("first", "sick"), metav1.CreateOptions{})
	must(t, err)
	if !wrapped(pod) {
		t.Fatalf("no wrapper: %v", pod.Annotations)
	}
	// What the kubelet would report.
	pod.Status.Phase = corev1.PodPending
	pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{
		Name: "coldtrace-install", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}},
	}}
	_, err = suite.client.CoreV1().Pods(ns).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
	must(t, err)

	n := 0
	next := func(ctx context.Context, owner string) (*corev1.Pod, error) {
		n++
		return create(ctx, ns, owned(fmt.Sprintf("%s-%d", owner, n), owner), metav1.CreateOptions{})
	}
	eventually(t, 30*time.Second, "the owner's next pod goes without", func(ctx context.Context) error {
		pod, err := next(ctx, "sick")
		switch {
		case err != nil:
			return err
		case wrapped(pod):
			return errors.New("it still gets the wrapper")
		case !injected(pod):
			t.Fatal("the variables should stay")
		}
		return nil
	})
	if pod, err := next(t.Context(), "sound"); err != nil || !wrapped(pod) {
		t.Errorf("another owner's pod goes without as well: %v", err)
	}
	eventually(t, 10*time.Second, "Event on the owner", func(ctx context.Context) error {
		list, err := suite.client.CoreV1().Events(ns).List(ctx, metav1.ListOptions{FieldSelector: "reason=ColdtraceBreakerOpen"})
		if err == nil && (len(list.Items) != 1 || list.Items[0].InvolvedObject.Name != "sick") {
			err = fmt.Errorf("%d Events", len(list.Items))
		}
		return err
	})
	eventually(t, 10*time.Second, "metric", func(ctx context.Context) error { return in.metric(ctx, "coldtrace_breaker_open_owners 1") })

	must(t, suite.client.CoreV1().ConfigMaps(in.namespace).Delete(t.Context(), breaker.Name, metav1.DeleteOptions{}))
	eventually(t, 10*time.Second, "closed by hand", func(ctx context.Context) error {
		pod, err := next(ctx, "sick")
		if err == nil && !wrapped(pod) {
			err = errors.New("it still goes without")
		}
		return err
	})
}
