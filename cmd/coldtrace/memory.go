// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"runtime/debug"
)

// gcPercent lets the heap grow by half, not by the whole, of what is alive before it is swept. What is alive is small (20 MB
// with 100,000 pods and 5,000 starts in flight), so the peak is what counts, and the sweeps cost a few hundredths of a core.
const gcPercent = 50

// boundGarbage sets the garbage collector, unless the environment does.
func boundGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
