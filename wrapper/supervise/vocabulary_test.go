// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/coldtrace/coldtrace/startup"
)

func TestNamesAreThoseOfPackageStartup(t *testing.T) {
	for ours, theirs := range map[string]string{
		envPodUID: startup.EnvPodUID, envEndpoint: startup.EnvOTLPEndpoint, envFlushTimeout: startup.EnvFlushTimeout,
		envVLLMFlag: startup.EnvVLLMFlag, envTraceIDHash: startup.EnvTraceIDHash, envContainer: startup.EnvContainer,
		envGPUType: startup.EnvGPUType, envFallback: startup.EnvFallbackEndpoint, envPriority: startup.EnvSamplePriority,
		envPodName: startup.EnvPodName, envNodeName: startup.EnvNodeName, envNamespace: startup.EnvNamespace, envCluster: startup.EnvClusterName,
		envDefault: startup.EnvDefault, envExec: startup.EnvVLLMExec, envSampler: startup.EnvVLLMSampler, envSamplerArg: startup.EnvVLLMSamplerArg,
	} {
		if ours != theirs {
			t.Errorf("%s is %s there", ours, theirs)
		}
	}
	if defaultFlushTimeout != startup.DefaultFlushTimeout {
		t.Error("the default of the flush time-out differs")
	}
}

func TestTraceparentIsTheContractsIdentity(t *testing.T) {
	const uid = "0f0e2c1a-6d1b-4f2e-9c55-3d2b1a0e7f10"
	for _, hash := range []startup.Hash{"", startup.MD5, startup.SHA256} {
		s := &supervisor{env: []string{"POD_UID=" + uid, "COLDTRACE_TRACE_ID_HASH=" + string(hash), "COLDTRACE_CONTAINER=nobody"}}
		want := "00-" + hash.TraceID(uid).String() + "-" + hash.SpanID(uid, startup.Key(startup.SpanStartup, "", 1)).String() + "-01"
		if got := s.traceparent(); got != want {
			t.Errorf("%s: %s, want %s", hash, got, want)
		}
	}
}

func TestADroppedStartGivesVLLMNoTraceToJoin(t *testing.T) {
	s := &supervisor{env: []string{"POD_UID=u", "COLDTRACE_CONTAINER=nobody", "COLDTRACE_SAMPLING_PRIORITY=-1"}}
	if got := s.traceparent(); got != "" {
		t.Errorf("traceparent %s, want none", got)
	}
}

// What this package imports is initialised before the command starts.
func TestLittleIsImported(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Skip(err)
	}
	for pkg := range strings.FieldsSeq(string(out)) {
		if strings.Contains(pkg, "opentelemetry") || strings.Contains(pkg, "google.golang.org") || strings.HasPrefix(pkg, "net/http") ||
			pkg == "regexp" || strings.Contains(pkg, "yaml") {
			t.Errorf("%s is too much", pkg)
		}
	}
}
