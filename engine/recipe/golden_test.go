// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The logs in testdata are those of test/sim, of our own making: versions and deaths of which no captured log is at hand.
func TestLogsOfEveryVersionReadAsTheirGoldenFiles(t *testing.T) {
	logs, err := filepath.Glob("testdata/*.log")
	if err != nil || len(logs) == 0 {
		t.Fatal("no logs in testdata", err)
	}
	for _, log := range logs {
		t.Run(filepath.Base(log), func(t *testing.T) {
			got := readLog(t, log)
			checkPhases(t, got)
			var text bytes.Buffer
			enc := json.NewEncoder(&text)
			enc.SetIndent("", "  ")
			if err := enc.Encode(golden(got)); err != nil {
				t.Fatal(err)
			}
			file := strings.TrimSuffix(log, ".log") + ".golden.json"
			if *update {
				if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(text.Bytes(), want) {
				t.Errorf("differs from %s (-update to rewrite):\n%s", file, text.Bytes())
			}
		})
	}
}

// golden is a result as the golden files have it: of phases what a log tells, with their attributes by name.
func golden(r Result) any {
	type phase struct {
		Name, Key, Parent string
		Start, End        time.Time
		Failure           startup.Reason
		Attributes        map[string]any
	}
	var phases []phase
	for _, p := range r.Phases {
		shown := phase{p.Name, p.Key, p.ParentKey, p.Start, p.End, p.Failure, nil}
		if p.Attributes != nil {
			shown.Attributes = startup.Figures(p.Attributes)
		}
		phases = append(phases, shown)
	}
	return struct {
		Engine, Version string
		Outcome         Outcome
		Reason          startup.Reason
		Phases          []phase
		Untimed         bool `json:",omitempty"`
		Cut             bool `json:",omitempty"`
		Named           float64
		Silences        []Silence
		Attempts        []Launch
		Figures         map[string]any
	}{r.Engine, r.Version, r.Outcome, r.Reason, phases, r.Untimed, r.Cut, r.Named, r.Silences, r.Earlier, r.Figures}
}
