// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	engines "github.com/coldtrace/coldtrace/engine"
	"github.com/coldtrace/coldtrace/startup"
)

var marks = []mark{
	"", markLaunch, markEngine, markDraft, markNoDraft, markCapacity, markEngineReady, markEngineUp, markServing, markReady, markPrompt, markClient, markEngineSeen,
	markWorking, markWaiting, markGaveUp, markInterrupted, markExited, markException, markChained, markAside, markThread, markHeadless, markConfigured, markEager, markPartReady,
}

// phases are the spans that a recipe may produce: those of the contract, and TGI's and LMDeploy's warm-up.
var phases = []string{
	"", startup.SpanModelLoad, startup.SpanWeightsLoad, startup.SpanHFDownload, startup.SpanTorchCompile,
	startup.SpanKVCacheInit, startup.SpanCUDAGraphCapture, startup.SpanKernelWarmup, startup.SpanPythonImport, startup.SpanEngineConfig,
	startup.SpanWorkerLaunch, startup.SpanDistributedInit, startup.SpanDynamo, startup.SpanMemoryProfiling, startup.SpanEncoderProfiling,
	startup.SpanKVConnectorInit, startup.SpanLoRALoad, startup.SpanAPIServerInit, startup.SpanServerWarmup,
}

func TestEveryRecipeIsWellFormed(t *testing.T) {
	recipes, err := load()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recipes {
		if e := engines.ByName(r.id); e == nil || len(e.Processes) == 0 || len(r.rules) == 0 || r.name == "" {
			t.Errorf("%s: incomplete", r.id)
		}
		if !slices.Contains(marks, r.serveMarker) {
			t.Errorf("%s: unknown mark %q", r.id, r.serveMarker)
		}
		for name, how := range r.figures {
			if !slices.Contains([]aggregate{aggregateMax, aggregateMin, aggregateLast, aggregateEach, aggregateDraft}, how) {
				t.Errorf("%s: figure %s: unknown aggregate %q", r.id, name, how)
			}
		}
		for _, rule := range r.rules {
			if err := rule.check(); err != nil {
				t.Errorf("%s: %q: %v", r.id, rule.Says, err)
			}
		}
	}
}

// What a span says, an annotation may say, and the wrapper is told: each has a recipe that is called so.
func TestAnEngineIsCalledOneNameAtAdmissionAndInSpans(t *testing.T) {
	for _, r := range recipes() {
		if named := ByName(r.Engine()); named == nil || named.Engine() != r.Engine() || !slices.Contains(Engines(), r.Engine()) {
			t.Errorf("spans of %s are of engine %q, which is none of %q", r.id, r.Engine(), Engines())
		}
	}
	for _, name := range Engines() {
		if ByName(name) == nil {
			t.Errorf("no recipe is called %s", name)
		}
	}
}

func (r *rule) check() error {
	literal := r.literal()
	if len(strings.TrimSpace(literal)) < 4 {
		return fmt.Errorf("%q is too short to be searched for", literal)
	}
	re, err := regexp.Compile(compile(r.Says))
	switch {
	case err != nil:
		return err
	case !slices.Contains([]string{"", "server", "api_server", "core", "nobody", "container"}, r.By):
		return fmt.Errorf("unknown by %q", r.By)
	case !slices.Contains(marks, r.Mark) || !slices.Contains(marks, r.Needs):
		return fmt.Errorf("unknown mark %q or %q", r.Mark, r.Needs)
	case !slices.Contains(phases, r.Phase) || !slices.Contains(phases, r.Opens):
		return fmt.Errorf("unknown phase %q or %q", r.Phase, r.Opens)
	case r.Edge != "" && r.Edge != "begin":
		return fmt.Errorf("unknown edge %q", r.Edge)
	case r.Edge != "" && r.Phase == "":
		return errors.New("an edge without a phase")
	}
	for _, names := range []map[string]string{r.Figures, r.Attributes} {
		for group := range names {
			if re.SubexpIndex(group) < 0 {
				return fmt.Errorf("no placeholder {%s}", group)
			}
		}
	}
	for _, v := range []string{r.Since, r.Before} {
		if _, ok := parseVersion(v); v != "" && !ok {
			return fmt.Errorf("bad version %q", v)
		}
	}
	return nil
}

func TestVersionsCompareByTheirNumbers(t *testing.T) {
	for text, c := range map[string]struct {
		than string
		want bool
	}{
		"0.6.4.post1":            {"0.6.5", true},
		"0.6.5":                  {"0.6.5", false},
		"0.10.0":                 {"0.6.5", false},
		"0.8.5.post1":            {"0.9", true},
		"0.15.2rc1.dev73+g18929": {"0.15.2", false},
		"1":                      {"0.28", false},
	} {
		a, okA := parseVersion(text)
		b, okB := parseVersion(c.than)
		if !okA || !okB || a.less(b) != c.want {
			t.Errorf("%s < %s: want %v", text, c.than, c.want)
		}
	}
	if _, ok := parseVersion("dev"); ok {
		t.Error("a word is no version")
	}
}

func TestThereIsNoRecipeForNobody(t *testing.T) {
	if ByName("nobody") != nil {
		t.Error("there is")
	}
}
