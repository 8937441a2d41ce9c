// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"runtime/debug"
)

// growth is by how many per cent of what is alive the garbage collector lets the heap grow before it is swept. Of serve little is
// alive (20 MB with 100,000 pods and 5,000 starts in flight), so the peak is what counts, and the sweeps cost a few hundredths of a
// core. A report holds all spans of its input while it reads: some 10 kB a start.
const growth = 50

// boundGarbage sets the garbage collector, unless the environment does.
func boundGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(growth)
	}
}

// heapPhases is what Go may hold while a log is read, whose length does not matter: the program's own pages are most of what is
// resident. `/usr/bin/time -v coldtrace phases` of 325 MB that say nothing is at 60 MiB with it, as fast as without.
const heapPhases = 22 << 20

// boundHeap has the heap collected rather than grown beyond so many bytes, unless the environment says otherwise.
func boundHeap(bytes int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(bytes)
	}
}
