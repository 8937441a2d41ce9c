// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// kinds of what has pods: the word that most people type, then what else kubectl takes.
var kinds = [][]string{
	{"pod", "pods", "po"},
	{"deploy", "deployment", "deployments"},
	{"rs", "replicaset", "replicasets"},
	{"sts", "statefulset", "statefulsets"},
	{"ds", "daemonset", "daemonsets"},
	{"job", "jobs"},
	{"rc", "replicationcontroller", "replicationcontrollers"},
	{"svc", "service", "services"},
	{"lws", "leaderworkerset", "leaderworkersets"},
	{"isvc", "inferenceservice", "inferenceservices"},
	{"raycluster", "rayclusters"},
	{"jobset", "jobsets"},
	{"pcsg", "podcliquescalinggroup", "podcliquescalinggroups"},
}

// byLabel are kinds without a selector of their own, by the label that their pods have.
var byLabel = map[string]string{
	"LeaderWorkerSet":       "leaderworkerset.sigs.k8s.io/name",
	"InferenceService":      "serving.kserve.io/inferenceservice",
	"RayCluster":            "ray.io/cluster",
	"PodCliqueScalingGroup": "grove.io/podcliquescalinggroup",
	"JobSet":                "jobset.sigs.k8s.io/jobset-name",
}

// KindWords are all words for kinds of what has pods.
func KindWords() []string { return slices.Concat(kinds...) }

// Kinds lists them as a person reads them: "pod, deploy (deployment), rs (replicaset)".
func Kinds() string {
	said := make([]string, len(kinds))
	for i, words := range kinds {
		if said[i] = words[0]; !strings.HasPrefix(words[1], words[0]+"s") {
			said[i] += " (" + words[1] + ")"
		}
	}
	return strings.Join(said, ", ")
}

// IsKind tells whether a word names a kind of what has pods: deploy, Deployments, deployment.apps, deployments.v1.apps.
func IsKind(word string) bool {
	word, _, _ = strings.Cut(strings.ToLower(word), ".")
	return slices.Contains(KindWords(), word)
}

// selectorOf selects an object's pods: by its own selector, or the label that its controller gives them.
func selectorOf(o *unstructured.Unstructured) (string, error) {
	if label, ok := byLabel[o.GetKind()]; ok {
		return labels.Set{label: o.GetName()}.String(), nil
	}
	none := fmt.Errorf("%s %s has no selector of pods; what has is %s", strings.ToLower(o.GetKind()), o.GetName(), Kinds())
	raw, _, _ := unstructured.NestedMap(o.Object, "spec", "selector")
	if len(raw) == 0 {
		return "", none
	}
	if plain, ok, err := unstructured.NestedStringMap(o.Object, "spec", "selector"); ok && err == nil {
		return labels.Set(plain).String(), nil // of a Service, a ReplicationController
	}
	var s metav1.LabelSelector
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &s); err != nil {
		return "", fmt.Errorf("read the selector of %s: %w", o.GetName(), err)
	}
	selector, err := metav1.LabelSelectorAsSelector(&s)
	if err != nil {
		return "", fmt.Errorf("read the selector of %s: %w", o.GetName(), err)
	}
	if selector.Empty() { // of all pods, if it is one of pods at all
		return "", none
	}
	return selector.String(), nil
}
