// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/coldtrace/coldtrace/test/program"
	"github.com/coldtrace/coldtrace/trace/text"
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

func TestPhasesFitsATerminal(t *testing.T) {
	logs, err := filepath.Glob(fixtures + "*.log")
	if err != nil || len(logs) == 0 {
		t.Fatal(logs, err)
	}
	long := filepath.Join(t.TempDir(), "long.log")
	const reason = "python_exception:AnUnexpectedUnexpectedUnexpectedUnexpectedUnexpectedError"
	if err := os.WriteFile(long, []byte("INFO 03-01 12:00:00 [core.py:1] Initializing a V1 LLM "+"engine (v0.23.1rc1.dev1201+gd08eebad1.d20260717) with config: model='m'\n"+
		"INFO 03-01 12:00:20 [x.py:1] Starting to "+"load model "+strings.Repeat("m", 300)+"...\nTraceback (most recent call last):\n"+strings.TrimPrefix(reason, "python_exception:")+": x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, log := range append(logs, long) {
		for width, args := range map[int][]string{60: {"--width", "60", log}, 80: {log}, 100: {log}, 160: {"--width", "160", log}} {
			t.Setenv("COLUMNS", map[int]string{100: "100"}[width])
			out, err := phases(t, args...)
			if err != nil {
				t.Fatal(err)
			}
			whole := "failed (" + reason + ")\n"
			if log == long && !strings.Contains(out, whole) {
				t.Errorf("the reason is cut:\n%s", out)
			}
			widest := 0
			for line := range strings.Lines(out) {
				if columns := text.Columns(strings.TrimSuffix(line, "\n")); !strings.HasSuffix(line, whole) {
					widest = max(widest, columns)
				}
			}
			if widest > width || log == long && widest < width-20 {
				t.Errorf("%s is %d columns wide of %d:\n%s", filepath.Base(log), widest, width, out)
			}
		}
	}
}

func TestPhasesSaysThatAFileIsCutShort(t *testing.T) {
	raw, err := os.ReadFile(fixtures + "vllm-0.19.0.log")
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "engine.log.gz")
	if err := os.WriteFile(cut, packed.Bytes()[:packed.Len()*3/4], 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := phases(t, cut)
	if err != nil || !strings.Contains(out, "engine.log.gz is cut short") || !strings.Contains(out, "vllm 0.19.0  truncated") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestPhasesSaysWhatItCannotRead(t *testing.T) {
	for name, args := range map[string][]string{
		"no such file":      {"nowhere.log"},
		"not a log":         {"phases.go"},
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

// A document is read as a whole, up to the length that docs/engines.md gives: it may take little more than lines do, of which any
// number is read in the same memory.
func TestTheLongestDocumentTakesLittleMoreMemoryThanLines(t *testing.T) {
	const entry = `{"insertId":"%012d","labels":{"k8s-pod/app":"llm"},"textPayload":"(EngineCore pid=2) INFO 03-01 12:%02d:%02d [x.py:1] line %d","timestamp":"2026-03-01T12:%02d:%02d.%06dZ"}`
	const pair = `["17723664%08d00","(EngineCore pid=2) INFO 03-01 12:%02d:%02d [x.py:1] line %d"]`
	var entries, pairs []string
	for i, size := 0, 0; size < 8<<20-96<<10; i++ {
		minute, second := i/6000, i/100%60
		entries = append(entries, fmt.Sprintf(entry, i, minute, second, i, minute, second, i%100))
		pairs = append(pairs, fmt.Sprintf(pair, i, minute, second, i))
		size += len(entries[i]) + 1
	}
	for _, first := range []*string{&entries[0], &pairs[0]} {
		*first = strings.Replace(*first, "line 0", "Initializing a V1 LLM "+"engine (v0.19.0) with config: model='m'", 1)
	}
	newestFirst := slices.Clone(entries)
	slices.Reverse(newestFirst)
	programs, err := program.Build("cmd/coldtrace") // the race detector remembers who touched what
	if err != nil {
		t.Fatal(err)
	}
	read := func(t *testing.T, log string) int {
		path := filepath.Join(t.TempDir(), "export.json")
		if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), programs[0], "phases", "--json", path)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		most := mostResident(cmd.Process.Pid)
		if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), `"version": "0.19.0"`) {
			t.Fatalf("%v\n%.500s", err, out.String())
		}
		return most
	}
	lines, more := read(t, strings.Join(entries, "\n")), 16<<10
	for name, document := range map[string]string{
		"an array":               "[" + strings.Join(entries, ",") + "]",
		"an array, newest first": "[\n" + strings.Join(newestFirst, ",\n") + "\n]\n",
		"lines, newest first":    strings.Join(newestFirst, "\n"),
		"a list in an object":    `{"events":[` + strings.Join(entries, ",") + "]}",
		"one stream of Loki's":   `{"status":"success","data":{"resultType":"streams","result":[{"stream":{"pod":"p"},"values":[` + strings.Join(pairs, ",") + "]}]}}",
	} {
		t.Run(name, func(t *testing.T) {
			if most := read(t, document); lines == 0 || most > lines+more {
				t.Errorf("%d KiB resident, lines take %d KiB", most, lines)
			}
		})
	}
}

// mostResident is the most memory that a process ever had, in KiB, looked at each millisecond until it ends. Its rusage would count its parent's, too.
func mostResident(pid int) (most int) {
	for ; ; <-time.After(time.Millisecond) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		_, after, alive := strings.Cut(string(status), "VmHWM:")
		if err != nil || !alive {
			return most
		}
		if _, err := fmt.Sscan(after, &most); err != nil {
			return 0
		}
	}
}

// A log may hold what rings a terminal's bell, moves its cursor or turns its text around.
func TestPhasesSendsATerminalNoControlCharacters(t *testing.T) {
	log := "INFO 03-01 12:00:00 [api_server.py:1] vLLM API server version 0.13.0\x07\n" +
		"INFO 03-01 12:00:05 [core.py:1] Initializing a V1 LLM engine (v0.13.0\x07\u202e) with config: model='m'\n" +
		"INFO 03-01 12:00:30 [x.py:1] a\x1b]0;title\x07b\x9b\n"
	out, _, _ := output(t, newPhasesCommand(), log, "-")
	if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && unicode.IsControl(r) || r == '\u202e' }); i >= 0 || !strings.Contains(out, "0.13.0") {
		t.Errorf("%q", out)
	}
}
