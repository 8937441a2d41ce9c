// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/stage"
	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/watch"
)

// TestAReleaseIsSwitchedBetweenWatchingAloneAndTheWebhook goes down a level and up again, and looks each time at what is there
// and at how a pod's start is told.
func TestAReleaseIsSwitchedBetweenWatchingAloneAndTheWebhook(t *testing.T) {
	t.Cleanup(func() { reinstall(t) })
	upgrade := func(values ...string) {
		t.Helper()
		args := []string{"upgrade", stage.Release, chart, "--wait", helmTime, "--reset-then-reuse-values"}
		for _, v := range values {
			args = append(args, "--set", v)
		}
		helm(t, args...)
	}
	upgrade("webhook.enabled=false", "logs.namespaces={"+labelled+"}")
	t.Run("watching alone there is no webhook, certificate or Secret, and one Deployment", func(t *testing.T) {
		_, err := on.Kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), configuration, metav1.GetOptions{})
		_, missing := on.Kube.CoreV1().Secrets(stage.SystemNamespace).Get(t.Context(), "coldtrace-ca", metav1.GetOptions{})
		if !apierrors.IsNotFound(err) || !apierrors.IsNotFound(missing) {
			t.Errorf("webhook configuration: %v, Secret: %v", err, missing)
		}
		deployments, err := on.Kube.AppsV1().Deployments(stage.SystemNamespace).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(deployments.Items) != 1 {
			t.Errorf("%d deployments, %v", len(deployments.Items), err)
		}
		can := func(args ...string) string {
			// An answer of "no" is an exit status of 1.
			out, _ := on.Kubectl(t.Context(), append(append([]string{"auth", "can-i"}, args...), "--as=system:serviceaccount:"+stage.SystemNamespace+":coldtrace")...)
			return strings.TrimSpace(out)
		}
		for question, want := range map[string]string{
			"get pods --subresource=log -n " + labelled:            "yes",
			"get pods --subresource=log -n " + unlabelled:          "no",
			"patch mutatingwebhookconfigurations":                  "no",
			"create secrets -n " + stage.SystemNamespace:           "no",
			"get secrets/coldtrace-ca -n " + stage.SystemNamespace: "no",
		} {
			if got := can(strings.Fields(question)...); got != want {
				t.Errorf("%s: %q, want %q", question, got, want)
			}
		}
	})
	t.Run("and a start is told inside by its log, with nothing in the pod", func(t *testing.T) {
		pod := await(t, begin(t, labelled, "level-one"), stage.Ready)
		if _, ok := pod.Annotations[config.StatusAnnotation]; ok || strings.Contains(strings.Join(container(pod, target).Command, " "), "coldtrace") {
			t.Errorf("it was changed: %v %v", pod.Annotations, container(pod, target).Command)
		}
		got := awaitTrace(t, string(pod.UID), startup.SpanPodStartup, startup.SpanStartup, startup.SpanVLLMInit)
		t.Log("\n" + trace.Waterfall(got, trace.Options{Width: 120}))
		nodes := map[string]*trace.Node{}
		got.Walk(func(n *trace.Node) { nodes[n.ID] = n })
		for key, want := range expected {
			n := nodes[startup.MD5.SpanID(string(pod.UID), key).String()]
			if n == nil || n.Name != want.name {
				t.Errorf("no span %s", key)
				continue
			}
			if key == "torch_compile" && fmt.Sprint(n.Get(startup.AttrTimeSource)) != string(startup.TimeLog) {
				t.Errorf("it is from %s", n.Get(startup.AttrTimeSource))
			}
		}
		out := kubectl(t, "get", "events", "-n", labelled, "--field-selector=reason="+watch.NoticeReason+",involvedObject.uid="+string(pod.UID), "-o", "jsonpath={.items[*].message}")
		if !strings.HasPrefix(out, "ready after ") || !strings.Contains(out, "trace "+startup.MD5.TraceID(string(pod.UID)).String()) {
			t.Errorf("kubectl describe pod says %q", out)
		}
	})
	upgrade("webhook.enabled=true")
	t.Run("with the webhook pods are injected again", func(t *testing.T) {
		reach(t)
		if len(secretCA(t)) == 0 || len(caBundle(t)) == 0 {
			t.Error("there is no CA")
		}
		pod := await(t, begin(t, labelled, "level-three"), stage.Ready)
		got := awaitTrace(t, string(pod.UID), startup.SpanPodStartup, startup.SpanStartup)
		var services []string
		got.Walk(func(n *trace.Node) {
			if n.Name == startup.SpanVLLMInit {
				services = append(services, fmt.Sprint(n.Get(startup.AttrTimeSource)))
			}
		})
		if !slices.Equal(services, []string{string(startup.TimeObserved)}) {
			t.Errorf("vllm_init is told %v", services)
		}
	})
}

// A container that the wrapper can't get into, since its command is its image's, is told by its log in a release with a webhook, too.
func TestAContainerThatTheWrapperIsNotInIsToldByItsLog(t *testing.T) {
	t.Cleanup(func() { reinstall(t) })
	if err := on.InstallChart(t.Context(), "logs.namespaces={"+labelled+"}"); err != nil {
		t.Fatal(err)
	}
	reach(t)
	off := func(pod *corev1.Pod, _ *corev1.Container) {
		pod.Annotations = map[string]string{config.Prefix + "delivery": string(config.DeliveryOff)}
	}
	pod := await(t, begin(t, labelled, "not-wrapped", off), stage.Ready)
	got := awaitTrace(t, string(pod.UID), startup.SpanPodStartup, startup.SpanStartup, startup.SpanVLLMInit)
	got.Walk(func(n *trace.Node) {
		if n.Name == startup.SpanTorchCompile && fmt.Sprint(n.Get(startup.AttrTimeSource)) != string(startup.TimeLog) {
			t.Errorf("it is from %s", n.Get(startup.AttrTimeSource))
		}
	})
}
