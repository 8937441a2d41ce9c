// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/coldtrace/coldtrace/startup"
)

const (
	// Between the wrapper and EnvVLLMExec's program, and nobody else.
	envInbox       = "COLDTRACE_VLLM_INBOX"
	envTraceparent = "COLDTRACE_VLLM_TRACEPARENT"
)

// environ is the environment byte for byte. Go's own copy lacks repeated names, which shells and libc treat each in
// their way.
func environ() startup.Environ {
	raw, err := os.ReadFile("/proc/self/environ")
	if err != nil || len(raw) == 0 {
		return syscall.Environ()
	}
	parts := bytes.Split(bytes.TrimSuffix(raw, []byte{0}), []byte{0})
	env := make(startup.Environ, len(parts))
	for i, p := range parts {
		env[i] = string(p)
	}
	return env
}

// withDefaults sets what the webhook would have set, had it known what is absent.
func withDefaults(env startup.Environ) startup.Environ {
	out := env
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, startup.EnvDefault); ok {
			name, value, _ := strings.Cut(v, "=")
			if value != "" && !out.Has(name) && (name != startup.EnvAWSRegion || !out.Has(startup.EnvAWSDefault)) {
				out = append(slices.Clip(out), v)
			}
		}
	}
	return out
}

// idle tells that there is nothing to do: nowhere to send telemetry to, no identity to send it under, or an endpoint that
// sends the same spans itself, which admission can't see where the variable comes from a ConfigMap.
func idle(env startup.Environ) bool {
	if upstream, _ := strconv.ParseBool(env.Get(startup.EnvUpstream)); upstream {
		return true
	}
	return env.Get(startup.EnvOTLPEndpoint) == "" && env.Get(startup.EnvFallbackEndpoint) == "" || env.Get(startup.EnvPodUID) == ""
}
