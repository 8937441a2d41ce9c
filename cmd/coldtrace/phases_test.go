// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

const fixtures = "../../engine/recipe/testdata/"

func phases(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := newPhasesCommand()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.Execute()
	return out.String(), err
}

func TestPhasesPrintsTheDocumentedJSON(t *testing.T) {
	out, err := phases(t, "--json", fixtures+"vllm-0.19.0-fails-kv_cache.log")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Engine, Version, Outcome, Reason string
		Phases                           []map[string]any
		Figures                          map[string]any
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Engine != "vllm" || doc.Version != "0.19.0" || doc.Outcome != "failed" || doc.Reason != "kv_cache_too_small" {
		t.Errorf("%s", out)
	}
	for _, p := range doc.Phases {
		for _, key := range []string{"name", "start", "end", "duration_seconds"} {
			if p[key] == nil {
				t.Errorf("a phase without %s: %v", key, p)
			}
		}
	}
	if doc.Figures["model_load_seconds"] == nil {
		t.Errorf("no figures: %s", out)
	}
}

func TestPhasesPrintsATableAndTakesTheExitStatus(t *testing.T) {
	out, err := phases(t, "--exit-code", "137", fixtures+"vllm-0.19.0-fails-silent_kill.log")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"failed (killed)", "torch_compile", "weights_load_seconds"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestPhasesSaysWhatItCannotRead(t *testing.T) {
	for name, args := range map[string][]string{
		"no such file":      {"nowhere.log"},
		"not a log":         {"phases_test.go"},
		"no such engine":    {"--engine", "nobody", fixtures + "vllm-0.19.0.log"},
		"no file at all":    {},
		"two files at once": {"a", "b"},
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := phases(t, args...); err == nil {
				t.Errorf("no error, but\n%s", out)
			}
		})
	}
}
