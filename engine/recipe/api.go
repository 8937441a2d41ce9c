// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"time"
)

// Outcome is how a start ended, as far as the log and the exit status tell.
type Outcome string

// Outcomes.
const (
	// OutcomeReady: the engine's server said that it serves.
	OutcomeReady Outcome = "ready"
	// OutcomeEngineReady: the engine is initialised, and no server was seen to come up (batch, offline use).
	OutcomeEngineReady Outcome = "engine_ready"
	// OutcomeFailed: the start died; Result.Reason says of what.
	OutcomeFailed Outcome = "failed"
	// OutcomeInterrupted: someone ended it (SIGTERM, SIGINT, Ctrl-C) before it was ready.
	OutcomeInterrupted Outcome = "interrupted"
	// OutcomeTruncated: the log ends in the middle, and nothing says why.
	OutcomeTruncated Outcome = "truncated"
)

// Exit is the status the engine's process ended with. Signal is 0 unless a signal ended it.
type Exit struct {
	Code   int
	Signal int
}

// Options of a Reader. The zero value reads lines as they arrive.
type Options struct {
	// Start is when the engine's process started; zero: unknown, then there is no python_import.
	Start time.Time
	// One says that all lines are of one process that still runs: who introduces itself in them is another part of the
	// same start, and never another start.
	One bool
	// Embedded takes the time of a line from its own text where it has one, for logs that are read later. Otherwise
	// a line's time is that of its receipt, but for lines that Ray forwarded late.
	Embedded bool
	// Now places stamps without a year, as vLLM's, in the year that makes them the latest before it. Zero: the time of
	// the line's receipt.
	Now time.Time
	// Location is the zone of stamps without one; nil: time.Local.
	Location *time.Location
}

// Phase is one finished part of a start.
type Phase struct {
	// Name is the span's: one of the startup.Span constants, or an engine's "<name>_init".
	Name string
	// Key tells phases of one name apart ("weights_load", "weights_load/2" for a draft model); stable over attempts.
	Key string
	// Parent is the Key of the phase it lies in, empty for the engine's init itself and what follows it.
	Parent string
	Start  time.Time
	End    time.Time
	// Failure is the typed reason if the start died in this phase.
	Failure string
	// Attributes are figures from the log: float64 (seconds, GiB), int64 (tokens, bytes), string and bool.
	Attributes map[string]any
}

// Result is what a Reader found.
type Result struct {
	Engine  string
	Version string // of the engine, empty if the log does not say
	Outcome Outcome
	Reason  string // typed, see Reasons; empty unless failed or interrupted
	Phases  []Phase
	// Untimed says that no line has a time: of a phase there is the length that a line states, and of others that they were.
	Untimed bool `json:",omitempty"`
	// Cut says that the log's file ends before what it was packed in does.
	Cut bool `json:",omitempty"`
	// Named is the share of the time from the engine's begin to ready, or to the end, that lies in a phase other than its
	// init as a whole; of a log without times 0.
	Named float64
	// Silences are the longest times without a line, the longest first.
	Silences []Silence
	// Attempts are launches before the one that Phases tell of: of a loop of crashes all but the last, the latest 32.
	Attempts []Attempt
	// Figures are the log's own numbers: float64 seconds and GiB, int64 tokens. Where a target and a draft model have
	// one each it is a []float64.
	Figures map[string]any
}

// Attempt is a launch that another one followed.
type Attempt struct {
	Start, End time.Time
	Outcome    Outcome
	Reason     string
}
