// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/endpoint"
)

func TestImagePatterns(t *testing.T) {
	for name, c := range map[string]struct {
		pattern, image string
		want           bool
	}{
		"the name":                    {"vllm/vllm-openai", "vllm/vllm-openai:v0.17.0", true},
		"the name by digest":          {"vllm/vllm-openai", "vllm/vllm-openai:v1@sha256:ab", true},
		"another name":                {"vllm/vllm-openai", "vllm/vllm-openai-tpu:v1", false},
		"a star over slashes":         {"reg.example/*", "reg.example/a/b:1", true},
		"a star in the middle":        {"reg.example/*/vllm", "reg.example/a/b/vllm:1", true},
		"a star at the end of a name": {"reg.example/vllm*", "reg.example/vllm-cuda12:1", true},
		"a tag in the pattern":        {"a/b:v1*", "a/b:v1.2", true},
		"another tag":                 {"a/b:v1*", "a/b:v2", false},
		"a port is no tag":            {"reg:5000/a", "reg:5000/a:1", true},
		"a broken pattern":            {"a[", "a[", false},
		"everything":                  {"*", "reg:5000/a/b:1", true},
	} {
		if got := matchImage(c.pattern, c.image); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestARegistryIsAskedOnlyWhereNothingElseTells(t *testing.T) {
	pod := func(change func(*endpoint.Pod)) *endpoint.Pod {
		p := &endpoint.Pod{
			Metadata: endpoint.Metadata{Labels: map[string]string{"managed-by": "model-engine"}},
			Spec: endpoint.PodSpec{Containers: []endpoint.Container{{
				Name: "main", Image: "own:1", Resources: endpoint.Resources{Limits: map[string]endpoint.Quantity{"nvidia.com/gpu": "1"}},
			}}},
		}
		change(p)
		return p
	}
	for name, c := range map[string]struct {
		change func(*endpoint.Pod)
		off    bool
		want   bool
	}{
		"no command":          {func(*endpoint.Pod) {}, false, true},
		"switched off":        {func(*endpoint.Pod) {}, true, false},
		"a command":           {func(p *endpoint.Pod) { p.Spec.Containers[0].Command = []string{"a"} }, false, false},
		"an annotation":       {func(p *endpoint.Pod) { p.Metadata.Annotations = map[string]string{"coldtrace.io/entrypoint": `["a"]`} }, false, false},
		"a known image":       {func(p *endpoint.Pod) { p.Spec.Containers[0].Image = "known:1" }, false, false},
		"no wrapper wanted":   {func(p *endpoint.Pod) { p.Metadata.Annotations = map[string]string{"coldtrace.io/delivery": "off"} }, false, false},
		"a pod not selected":  {func(p *endpoint.Pod) { p.Metadata.Labels = nil }, false, false},
		"a pod without a GPU": {func(p *endpoint.Pod) { p.Spec.Containers[0].Resources.Limits = nil }, false, false},
	} {
		policy := config.Default()
		policy.RegistryLookup = !c.off
		policy.KnownImages = []config.KnownImage{{Image: "known", Entrypoint: []string{"a"}}}
		image, ok := WantsEntrypoint(Request{Pod: pod(c.change), Policy: policy})
		if ok != c.want || ok && image != "own:1" {
			t.Errorf("%s: %q, %v", name, image, ok)
		}
	}
}

// A command that is another image's would end the pod.
func TestAContainerGetsTheCommandOfItsOwnImage(t *testing.T) {
	gpu := endpoint.Resources{Limits: map[string]endpoint.Quantity{"nvidia.com/gpu": "1"}}
	claim := endpoint.Resources{Claims: []corev1.ResourceClaim{{Name: "device"}}}
	policy := config.Default()
	policy.OTLP.Endpoint, policy.Wrapper.Image = "http://collector:4317", "wrapper"
	policy.KnownImages = []config.KnownImage{{Image: "proxy", Entrypoint: []string{"/proxy"}}, {Image: "server", Entrypoint: []string{"vllm", "serve"}}}
	for name, c := range map[string]struct {
		containers []endpoint.Container
		want       []string
	}{
		"a known image beside an unknown one":  {[]endpoint.Container{{Name: "proxy", Image: "proxy:1"}, {Name: "main", Image: "other:1", Resources: gpu}}, nil},
		"a known server beside an unknown one": {[]endpoint.Container{{Name: "router", Image: "server:1"}, {Name: "main", Image: "other:1", Resources: gpu}}, nil},
		"two known images":                     {[]endpoint.Container{{Name: "proxy", Image: "proxy:1"}, {Name: "main", Image: "server:1", Resources: gpu}}, []string{"vllm", "serve"}},
		"the server first":                     {[]endpoint.Container{{Name: "main", Image: "server:1", Resources: gpu}, {Name: "proxy", Image: "proxy:1"}}, []string{"vllm", "serve"}},
		"a GPU by a claim that an engine has":  {[]endpoint.Container{{Name: "proxy", Image: "proxy:1", Resources: claim}, {Name: "main", Image: "server:1", Resources: claim}}, []string{"vllm", "serve"}},
	} {
		pod := &endpoint.Pod{
			Metadata: endpoint.Metadata{Labels: map[string]string{"managed-by": "model-engine"}},
			Spec:     endpoint.PodSpec{Containers: c.containers, ResourceClaims: []corev1.PodResourceClaim{{Name: "device"}}},
		}
		ops, d := Pod(Request{Pod: pod, Policy: policy, ImageVolumes: true})
		var got []string
		for _, op := range ops {
			if strings.HasSuffix(op.Path, "/command") {
				got = op.Value.([]string)[len(endpoint.Prefix("")):]
			}
		}
		if d.Container != "main" || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q runs %q, want %q: %v", name, d.Container, got, c.want, d.Notes)
		}
	}
}
