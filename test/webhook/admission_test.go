// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/startup"
)

// On a loaded machine an answer can take longer than the 2 s of production; a test that is not about that waits.
const patient = "webhook.timeoutSeconds=10"

func TestAnEndpointPodOfALabelledNamespaceComesBackInjected(t *testing.T) {
	install(t, 1, nil, patient, "webhook.failurePolicy=Fail")
	ns := labelled(t)
	pod, err := create(t.Context(), ns, endpointPod("a"), metav1.CreateOptions{})
	must(t, err)
	if !injected(pod) {
		t.Fatalf("not injected: %v", pod.Annotations)
	}
	d, ok := decision(t, pod)
	if !ok || d.Outcome != inject.Injected || d.Container != "main" || len(d.Features) == 0 {
		t.Errorf("decision %+v", d)
	}
	main := pod.Spec.Containers[1]
	if !strings.Contains(strings.Join(main.Command, " "), startup.WrapperPath) {
		t.Errorf("the command does not go through the wrapper: %q", main.Command)
	}
	if got := pod.Spec.Containers[0].Env; len(got) != 0 {
		t.Errorf("the sidecar got variables: %v", got)
	}
	eventually(t, 10*time.Second, "audit annotation", func(context.Context) error {
		log, err := os.ReadFile(filepath.Join(suite.dir, "audit.log"))
		if err != nil {
			return err
		}
		for _, want := range []string{`"inject.coldtrace.io/outcome":"injected"`, `"inject.coldtrace.io/reasons"`} {
			if !strings.Contains(string(log), want) {
				return fmt.Errorf("no %s", want)
			}
		}
		return nil
	})
}

func TestPodsThatAreNotOursAreByteForByteWhatTheyWouldBeWithout(t *testing.T) {
	untouched := func(t *testing.T, ns string, pod *corev1.Pod) string {
		t.Helper()
		got, err := create(t.Context(), ns, pod, metav1.CreateOptions{})
		must(t, err)
		return specOf(t, got)
	}
	other := "off-" + randomName()
	needAPIServer(t)
	makeNamespace(t, other, nil)
	before := untouched(t, other, endpointPod("a"))
	cpu := endpointPod("cpu")
	delete(cpu.Spec.Containers[1].Resources.Limits, "nvidia.com/gpu")
	cpuBefore := untouched(t, other, cpu)
	must(t, suite.client.CoreV1().Pods(other).DeleteCollection(t.Context(), *metav1.NewDeleteOptions(0), metav1.ListOptions{}))

	install(t, 1, nil, patient, "webhook.failurePolicy=Fail")
	opted := labelled(t)
	if after := untouched(t, other, endpointPod("a")); after != before {
		t.Errorf("unlabelled namespace:\n%s\n%s", before, after)
	}
	if after := untouched(t, opted, cpu); after != cpuBefore {
		t.Errorf("pod without a GPU:\n%s\n%s", cpuBefore, after)
	}
}

func TestAPodThatComesAgainIsLeftAsItIs(t *testing.T) {
	install(t, 1, nil, patient, "webhook.failurePolicy=Fail")
	ns := labelled(t)
	first, err := create(t.Context(), ns, endpointPod("a"), metav1.CreateOptions{})
	must(t, err)
	again := first.DeepCopy()
	again.ResourceVersion, again.UID, again.Name = "", "", "a"
	must(t, suite.client.CoreV1().Pods(ns).Delete(t.Context(), "a", *metav1.NewDeleteOptions(0)))
	second, err := create(t.Context(), ns, again, metav1.CreateOptions{})
	must(t, err)
	if a, b := specOf(t, first), specOf(t, second); a != b {
		t.Errorf("the second pass changed the pod:\n%s\n%s", a, b)
	}
}

func TestADecisionIsToldToTheOwnerAndADryRunTellsNobody(t *testing.T) {
	install(t, 1, nil, patient, "webhook.failurePolicy=Fail")
	ns := labelled(t)
	controller := true
	owned := func(name, owner string) *corev1.Pod {
		pod := endpointPod(name)
		pod.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "apps/v1", Kind: "ReplicaSet", Name: owner, UID: types.UID(owner), Controller: &controller,
		}}
		return pod
	}
	got, err := create(t.Context(), ns, owned("dry", "dry-owner"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	must(t, err)
	if !injected(got) {
		t.Error("a dry run must show what would be")
	}
	// Events are written in order, so once the second is there, the dry run's would be.
	for _, name := range []string{"a", "b"} { // the same Event twice
		_, err = create(t.Context(), ns, owned(name, "real-owner"), metav1.CreateOptions{})
		must(t, err)
	}
	eventually(t, 20*time.Second, "Event on the owner", func(ctx context.Context) error {
		list, err := suite.client.CoreV1().Events(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		switch {
		case len(list.Items) == 0:
			return errors.New("none yet")
		case len(list.Items) > 1:
			t.Fatalf("%d Events: %+v", len(list.Items), list.Items)
		}
		e := list.Items[0]
		if e.InvolvedObject.Name != "real-owner" || e.InvolvedObject.Kind != "ReplicaSet" || e.Reason != "ColdtraceInjected" {
			t.Fatalf("Event %+v", e)
		}
		return nil
	})
}

// TestWithoutTheWebhookPodsStartUninjectedWithinTheTimeout is failurePolicy Ignore, as the chart has it, with no replica.
func TestWithoutTheWebhookPodsStartUninjectedWithinTheTimeout(t *testing.T) {
	in := install(t, 1, nil)
	ns := labelled(t)
	in.stop(in.replicas[0])
	in.balancer.remove(in.replicas[0])
	for name, hole := range map[string]bool{"nobody listens": false, "somebody takes connections and never answers": true} {
		t.Run(name, func(t *testing.T) {
			in.balancer.swallow(hole)
			for i := range 3 {
				begun := time.Now()
				pod, err := create(t.Context(), ns, endpointPod(fmt.Sprintf("%t-%d", hole, i)), metav1.CreateOptions{})
				must(t, err)
				took := time.Since(begun)
				t.Logf("created after %s", took.Round(time.Millisecond))
				if injected(pod) {
					t.Error("injected by whom?")
				}
				// The API server's own work on a busy machine comes on top of the webhook's two seconds.
				if took > 4*time.Second {
					t.Errorf("took %s", took)
				}
				if hole && took < time.Second {
					t.Errorf("it took %s only: the timeout was not met", took)
				}
			}
		})
	}
}
