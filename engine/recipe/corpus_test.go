// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/coldtrace/coldtrace/startup"
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
			if strings.Contains(want["file"].(string), "silent_kill") { // which only somebody who saw it end can tell
				want["outcome"] = "truncated"
			}
			if got.Named < 0.9 {
				t.Errorf("%.1f %% of the time has a name", 100*got.Named)
			}
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
		if p.ParentKey != "" && p.ParentKey != startup.SpanServerReady && !keys[p.ParentKey] {
			t.Errorf("%s comes before its parent %s", p.Key, p.ParentKey)
		}
	}
}

// moment is an edge of a phase in a captured log: the n-th of its name.
type moment struct {
	phase      string
	n          int
	start, end string // 15:04:05.00
}

// What the corpus' README says of the logs that are not vLLM's.
func TestCapturedLogsOfOtherEnginesSayWhatAPersonReadsInThem(t *testing.T) {
	logs := corpus(t)
	for file, want := range map[string]struct {
		engine  string
		figures map[string]any
		moments []moment
	}{
		"60_sglang_dgx-spark_int4_ready.log": {"sglang", map[string]any{
			"weights_load_seconds": []any{109.33, 12.25}, "cuda_graph_capture_seconds": []any{216.19, 3.0, 0.77},
			"kv_cache_tokens": 185897, "ready_stamp": "23:43:47",
		}, []moment{
			{"weights_load", 0, "23:37:49.67", "23:39:39.00"}, {"weights_load", 1, "23:39:42.75", "23:39:55.00"},
			{"cuda_graph_capture", 0, "23:40:01.81", "23:43:38.00"}, {"cuda_graph_capture", 1, "23:43:38.00", "23:43:41.00"},
			{"cuda_graph_capture", 2, "23:43:41.23", "23:43:42.00"}, {"server_ready", 0, "23:43:42.00", "23:43:47.00"},
		}},
		"70_tgi-v3_cpu-ish_single_ansi.log": {"tgi", map[string]any{
			"model_load_seconds": 20.319623577, "kv_cache_tokens": 16000, "ready_stamp": "15:52:02",
		}, []moment{
			{"model_load", 0, "15:51:37.05", "15:51:57.37"}, {"kernel_warmup", 0, "15:51:57.52", "15:52:02.31"},
			{"server_ready", 0, "15:52:02.31", "15:52:02.78"},
		}},
	} {
		t.Run(file, func(t *testing.T) {
			got := readLog(t, filepath.Join(logs, file))
			if got.Engine != want.engine || got.Outcome != OutcomeReady {
				t.Errorf("got %s %s (%s)", got.Engine, got.Outcome, got.Reason)
			}
			for key, value := range want.figures {
				if !equal(got.Figures[key], value) {
					t.Errorf("%s: got %v, want %v", key, got.Figures[key], value)
				}
			}
			seen := map[string]int{}
			for _, p := range got.Phases {
				const shown = 10 * time.Millisecond
				is := moment{p.Name, seen[p.Name], p.Start.Round(shown).Format("15:04:05.00"), p.End.Round(shown).Format("15:04:05.00")}
				seen[p.Name]++
				for _, m := range want.moments {
					if m.phase == is.phase && m.n == is.n && m != is {
						t.Errorf("got %v, want %v", is, m)
					}
				}
			}
			for _, m := range want.moments {
				if seen[m.phase] <= m.n {
					t.Errorf("no %v", m)
				}
			}
			checkPhases(t, got)
		})
	}
}
