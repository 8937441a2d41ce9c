// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/inject"
)

// A protocol beside an endpoint that is not ours would turn the container's own exporters to one that is not spoken there.
func TestWhoSaysWhereTelemetryGoesSaysHow(t *testing.T) {
	for name, c := range map[string]struct {
		env  []corev1.EnvVar
		want bool
	}{
		"our endpoint":                  {nil, true},
		"the pod's own":                 {[]corev1.EnvVar{{Name: "OTEL_EXPORTER_OTLP_ENDPOINT", Value: "http://agent:4317"}}, false},
		"the pod's own, from elsewhere": {[]corev1.EnvVar{{Name: "OTEL_EXPORTER_OTLP_ENDPOINT", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{Key: "b"}}}}, false},
	} {
		pod := gpuPod([]string{"vllm", "serve", "m"}, nil)
		pod.Spec.Containers[0].Env = c.env
		ops, _ := inject.Pod(inject.Request{Pod: pod, Policy: mergedPolicy(t, "otlp: {protocol: http/protobuf}"), ImageVolumes: true})
		text, err := json.Marshal(ops)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(text), "OTLP_PROTOCOL"); got != c.want {
			t.Errorf("%s: a protocol is added: %t, want %t", name, got, c.want)
		}
	}
}
