// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"testing"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/inject"
)

func TestOneSourceTellsWhatHappensInside(t *testing.T) {
	for name, tc := range map[string]struct {
		logs             config.Logs
		wrapped, mayRead bool
		want             inject.Inside
		reason           inject.Reason
	}{
		"the wrapper where it is in":                       {config.LogsFallback, true, true, inject.InsideWrapper, inject.ReasonWrapperTells},
		"the wrapper, whatever may be read":                {config.LogsOff, true, false, inject.InsideWrapper, inject.ReasonWrapperTells},
		"else the log":                                     {config.LogsFallback, false, true, inject.InsideLog, inject.ReasonLogTells},
		"always the log, of a pod that it is not in":       {config.LogsAlways, false, true, inject.InsideLog, inject.ReasonLogTells},
		"both, for comparing":                              {config.LogsAlways, true, true, inject.InsideBoth, inject.ReasonLogsAlways},
		"the wrapper alone where there is nothing to hear": {config.LogsAlways, true, false, inject.InsideWrapper, inject.ReasonWrapperTells},
		"nobody without the right":                         {config.LogsFallback, false, false, inject.InsideNobody, inject.ReasonLogsForbidden},
		"nobody where that is wanted":                      {config.LogsOff, false, true, inject.InsideNobody, inject.ReasonLogsOff},
	} {
		if got, reason := inject.InsideOf(tc.logs, tc.wrapped, tc.mayRead); got != tc.want || reason != tc.reason {
			t.Errorf("%s: %s, %s", name, got, reason)
		}
	}
}

func TestTheDecisionOnAPodSaysWhetherTheWrapperIsIn(t *testing.T) {
	for status, want := range map[string]bool{
		`{"version":"1","outcome":"injected","features":["env","wrapper"]}`: true,
		`{"version":"1","outcome":"injected","features":["env"]}`:           false,
		`{"version":"1","outcome":"skipped"}`:                               false,
		`{"features":["wrapper"`:                                            false,
		"":                                                                  false,
	} {
		if got := inject.Wrapped(map[string]string{config.StatusAnnotation: status}); got != want {
			t.Errorf("%s: %v", status, got)
		}
	}
	if inject.Wrapped(nil) {
		t.Error("a pod without annotations")
	}
}
