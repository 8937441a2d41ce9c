// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/webhook/breaker"
)

func TestALivePodIsExplainedByWhatIsInstalled(t *testing.T) {
	s := newSite(t)
	pod := s.schedule(t, "llama")
	patch := `{"metadata":{"labels":{"pod-template-hash":"5d4f"},"ownerReferences":[
		{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"llama-5d4f","uid":"u","controller":true}]}}`
	pod, err := s.client.CoreV1().Pods(pod.Namespace).Patch(t.Context(), pod.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	explain := func(args ...string) string {
		t.Helper()
		text, _, err := output(t, newExplainCommand(), "", append([]string{"--kubeconfig", s.kubeconfig, "-n", pod.Namespace, pod.Name}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if text := explain(); !strings.Contains(text, "The installed policy could not be read") {
		t.Errorf("nothing is installed, and it does not say so:\n%s", text)
	}
	none := admissionv1.SideEffectClassNone
	_, err = s.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(t.Context(), &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "tracing-coldtrace", Labels: map[string]string{"app.kubernetes.io/name": "coldtrace"}},
		Webhooks: []admissionv1.MutatingWebhook{{
			Name: "inject.coldtrace.io", SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: "coldtrace", Name: "tracing-coldtrace"}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "gpu-1"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]map[string]string{
		"tracing-coldtrace-policy": {"policy.yaml": "otlp: {endpoint: 'http://own.example:4317'}\nwrapper: {image: w}\n"},
		breaker.Name:               {"state.json": `{"owners":{"models/Deployment/llama":{"verdict":"wrapper-image","open":"2026-05-01T12:00:00Z"}}}`},
	} {
		_, err := s.client.CoreV1().ConfigMaps("coldtrace").Create(t.Context(),
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	text := explain()
	for what, want := range map[string]string{"the policy": "http://own.example:4317", "the breaker": "circuit-breaker", "the trace": startup.MD5.TraceID(string(pod.UID)).String()} {
		if !strings.Contains(text, want) {
			t.Errorf("%s that is installed is not what it goes by:\n%s", what, text)
		}
	}
	if text := explain("--policy", s.policy); strings.Contains(text, "own.example") {
		t.Errorf("--policy does not win:\n%s", text)
	}

	// What it would make of a workload's next pods.
	labels := map[string]string{"app": "llama", "managed-by": "model-engine"}
	_, err = s.client.AppsV1().Deployments(pod.Namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "llama"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
				Name: "main", Image: "vllm", Command: []string{"vllm", "serve", "/m"},
				Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}},
			}}}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	asked := []string{"--kubeconfig", s.kubeconfig, "-n", pod.Namespace, "deploy/llama"}
	text, _, err = output(t, newExplainCommand(), "", asked...)
	if err != nil || !strings.Contains(text, "Deployment llama: ") || !strings.Contains(text, "own.example") || !strings.Contains(text, "circuit-breaker") {
		t.Errorf("a workload is explained as (%v)\n%s", err, text)
	}
	text, _, err = output(t, newInjectCommand(), "", asked...)
	if err != nil || !strings.Contains(text, "http://own.example:4317") || strings.Contains(text, "managedFields") || strings.Contains(text, "COLDTRACE_HEALTH") {
		t.Errorf("a workload is printed as (%v)\n%s", err, text)
	}
	if _, _, err := output(t, newExplainCommand(), "", append(asked, "-f", "-")...); err == nil {
		t.Error("a file and a name: which?")
	}
	// Without the webhook it is found by its policy.
	if err := s.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(t.Context(), "tracing-coldtrace", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	label := []byte(`{"metadata":{"labels":{"app.kubernetes.io/name":"coldtrace"}}}`)
	if _, err := s.client.CoreV1().ConfigMaps("coldtrace").Patch(t.Context(), "tracing-coldtrace-policy", types.MergePatchType, label, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if text := explain(); !strings.Contains(text, "only watches") || !strings.Contains(text, "own.example") {
		t.Errorf("an installation that only watches is explained as\n%s", text)
	}
}
