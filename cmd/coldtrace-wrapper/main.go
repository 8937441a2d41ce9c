// SPDX-License-Identifier: Apache-2.0

// Command coldtrace-wrapper runs inside the container: it starts the container's command unchanged and tells where the
// time until it is ready goes. See README.md.
package main

import (
	"fmt"
	"os"

	// For most commands the program ends in this package's init, before the packages below are initialised.
	"github.com/coldtrace/coldtrace/wrapper/launch"

	"github.com/coldtrace/coldtrace/wrapper/forward"
	"github.com/coldtrace/coldtrace/wrapper/observe"
	"github.com/coldtrace/coldtrace/wrapper/supervise"
)

const usage = `usage:
  coldtrace-wrapper run [--] CMD [ARG…]   run CMD unchanged and trace its start
  coldtrace-wrapper install DIR           copy this program into DIR
  coldtrace-wrapper probe                 exit 0: this program can be executed here
  coldtrace-wrapper version               print the version
`

func main() {
	command := ""
	if len(os.Args) > 1 {
		command = os.Args[1]
	}
	switch command {
	case supervise.ObserveArg:
		os.Exit(observe.Run(launch.Version))
	case supervise.ForwardArg:
		os.Exit(forward.Run(os.NewFile(supervise.InboxFD, "inbox"), os.Stdin))
	case "install":
		// An init container that fails blocks the pod or, in a LeaderWorkerSet, restarts its whole group. The pod's
		// launcher copes with a wrapper that is not there.
		if len(os.Args) != 3 {
			fmt.Fprintln(os.Stderr, "coldtrace-wrapper: install: want one directory")
		} else if err := install(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "coldtrace-wrapper: install:", err)
		}
	case "help", "-h", "--help":
		fmt.Print(usage)
	default:
		fmt.Fprint(os.Stderr, usage)
		os.Exit(64) // EX_USAGE
	}
}
