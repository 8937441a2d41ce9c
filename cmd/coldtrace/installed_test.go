// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
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
}
