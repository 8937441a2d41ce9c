// SPDX-License-Identifier: Apache-2.0

// Command coldtrace-observer is what coldtrace-wrapper starts beside the container's command: it watches the start and
// tells it, and passes vLLM's own spans on. It may fail without the command noticing, and is of no use by itself.
package main

import (
	"os"

	"github.com/coldtrace/coldtrace/wrapper/forward"
	"github.com/coldtrace/coldtrace/wrapper/observe"
	"github.com/coldtrace/coldtrace/wrapper/supervise"
)

// version of the build, which the linker stamps.
var version = "dev"

func main() {
	if len(os.Args) == 2 && os.Args[1] == supervise.ObserveArg {
		os.Exit(observe.Run(version))
	}
	if len(os.Args) == 2 && os.Args[1] == supervise.ForwardArg {
		os.Exit(forward.Run(os.NewFile(supervise.InboxFD, "inbox"), os.Stdin))
	}
	_, _ = os.Stderr.WriteString("coldtrace-observer is started by coldtrace-wrapper\n")
	os.Exit(64) // EX_USAGE
}
