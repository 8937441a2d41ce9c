// SPDX-License-Identifier: Apache-2.0

package supervise

// What the entry point of entry_amd64.s has noted, as sets of signals: signal n is bit n-1. Go's runtime unblocks
// some signals and takes away that they are ignored, before any Go code could ask.
var (
	entered      uint64 // 1: it was the entry point, the program was linked with -E
	entryIgnored uint64
	entryBlocked uint64
)
