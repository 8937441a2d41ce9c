// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
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
	// Each pod is of another rollout of its Deployment.
	owned := func(name, deployment string) *corev1.Pod {
		pod := endpointPod(name)
		pod.Labels["pod-template-hash"] = name
		set := deployment + "-" + name
		pod.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "apps/v1", Kind: "ReplicaSet", Name: set, UID: types.UID(set), Controller: &controller,
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
		if err == nil && (len(list.Items) != 1 || list.Items[0].InvolvedObject.Name != "sick-first" || !strings.Contains(list.Items[0].Message, "rollout restart")) {
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

// A policy that lists volume types comes after our webhook and refuses what it added.
func TestANamespaceWhosePolicyRefusesImageVolumesGetsTheInitContainer(t *testing.T) {
	install(t, 2, []string{"--image-volumes=yes"}, patient, "webhook.failurePolicy=Fail")
	ns, other := labelled(t), labelled(t)
	only(t, ns, "!has(object.spec.volumes) || object.spec.volumes.all(v, has(v.emptyDir))", "only emptyDir volumes")
	refusal := refused(t, ns)
	if pod, err := try(t.Context(), other); err != nil || pod.Spec.Volumes[0].Image == nil {
		t.Fatalf("elsewhere a pod has no image volume: %v", err)
	}
	failedCreate(t, ns, refusal)
	eventually(t, 30*time.Second, "the next pod accepted", func(ctx context.Context) error {
		pod, err := try(ctx, ns)
		if err != nil {
			return err
		}
		d, _ := decision(t, pod)
		if !slices.Contains(d.Features, inject.FeatureWrapper) || len(pod.Spec.InitContainers) != 1 {
			t.Fatalf("accepted without the wrapper: %+v", d)
		}
		if !slices.ContainsFunc(d.Notes, func(n inject.Note) bool { return n.Reason == inject.ReasonRefused }) {
			t.Errorf("the decision does not say why: %+v", d.Notes)
		}
		return nil
	})
	if pod, err := try(t.Context(), other); err != nil || pod.Spec.Volumes[0].Image == nil {
		t.Errorf("another namespace lost its image volume as well: %v", err)
	}
}

// A policy that lists registries, or wants of each container what ours does not have, would refuse an owner's pods for good.
func TestAnOwnerWhosePodIsRefusedForTheInitContainerGetsPodsWithoutIt(t *testing.T) {
	install(t, 2, nil, patient, "webhook.failurePolicy=Fail", "policy.wrapper.delivery=init-container")
	ns := labelled(t)
	only(t, ns, "!has(object.spec.initContainers)", "images come from registry.example")
	failedCreate(t, ns, refused(t, ns))
	eventually(t, 30*time.Second, "the next pod accepted", func(ctx context.Context) error {
		pod, err := try(ctx, ns)
		if err != nil {
			return err
		}
		if d, _ := decision(t, pod); !injected(pod) || !slices.ContainsFunc(d.Notes, func(n inject.Note) bool { return n.Reason == inject.ReasonBreaker }) {
			t.Errorf("the decision does not say why: %+v", d)
		}
		return nil
	})
	if pod, err := try(t.Context(), labelled(t)); err != nil || len(pod.Spec.InitContainers) != 1 {
		t.Errorf("another namespace lost the wrapper as well: %v", err)
	}
}

// try makes a pod. Nobody here makes pods for a ReplicaSet: this is what its controller does, again and again.
func try(ctx context.Context, namespace string) (*corev1.Pod, error) {
	pod := endpointPod("p-" + strings.ToLower(rand.Text()))
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "p", UID: "u-1", Controller: new(true)}}
	return create(ctx, namespace, pod, metav1.CreateOptions{})
}

// refused is why pods are, as soon as they are.
func refused(t *testing.T, namespace string) (refusal error) {
	t.Helper()
	eventually(t, 30*time.Second, "a policy in force", func(ctx context.Context) error {
		if _, refusal = try(ctx, namespace); refusal == nil {
			return errors.New("the pod was accepted")
		}
		return nil
	})
	return refusal
}

// failedCreate is what the ReplicaSet's controller says of that.
func failedCreate(t *testing.T, namespace string, refusal error) {
	t.Helper()
	now := metav1.Now()
	_, err := suite.client.CoreV1().Events(namespace).Create(t.Context(), &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: "p.", Namespace: namespace},
		InvolvedObject: corev1.ObjectReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Namespace: namespace, Name: "p", UID: "u-1"},
		Reason:         "FailedCreate", Type: corev1.EventTypeWarning, Message: "Error creating: " + refusal.Error(),
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}, metav1.CreateOptions{})
	must(t, err)
}

// only has the API server accept in a namespace only pods of which an expression holds.
func only(t *testing.T, namespace, expression, message string) {
	t.Helper()
	fail, name := admissionv1.Fail, "only-"+namespace
	policies := suite.client.AdmissionregistrationV1().ValidatingAdmissionPolicies()
	_, err := policies.Create(t.Context(), &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: &fail,
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
				},
			}}},
			Validations: []admissionv1.Validation{{
				Expression: expression, Message: message,
			}},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	bindings := suite.client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	_, err = bindings.Create(t.Context(), &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			MatchResources: &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace},
			}},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	t.Cleanup(func() {
		_ = bindings.Delete(context.Background(), name, metav1.DeleteOptions{})
		_ = policies.Delete(context.Background(), name, metav1.DeleteOptions{})
	})
}
