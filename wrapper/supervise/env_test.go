// SPDX-License-Identifier: Apache-2.0

package supervise

import "testing"

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
