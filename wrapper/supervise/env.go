// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Names of the environment, as in package startup, which this one must not import: see package launch. A test compares
// them.
const (
	envPodUID       = "POD_UID"
	envEndpoint     = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envFallback     = "COLDTRACE_OTLP_ENDPOINT"
	envUpstream     = "ENABLE_STARTUP_METRICS" // model-engine's own, not of package startup
	envFlushTimeout = "COLDTRACE_FLUSH_TIMEOUT"
	envVLLMFlag     = "COLDTRACE_VLLM_FLAG"
	envPriority     = "COLDTRACE_SAMPLING_PRIORITY"
	envTraceIDHash  = "COLDTRACE_TRACE_ID_HASH"
	envContainer    = "COLDTRACE_CONTAINER"
	envPodName      = "POD_NAME"
	envNodeName     = "NODE_NAME"
	envNamespace    = "COLDTRACE_NAMESPACE"
	envCluster      = "COLDTRACE_CLUSTER_NAME"
	envGPUType      = "GPU_TYPE"
	envDefault      = "COLDTRACE_DEFAULT_"
	envExec         = "COLDTRACE_VLLM_EXEC"
	envSampler      = "COLDTRACE_VLLM_SAMPLER"
	envSamplerArg   = "COLDTRACE_VLLM_SAMPLER_ARG"

	// Between the wrapper and EnvVLLMExec's program, and nobody else.
	envInbox       = "COLDTRACE_VLLM_INBOX"
	envTraceparent = "COLDTRACE_VLLM_TRACEPARENT"

	defaultFlushTimeout = 2 * time.Second
	maxFlushTimeout     = 10 * time.Second // a pod's grace is 30 s, and may be spent
)

// environ is the environment byte for byte. Go's own copy lacks repeated names, which shells and libc treat each in
// their way.
func environ() []string {
	raw, err := os.ReadFile("/proc/self/environ")
	if err != nil || len(raw) == 0 {
		return syscall.Environ()
	}
	parts := bytes.Split(bytes.TrimSuffix(raw, []byte{0}), []byte{0})
	env := make([]string, len(parts))
	for i, p := range parts {
		env[i] = string(p)
	}
	return env
}

// lookup finds the first entry of a name, as libc does.
func lookup(env []string, name string) string {
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// withDefaults sets what the webhook would have set, had it known what is absent.
func withDefaults(env []string) []string {
	out := env
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, envDefault); ok {
			name, value, _ := strings.Cut(v, "=")
			if value != "" && !has(out, name) && (name != "AWS_REGION" || !has(out, "AWS_DEFAULT_REGION")) {
				out = append(slices.Clip(out), v)
			}
		}
	}
	return out
}

func has(env []string, name string) bool {
	return slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, name+"=") })
}

// idle tells that there is nothing to do: nowhere to send telemetry to, no identity to send it under, or an endpoint that
// sends the same spans itself, which admission can't see where the variable comes from a ConfigMap.
func idle(env []string) bool {
	if upstream, err := strconv.ParseBool(lookup(env, envUpstream)); err == nil && upstream {
		return true
	}
	return lookup(env, envEndpoint) == "" && lookup(env, envFallback) == "" || lookup(env, envPodUID) == ""
}

func flushTimeout(env []string) time.Duration {
	if d, err := time.ParseDuration(lookup(env, envFlushTimeout)); err == nil && d >= 0 {
		return min(d, maxFlushTimeout)
	}
	return defaultFlushTimeout
}
