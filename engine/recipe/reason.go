// SPDX-License-Identifier: Apache-2.0

package recipe

// Reasons that follow from the exit status or the end of the log. Those that follow from texts stand in the recipes;
// an exception that no text explains is "python_exception:" and its type, another status "exit_code=N" or "signal=N".
const (
	// ReasonEndedSilently: the log stops at the end of a line in the middle of a start, with no word about why.
	ReasonEndedSilently = "ended_silently"
	// ReasonEngineFailed: the engine's process died and its server reports that, but nothing says of what.
	ReasonEngineFailed = "engine_failed"
	// ReasonModelLoadFailed: Triton could not load a model, and nothing says why.
	ReasonModelLoadFailed = "model_load_failed"
	// ReasonKilled: SIGKILL, or status 137: most often the kernel's out-of-memory killer, which leaves no line.
	ReasonKilled = "killed"
	// ReasonTerminated: SIGTERM or SIGINT from outside.
	ReasonTerminated = "terminated"
	// ReasonInterrupted: the log says that somebody interrupted it.
	ReasonInterrupted = "interrupted"
	// ReasonExitedEarly: status 0 before the engine was initialised.
	ReasonExitedEarly = "exited_early"
)
