// SPDX-License-Identifier: Apache-2.0

package container

import "time"

// Process is one of the command's. Whoever sees it keeps it up to date, between two calls of the story's methods.
type Process struct {
	PID     int
	Parent  int
	Argv    []string
	Start   time.Time // of the process or, if it became this program later, of that
	End     time.Time // zero while it lives
	IO      IO        // sampled while it lives
	Signal  int       // that ended it, where its parent had not asked for its status first; else 0
	Watched bool      // whoever receives it may set it: IO is then sampled at each look
}

// IO is what a process has read and written, in bytes, sockets included.
type IO struct{ Read, Written int64 }
