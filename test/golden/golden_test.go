// SPDX-License-Identifier: Apache-2.0

// Package golden_test creates injection's golden pods on a real API server: what injection writes is a valid pod, in a
// namespace that enforces the restricted Pod Security Standard wherever the pod without it was allowed there.
//
// It needs KUBEBUILDER_ASSETS, a folder with etcd and kube-apiserver; `make test` sets it.
package golden_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/test/apiserver"
)

// The policy that the goldens without directives were made under.
const policyText = `
clusterName: prod-1
otlp: {endpoint: "http://collector.coldtrace.svc:4317"}
wrapper: {image: registry.example/coldtrace-wrapper:1}
`

func TestMain(m *testing.M) { os.Exit(apiserver.Main(m)) }

// apiServer is one with a namespace per Pod Security level.
func apiServer(t *testing.T) *kubernetes.Clientset {
	t.Helper()
	cfg := rest.CopyConfig(apiserver.Of(t).Config)
	cfg.QPS, cfg.Burst = 500, 1000
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, level := range []string{"restricted", "privileged"} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: level, Labels: map[string]string{"pod-security.kubernetes.io/enforce": level}}}
		if _, err := client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return client
}

// create posts a pod as it is written, fields that are newer than this API server included.
func create(ctx context.Context, client *kubernetes.Clientset, namespace string, pod []byte, dryRun bool) ([]byte, error) {
	req := client.CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").SetHeader("Content-Type", "application/json").Body(pod)
	var applied metav1.PartialObjectMetadata
	if err := json.Unmarshal(pod, &applied); err != nil {
		return nil, err
	}
	if len(applied.ManagedFields) > 0 && applied.ManagedFields[0].Operation == metav1.ManagedFieldsOperationApply {
		// What manages a field is the API server's to say: it is applied as kubectl does.
		body := map[string]any{}
		if err := json.Unmarshal(pod, &body); err != nil {
			return nil, err
		}
		delete(body["metadata"].(map[string]any), "managedFields")
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		req = client.CoreV1().RESTClient().Patch(types.ApplyYAMLPatchType).Namespace(namespace).Resource("pods").Name(applied.Name).
			Param("fieldManager", applied.ManagedFields[0].Manager).Body(text)
	}
	req = req.SetHeader("Accept", "application/json").Param("fieldValidation", "Ignore")
	if dryRun {
		req = req.Param("dryRun", "All")
	}
	return req.Do(ctx).Raw()
}

func TestEveryGoldenPodIsAcceptedByTheAPIServerAndStaysAsItIs(t *testing.T) {
	client := apiServer(t)
	policy, err := config.Parse([]byte(policyText))
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob("../../inject/testdata/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	accepted, restricted := 0, 0
	for _, path := range paths {
		before, source := read(t, path)
		after, _ := read(t, path+".injected")
		namespace := "restricted"
		defaulted, err := create(t.Context(), client, namespace, before, true)
		if err != nil {
			namespace = "privileged"
			if defaulted, err = create(t.Context(), client, namespace, before, true); err != nil {
				t.Logf("%s is refused as it came: %v", filepath.Base(path), err)
				continue
			}
		} else {
			restricted++
		}
		accepted++
		created, err := create(t.Context(), client, namespace, after, false)
		if err != nil {
			t.Errorf("%s, injected, is refused in %s: %v", filepath.Base(path), namespace, err)
			continue
		}
		if strings.Contains(source, "\n#") {
			continue // made under another policy
		}
		if ops := injectAgain(t, created, policy); len(ops) > 0 {
			t.Errorf("%s comes back with more to do: %v", filepath.Base(path), ops[0])
		}
		// What a webhook sees has its defaults written out already.
		if ops := injectAgain(t, defaulted, policy); len(ops) == 0 && string(before) != string(after) {
			t.Errorf("%s, with its defaults, is not injected", filepath.Base(path))
		}
	}
	t.Logf("%d of %d accepted, %d of them in a restricted namespace", accepted, len(paths), restricted)
	if accepted < len(paths)-8 {
		t.Errorf("only %d of %d fixtures are pods that an API server takes", accepted, len(paths))
	}
}

func read(t *testing.T, path string) (pod []byte, source string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if pod, err = yaml.YAMLToJSON(data); err != nil {
		t.Fatal(err)
	}
	return pod, string(data)
}

func injectAgain(t *testing.T, raw []byte, policy *config.Policy) []inject.Operation {
	t.Helper()
	pod := new(endpoint.Pod)
	if err := json.Unmarshal(raw, pod); err != nil {
		t.Fatal(err)
	}
	ops, _ := inject.Pod(inject.Request{Pod: pod, Namespace: "team-a", Policy: policy, Version: "test"})
	return ops
}
