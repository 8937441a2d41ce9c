// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"strings"
	"testing"

	"github.com/coldtrace/coldtrace/inject"
)

func TestEveryReasonThatCallsForSomethingIsTold(t *testing.T) {
	for _, e := range inject.Vocabulary {
		d := &inject.Decision{Notes: []inject.Note{{Reason: inject.ReasonLabel}, {Reason: e.Reason}}}
		told := false
		for _, name := range []string{ruleSelection, ruleAnnotations, ruleGPU, ruleCommand, ruleEnv, ruleWrapper, ruleFlag, ruleSampling, ruleInside} {
			r := Rule{Name: name}
			r.tell(d)
			told = told || strings.Contains(r.Decided, string(e.Reason)) && strings.Join(r.Advice, "") == e.Advice
		}
		if !told {
			t.Errorf("%s belongs to no rule", e.Reason)
		}
	}
}
