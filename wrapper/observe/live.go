// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"bytes"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/container"
	"github.com/coldtrace/coldtrace/wrapper/wholefile"
)

// live is the state of the start for those who look at the container: a small file, and an answer to GET /startupz.
type live struct {
	file  string
	began time.Time

	mu    sync.Mutex
	state liveState
}

// liveState is its JSON.
type liveState struct {
	State          string         `json:"state"` // starting, ready, failed
	Phase          string         `json:"phase,omitempty"`
	Reason         startup.Reason `json:"reason,omitempty"`
	Unobserved     string         `json:"unobserved,omitempty"` // what could not be watched
	ElapsedSeconds float64        `json:"elapsed_seconds"`
	Dropped        int            `json:"dropped,omitempty"` // spans and values that nobody took
	Phases         []livePhase    `json:"phases"`
}

type livePhase struct {
	Name            string         `json:"name"`
	Start           time.Time      `json:"start"`
	DurationSeconds float64        `json:"duration_seconds"`
	Reason          startup.Reason `json:"reason,omitempty"`
}

func newLive(file string, began time.Time) *live {
	return &live{file: file, began: began, state: liveState{State: container.Starting, Phases: []livePhase{}}}
}

// update takes the story's state and writes the file if that changed. A file that cannot be written is nobody's to
// mend from here.
func (l *live) update(s container.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state.State == s.State && l.state.Unobserved == s.Unobserved && l.state.Phase == s.Phase && len(l.state.Phases) == len(s.Phases) {
		return
	}
	l.state = liveState{State: s.State, Phase: s.Phase, Reason: s.Reason, Unobserved: s.Unobserved, Dropped: l.state.Dropped, Phases: make([]livePhase, len(s.Phases))}
	for i, sp := range s.Phases {
		l.state.Phases[i] = livePhase{sp.Name, sp.Start, sp.Duration().Seconds(), sp.Failure}
	}
	l.state.ElapsedSeconds = time.Since(l.began).Seconds()
	l.write()
}

// drop counts what the queue gives up. The queue does not wait for a file.
func (l *live) drop(items int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.Dropped += items
}

// close writes what was dropped since the last change.
func (l *live) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state.Dropped > 0 {
		l.write()
	}
}

func (l *live) dropped() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.Dropped
}

// write replaces the file, so that a reader never sees half of one. The caller holds mu.
func (l *live) write() {
	if b, err := json.Marshal(l.state); err == nil && l.file != "" {
		_ = wholefile.Write(l.file, bytes.NewReader(append(b, '\n')), 0o644)
	}
}

// serve answers until this process ends.
func (l *live) serve(address string) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /startupz", l.answer)
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: time.Second}
	_ = server.ListenAndServe()
}

// answer is 200 once the start has succeeded, 503 before and 500 if it failed.
func (l *live) answer(w http.ResponseWriter, _ *http.Request) {
	l.mu.Lock()
	state := l.state
	if state.State == container.Starting {
		state.ElapsedSeconds = time.Since(l.began).Seconds()
	}
	l.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch state.State {
	case container.Starting:
		w.WriteHeader(http.StatusServiceUnavailable)
	case startup.OutcomeFailed:
		w.WriteHeader(http.StatusInternalServerError)
	}
	_ = json.NewEncoder(w).Encode(state)
}
