// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// FromPod is the part of a typed pod that coldtrace reads. Pod is a subset of corev1.Pod by construction, so it goes by
// way of JSON; the watcher does it once per pod.
func FromPod(pod *corev1.Pod) *Pod {
	raw, err := json.Marshal(pod)
	if err != nil {
		panic(fmt.Sprintf("marshal a typed pod: %v", err)) // impossible: corev1.Pod has no type that can't be encoded
	}
	out := new(Pod)
	if err := json.Unmarshal(raw, out); err != nil {
		panic(fmt.Sprintf("decode a typed pod: %v", err)) // impossible: see TestPodIsASubsetOfThePodAPI
	}
	return out
}
