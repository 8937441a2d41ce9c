// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"runtime/debug"
)

// boundGarbage has the heap grow by half of what is alive, not by all of it, unless the environment says otherwise. A report holds
// all spans of its input while it reads, some 10 kB a start; who reads the logs of 5,000 starts that go on holds 40 MB. With all of
// it the watcher would take a tenth less of a processor, and 95 MB with 100,000 pods instead of 80.
func boundGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}

// heapPhases is what Go may hold while a log is read, whose length does not matter: the program's own pages are most of what is
// resident. By `/usr/bin/time -v`, `coldtrace phases` of any length is 12 MB above `coldtrace version` with it, as fast as without.
const heapPhases = 22 << 20

// boundHeap has the heap collected rather than grown beyond so many bytes, unless the environment says otherwise.
func boundHeap(bytes int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(bytes)
	}
}
