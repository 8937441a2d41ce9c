// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/coldtrace/coldtrace/startup"
)

// leaderWorkerSet is enough of LWS's API that its sets can be named.
func (b *bare) leaderWorkerSet(namespace, name string) {
	b.t.Helper()
	anything := true
	crd := &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "leaderworkersets.leaderworkerset.x-k8s.io"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "leaderworkerset.x-k8s.io", Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{
				Plural: "leaderworkersets", Singular: "leaderworkerset", Kind: "LeaderWorkerSet", ListKind: "LeaderWorkerSetList", ShortNames: []string{"lws"},
			},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &anything}},
			}},
		},
	}
	_, err := envtest.InstallCRDs(b.env.Config, envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{crd}})
	must(b.t, err)
	set := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "metadata": map[string]any{"name": name},
	}}
	sets := dynamic.NewForConfigOrDie(b.env.Config).Resource(schema.GroupVersionResource{Group: "leaderworkerset.x-k8s.io", Version: "v1", Resource: "leaderworkersets"})
	must(b.t, ignore(sets.Namespace(namespace).Create(b.t.Context(), set, metav1.CreateOptions{})))
}

// member makes a pod one of the set's only group.
func member(set string, index, size int) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		yes, owner := true, set
		p.Annotations = map[string]string{"leaderworkerset.sigs.k8s.io/size": strconv.Itoa(size)}
		if index > 0 {
			owner = set + "-0"
			p.Annotations["leaderworkerset.sigs.k8s.io/leader-name"] = owner
			p.Spec.Containers[0].ReadinessProbe = nil
			p.Spec.Containers[0].Args = append(p.Spec.Containers[0].Args, "--headless")
		}
		for key, value := range map[string]string{"name": set, "group-index": "0", "worker-index": strconv.Itoa(index)} {
			p.Labels["leaderworkerset.sigs.k8s.io/"+key] = value
		}
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: owner, UID: types.UID("of-" + owner), Controller: &yes}}
	}
}

func TestAGroupOfAClusterIsDrawnAsOneStart(t *testing.T) {
	b := newBare(t)
	b.namespace("models")
	b.leaderWorkerSet("models", "llama")
	leader := b.begin("models", "llama-0", member("llama", 0, 3))
	b.happened(leader, "Started", "Container started", 1010*time.Millisecond)
	b.log(leader, false, said(leader, len(vllm)))
	b.ready(leader, 28)
	for index, pulled := range map[int]time.Duration{1: time.Second, 2: 21 * time.Second} {
		worker := b.begin("models", "llama-0-"+strconv.Itoa(index), member("llama", index, 3))
		b.happened(worker, "Pulling", `Pulling image "vllm/vllm-openai:v0.19.0"`, 500*time.Millisecond)
		b.happened(worker, "Pulled", `Successfully pulled image "vllm/vllm-openai:v0.19.0" in 500ms (500ms including waiting). Image size: 9900000000 bytes.`, pulled)
		b.happened(worker, "Started", "Container started", pulled+100*time.Millisecond)
		worker.Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(worker.CreationTimestamp.Add(pulled))
		b.ready(b.status(worker), int(pulled.Seconds()))
	}
	draw := func(args ...string) string {
		t.Helper()
		out, errs, err := drawTrace(t, "", append([]string{"--kubeconfig", b.admin, "--width", "100", "-n", "models"}, args...)...)
		if err != nil {
			t.Fatal(err, errs)
		}
		return out
	}
	t.Run("named as its set", func(t *testing.T) {
		out := draw("lws/llama")
		for _, want := range []string{"group models/lws/llama/0, 3 pods", "held up by worker 2", "image_pull", "worker 1", "model_load", "ready after"} {
			if !strings.Contains(out, want) {
				t.Errorf("the drawing lacks %q:\n%s", want, out)
			}
		}
	})
	t.Run("with links between its pods", func(t *testing.T) {
		out := draw("lws/llama", "-o", "otlp")
		root := startup.MD5.SpanID(string(leader.UID), startup.SpanPodStartup).String()
		if n := strings.Count(out, `"links":[`); n != 3 {
			t.Errorf("%d spans have links, want the roots of 3 pods", n)
		}
		if n := strings.Count(out, `"links":[{"attributes":[{"key":"k8s.pod.name","value":{"stringValue":"llama-0"}}],"spanId":"`+root+`"`); n != 2 {
			t.Errorf("%d workers lead to their leader, want 2:\n%s", n, out)
		}
	})
	t.Run("one of its pods alone", func(t *testing.T) {
		if out := draw("llama-0"); strings.Contains(out, "group ") || !strings.Contains(out, "pod models/llama-0") {
			t.Errorf("a pod that is asked for by name is drawn as that:\n%s", out)
		}
	})
	t.Run("counted in a report", func(t *testing.T) {
		cmd := newReportCommand()
		var out strings.Builder
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs([]string{"--kubeconfig", b.admin, "-n", "models", "lws/llama", "--width", "160"})
		if err := cmd.Execute(); err != nil || !strings.Contains(out.String(), "1 group of pods that start as one: 1 ready") {
			t.Errorf("%v\n%s", err, out.String())
		}
	})
}
