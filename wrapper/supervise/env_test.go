// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"slices"
	"testing"
)

func TestTheWrapperStepsAsideWhereThereIsNothingToTell(t *testing.T) {
	for name, c := range map[string]struct {
		env  []string
		want bool
	}{
		"no variables":                          {nil, true},
		"an endpoint without a pod":             {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4317"}, true},
		"a pod without an endpoint":             {[]string{"POD_UID=u"}, true},
		"an endpoint and a pod":                 {[]string{"POD_UID=u", "OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4317"}, false},
		"only the fallback":                     {[]string{"POD_UID=u", "COLDTRACE_OTLP_ENDPOINT=http://c:4317"}, false},
		"the endpoint's own startup metrics":    {[]string{"POD_UID=u", "COLDTRACE_OTLP_ENDPOINT=http://c:4317", "ENABLE_STARTUP_METRICS=True"}, true},
		"its own startup metrics, switched off": {[]string{"POD_UID=u", "COLDTRACE_OTLP_ENDPOINT=http://c:4317", "ENABLE_STARTUP_METRICS=false"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := idle(c.env); got != c.want {
				t.Errorf("idle is %t", got)
			}
		})
	}
}

func TestWhatAdmissionCouldNotKnowIsSetWhereItIsAbsent(t *testing.T) {
	for name, c := range map[string]struct{ env, want []string }{
		"nothing passed":                      {[]string{"A=1"}, nil},
		"absent":                              {[]string{"COLDTRACE_DEFAULT_GPU_TYPE=h100"}, []string{"GPU_TYPE=h100"}},
		"there":                               {[]string{"GPU_TYPE=a100", "COLDTRACE_DEFAULT_GPU_TYPE=h100"}, nil},
		"there and empty":                     {[]string{"COLDTRACE_DEFAULT_GPU_TYPE=h100", "GPU_TYPE="}, nil},
		"a value with an equals sign":         {[]string{"COLDTRACE_DEFAULT_X=a=b"}, []string{"X=a=b"}},
		"an empty value":                      {[]string{"COLDTRACE_DEFAULT_X="}, nil},
		"a region":                            {[]string{"COLDTRACE_DEFAULT_AWS_REGION=us-west-2"}, []string{"AWS_REGION=us-west-2"}},
		"a region beside the pod's other one": {[]string{"AWS_DEFAULT_REGION=x", "COLDTRACE_DEFAULT_AWS_REGION=us-west-2"}, nil},
		"two":                                 {[]string{"COLDTRACE_DEFAULT_B=2", "COLDTRACE_DEFAULT_A=1"}, []string{"B=2", "A=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := withDefaults(c.env)
			if !slices.Equal(got, append(slices.Clone(c.env), c.want...)) {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestThePodIsEncodedAsTheSpecificationSays(t *testing.T) {
	env := []string{
		"POD_UID=0f0e-1", "POD_NAME=p.1_x~y", "COLDTRACE_NAMESPACE=ns", "NODE_NAME=", "COLDTRACE_CONTAINER=a b,c=d;%é/", "COLDTRACE_CLUSTER_NAME=west:1",
	}
	const want = "k8s.pod.uid=0f0e-1,k8s.pod.name=p.1_x~y,k8s.namespace.name=ns,k8s.container.name=a%20b%2Cc%3Dd%3B%25%C3%A9%2F,k8s.cluster.name=west%3A1"
	if got := attributes(env); got != want {
		t.Errorf("%s", got)
	}
}
