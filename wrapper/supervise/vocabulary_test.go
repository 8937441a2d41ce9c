// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"testing"

	"github.com/coldtrace/coldtrace/startup"
)

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
