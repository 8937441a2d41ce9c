// SPDX-License-Identifier: Apache-2.0

// Package launch starts the wrapped command before the rest of the program exists.
//
// The wrapper is one file, so that it can be delivered by copying it. The telemetry libraries in it take several
// milliseconds to initialise and megabytes to hold, which the command would wait for and the container pay for as long
// as it runs. The language has a way out: packages are initialised one at a time, "sorted by import path … the first
// uninitialized package in the list for which all imported packages (if any) are already initialized" (Go
// specification, Program initialization). This package imports nearly nothing and sorts before go.opentelemetry.io and
// google.golang.org, so its init runs before theirs. For `run` it never returns: this process remains a small
// supervisor, and telemetry happens in another process of the same file that is started afterwards and ends when the
// start has been told.
//
// A test holds the set of packages that are initialised before this one.
package launch

import (
	"os"

	"github.com/coldtrace/coldtrace/wrapper/supervise"
)

// Version of the build, which the linker stamps. It is here because a pod's launcher asks for it before each start, to
// see whether this program can run.
var Version = "dev"

func init() {
	if len(os.Args) < 2 {
		return
	}
	switch os.Args[1] {
	case "run":
		os.Exit(supervise.Run(os.Args[2:]))
	case "probe":
		os.Exit(0) // it can be executed here: that is all there is to know
	case "version":
		if _, err := os.Stdout.WriteString(Version + "\n"); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	case supervise.RelayArg:
		os.Exit(supervise.Relay())
	case supervise.ObserveArg:
		supervise.CloseInherited(supervise.FirstFree)
	case supervise.ForwardArg:
		supervise.CloseInherited(supervise.InboxFD + 1)
	case "install", "help", "-h", "--help":
	default:
		if supervise.InShell() {
			os.Exit(supervise.Become(os.Args[1:]))
		}
	}
}
