// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// corpus is where logs captured elsewhere lie, beside the checkout; they are not part of it.
func corpus(t *testing.T) string {
	t.Helper()
	dir := findCorpus()
	if dir == "" {
		t.Skip("no corpus of captured logs beside the checkout")
	}
	return dir
}

func findCorpus() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if logs := filepath.Join(dir, "shared", "corpus", "vllm-logs"); exists(logs) {
			return logs
		}
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// capturedFigures are the keys of truth.yaml that a log states.
var capturedFigures = []string{
	"weights_load_seconds", "model_load_seconds", "model_size", "hf_download_seconds", "torch_compile_seconds",
	"dynamo_seconds", "cuda_graph_capture_seconds", "init_engine_seconds", "kv_cache_tokens", "first_stamp", "ready_stamp",
}

func TestCapturedLogsSayWhatAPersonReadsInThem(t *testing.T) {
	logs := corpus(t)
	raw, err := os.ReadFile(filepath.Join(logs, "truth.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var truth map[string]map[string]any
	if err := yaml.Unmarshal(raw, &truth); err != nil {
		t.Fatal(err)
	}
	for _, want := range truth {
		t.Run(want["file"].(string), func(t *testing.T) {
			got := readLog(t, filepath.Join(logs, want["file"].(string)))
			if got.Engine != want["engine"] || got.Version != want["version"] || string(got.Outcome) != want["outcome"] {
				t.Errorf("got %s %s %s (%s), want %v %v %v", got.Engine, got.Version, got.Outcome, got.Reason,
					want["engine"], want["version"], want["outcome"])
			}
			for _, key := range capturedFigures {
				value := want[key]
				if value == "no" {
					value = nil
				}
				if !equal(got.Figures[key], value) {
					t.Errorf("%s: got %v, want %v", key, got.Figures[key], value)
				}
			}
			if (got.Outcome == OutcomeFailed) != (got.Reason != "") {
				t.Errorf("%s with reason %q", got.Outcome, got.Reason)
			}
			checkPhases(t, got)
		})
	}
}

func readLog(t *testing.T, path string) Result {
	t.Helper()
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadLog(bytes.NewReader(log), LogOptions{Location: time.UTC, Now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func equal(got, want any) bool {
	switch want := want.(type) {
	case []any:
		list, ok := got.([]float64)
		if !ok || len(list) != len(want) {
			return false
		}
		for i := range want {
			if !equal(list[i], want[i]) {
				return false
			}
		}
		return true
	case nil:
		return got == nil
	case string:
		return got == want
	}
	a, okA := asFloat(got)
	b, okB := asFloat(want)
	return okA && okB && math.Abs(a-b) < 1e-9
}

func asFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case int:
		return float64(v), true
	}
	return 0, false
}

// checkPhases: whatever the log, phases are well formed.
func checkPhases(t *testing.T, r Result) {
	t.Helper()
	keys := map[string]bool{}
	for _, p := range r.Phases {
		if p.End.Before(p.Start) {
			t.Errorf("%s ends before it starts", p.Key)
		}
		if keys[p.Key] {
			t.Errorf("two phases have the key %s", p.Key)
		}
		keys[p.Key] = true
		if p.Parent != "" && !keys[p.Parent] {
			t.Errorf("%s comes before its parent %s", p.Key, p.Parent)
		}
	}
}
