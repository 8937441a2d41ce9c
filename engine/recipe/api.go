// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"time"

	"github.com/coldtrace/coldtrace/startup"
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

// Result is what a Reader found.
type Result struct {
	Engine  string
	Version string // of the engine, empty if the log does not say
	Outcome Outcome
	Reason  startup.Reason // empty unless failed or interrupted
	// Phases are finished parts of the start. Their keys tell those of one name apart ("weights_load", "weights_load/2" for a draft
	// model) and are those of a container's first attempt; the engine's init, and what follows it, have no parent. The
	// attributes are figures from the log, and are nil where no line states the phase: its neighbours tell of it.
	Phases []startup.Span
	// Untimed says that no line has a time: of a phase there is the length that a line states, and of others that they were.
	Untimed bool
	// Cut says that the log's file ends before what it was packed in does.
	Cut bool
	// Named is the share of the time from the engine's begin to ready, or to the end, that lies in a phase other than its
	// init as a whole; of a log without times 0.
	Named float64
	// Silences are the longest times without a line, the longest first.
	Silences []Silence
	// Earlier are the launches before the one that Phases tell of: of a loop of crashes all but the last, the latest MaxEarlier.
	Earlier []Launch
	// Figures are the log's own numbers: float64 seconds and GiB, int64 tokens. Where a target and a draft model have
	// one each it is a []float64.
	Figures map[string]any
}

// Launch is a launch of an engine that another one followed.
type Launch struct {
	Start, End time.Time
	Outcome    Outcome
	Reason     startup.Reason
}
