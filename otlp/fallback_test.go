// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"testing"

	"github.com/coldtrace/coldtrace/startup"
)

func TestTheFallbackEndpointIsUsedOnlyWhereNoOtherIs(t *testing.T) {
	for name, c := range map[string]struct{ configured, own, fallback, want string }{
		"the fallback alone":       {"", "", "http://fallback:4317", "http://fallback:4317"},
		"the container's own":      {"", "http://own:4317", "http://fallback:4317", "http://own:4317"},
		"a configured one":         {"http://configured:4317", "", "http://fallback:4317", "http://configured:4317"},
		"an own one that is empty": {"", " ", "http://fallback:4317", "http://fallback:4317"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(startup.EnvOTLPEndpoint, c.own)
			t.Setenv(startup.EnvFallbackEndpoint, c.fallback)
			for _, s := range []signal{tracesSignal, metricsSignal} {
				got, err := s.target(ExporterConfig{Endpoint: c.configured})
				if err != nil || got.url.String() != c.want {
					t.Errorf("%s go to %v (%v), want %s", s.env, got.url, err, c.want)
				}
			}
		})
	}
}
