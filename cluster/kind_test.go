// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestKindsAreTakenAsKubectlTakesThem(t *testing.T) {
	for _, word := range []string{
		"pod", "po", "pods", "Pod", "deploy", "deployment", "deployments", "deployment.apps", "deployments.v1.apps", "Deployment", "deploy.apps", "rs", "replicaset.apps", "sts", "ds",
		"job", "jobs.batch", "job.v1.batch", "rc", "svc", "service", "lws", "leaderworkersets.leaderworkerset.x-k8s.io", "isvc", "raycluster.ray.io", "jobset", "pcsg",
	} {
		if !IsKind(word) {
			t.Errorf("%s is no kind", word)
		}
	}
	for _, word := range []string{"dep", "deploys", "p", "secret", "cm", "llama", "", "models"} {
		if IsKind(word) {
			t.Errorf("%s is a kind", word)
		}
	}
	if want := "pod, deploy (deployment), rs (replicaset), "; !strings.HasPrefix(Kinds(), want) {
		t.Errorf("the kinds are %s", Kinds())
	}
}

func TestPodsAreFoundByWhateverSelectorAnObjectHas(t *testing.T) {
	labels := map[string]any{"app": "llama"}
	for name, c := range map[string]struct {
		kind     string
		selector map[string]any
		want     string // of an error with a blank
	}{
		"a Deployment's":                {"Deployment", map[string]any{"matchLabels": labels}, "app=llama"},
		"an expression":                 {"StatefulSet", map[string]any{"matchExpressions": []any{map[string]any{"key": "app", "operator": "In", "values": []any{"llama"}}}}, "app in (llama)"},
		"a Service's":                   {"Service", labels, "app=llama"},
		"a ReplicationController's":     {"ReplicationController", labels, "app=llama"},
		"a label that its pods have":    {"RayCluster", nil, "ray.io/cluster=x"},
		"a Service's of no pods":        {"Service", nil, "service x has no selector of pods; what has is pod"},
		"one that would select all":     {"Deployment", map[string]any{"matchLabels": map[string]any{}}, "has no selector of pods"},
		"something else":                {"Secret", nil, "secret x has no selector of pods"},
		"another controller's":          {"Rollout", map[string]any{"matchLabels": labels}, "app=llama"},
		"one that this is no part of":   {"Deployment", map[string]any{"nodes": map[string]any{"a": "b"}}, "has no selector of pods"},
		"an operator that there is not": {"Deployment", map[string]any{"matchExpressions": []any{map[string]any{"key": "a", "operator": "Near"}}}, "read the selector of x"},
	} {
		t.Run(name, func(t *testing.T) {
			o := &unstructured.Unstructured{Object: map[string]any{"kind": c.kind, "metadata": map[string]any{"name": "x"}, "spec": map[string]any{}}}
			if c.selector != nil {
				o.Object["spec"] = map[string]any{"selector": c.selector}
			}
			got, err := selectorOf(o)
			if err != nil {
				got = err.Error()
			}
			if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
				t.Errorf("selected %q, want %q", got, c.want)
			}
		})
	}
}
