// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"runtime/debug"
)

// The garbage collector lets the heap grow by so many per cent of what is alive before it is swept.
const (
	// Of serve little is alive (20 MB with 100,000 pods and 5,000 starts in flight), so the peak is what counts, and the sweeps
	// cost a few hundredths of a core.
	gcServe = 50
	// A report holds all spans of its input while it reads: some 15 kB a start.
	gcReport = 25
)

// boundGarbage sets the garbage collector, unless the environment does.
func boundGarbage(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}
