// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"context"
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/startup"
)

func makeNamespace(t testing.TB, name string, labels map[string]string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	_, err := suite.client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{})
	must(t, err)
}

// labelled makes a namespace that is opted in.
func labelled(t testing.TB) string {
	t.Helper()
	name := "on-" + randomName()
	makeNamespace(t, name, map[string]string{"coldtrace.io/inject": "enabled"})
	return name
}

// endpointPod is a vLLM endpoint in model-engine's shape.
func endpointPod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:   name,
			Labels: map[string]string{"managed-by": "model-engine", "endpoint_name": "llama"},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{
			{Name: "http-forwarder", Image: "example.test/forwarder:1", Command: []string{"/forward"}},
			{
				Name: "main", Image: "example.test/vllm:0.17.0",
				Command: []string{"/bin/bash", "-c", "set -euo pipefail;./s5cmd cp s3://models/llama/* model_files;python -m vllm_server --model model_files --port 5005"},
				Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{
					"nvidia.com/gpu": resource.MustParse("1"), "cpu": resource.MustParse("2"), "memory": resource.MustParse("4Gi"),
				}},
			},
		}},
	}
}

// create creates a pod and gives it back as the API server keeps it.
func create(ctx context.Context, namespace string, pod *corev1.Pod, options metav1.CreateOptions) (*corev1.Pod, error) {
	return suite.client.CoreV1().Pods(namespace).Create(ctx, pod, options)
}

// decision is what the pod's annotation says; false: there is none.
func decision(t testing.TB, pod *corev1.Pod) (inject.Decision, bool) {
	t.Helper()
	text, ok := pod.Annotations[config.StatusAnnotation]
	if !ok {
		return inject.Decision{}, false
	}
	var d inject.Decision
	must(t, json.Unmarshal([]byte(text), &d))
	return d, true
}

func injected(pod *corev1.Pod) bool {
	for _, c := range pod.Spec.Containers {
		for _, e := range c.Env {
			if c.Name == "main" && e.Name == startup.EnvPodUID {
				return true
			}
		}
	}
	return false
}

// specOf is what would differ if a pod had been touched: all that is not the API server's own to fill in.
func specOf(t testing.TB, pod *corev1.Pod) string {
	t.Helper()
	o, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
	must(t, err)
	meta, ok := o["metadata"].(map[string]any)
	if !ok {
		t.Fatal("a pod without metadata")
	}
	for _, own := range []string{"uid", "resourceVersion", "creationTimestamp", "namespace", "managedFields", "generation"} {
		delete(meta, own)
	}
	delete(o, "status")
	b, err := json.Marshal(o)
	must(t, err)
	return string(b)
}
