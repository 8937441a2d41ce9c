// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

// truth is what was really simulated, for tests that compare. Times are Unix nanoseconds.
type truth struct {
	mu     sync.Mutex
	path   string // of the file, empty: none
	record struct {
		Engine       string                `json:"engine"`
		Version      string                `json:"version"`
		PID          int                   `json:"pid"`
		ProcessStart int64                 `json:"process_start"`
		FirstLine    int64                 `json:"first_line,omitempty"`
		EngineReady  int64                 `json:"engine_ready,omitempty"`
		Serving      int64                 `json:"serving,omitempty"`
		Ended        int64                 `json:"ended,omitempty"`
		ExitCode     *int                  `json:"exit_code,omitempty"`
		Failed       string                `json:"failed,omitempty"`
		Late         int64                 `json:"late,omitempty"` // the longest that a timer fired after its time, ns
		Phases       map[string]phaseTruth `json:"phases"`
	}
}

type phaseTruth struct {
	Start int64 `json:"start"`
	End   int64 `json:"end"`
}

func newTruth(engine, version string, start time.Time) *truth {
	t := &truth{path: os.Getenv("SIM_TRUTH")}
	t.record.Engine, t.record.Version, t.record.PID = engine, version, os.Getpid()
	t.record.ProcessStart = start.UnixNano()
	t.record.Phases = map[string]phaseTruth{}
	return t
}

func (t *truth) line(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.record.FirstLine == 0 {
		t.record.FirstLine = at.UnixNano()
		t.record.Phases["python_import"] = phaseTruth{t.record.ProcessStart, at.UnixNano()}
	}
}

func (t *truth) phase(name string, start, end time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.record.Phases[name] = phaseTruth{start.UnixNano(), end.UnixNano()}
}

// late says how late the machine let the simulator go on: nothing that happens on it can be timed better than that.
func (t *truth) late(by time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.record.Late = max(t.record.Late, by.Nanoseconds())
}

func (t *truth) engineReady(at time.Time) {
	t.phase(t.record.Engine+"_init", time.Unix(0, t.record.ProcessStart), at)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.record.EngineReady = at.UnixNano()
}

func (t *truth) serving(at time.Time) {
	t.phase("server_ready", time.Unix(0, t.record.EngineReady), at)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.record.Serving = at.UnixNano()
}

func (t *truth) ended(code int, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.record.Ended, t.record.ExitCode, t.record.Failed = time.Now().UnixNano(), &code, reason
}

func (t *truth) json() ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	raw, err := json.Marshal(t.record)
	if err != nil {
		return nil, fmt.Errorf("write truth: %w", err)
	}
	return append(raw, '\n'), nil
}

// save writes the file that SIM_TRUTH names, whole or not at all.
func (t *truth) save() error {
	if t.path == "" {
		return nil
	}
	raw, err := t.json()
	if err != nil {
		return err
	}
	if err := os.WriteFile(t.path+".new", raw, 0o644); err != nil { //nolint:gosec // for another user to read
		return fmt.Errorf("write truth: %w", err)
	}
	if err := os.Rename(t.path+".new", t.path); err != nil {
		return fmt.Errorf("write truth: %w", err)
	}
	return nil
}
