// SPDX-License-Identifier: Apache-2.0

// Package observe is the process beside the wrapped command that watches its start and tells it: it reads copies of the
// command's output, looks at its processes and asks for its health, and sends what it found as spans and metrics. It
// ends when the start is told.
package observe

// Run observes until the start is told and returns the exit code, which nobody minds.
func Run(version string) int { return 0 }
