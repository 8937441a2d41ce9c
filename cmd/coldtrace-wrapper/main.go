// SPDX-License-Identifier: Apache-2.0

// Command coldtrace-wrapper runs inside the container: it starts the container's command unchanged, and beside it
// coldtrace-observer, which tells where the time until it is ready goes. See README.md.
package main

import (
	"fmt"
	"os"

	"github.com/coldtrace/coldtrace/wrapper/supervise"
)

// version of the build, which the linker stamps. A pod's launcher asks for it before each start, to see whether this
// program can run.
var version = "dev"

const usage = `usage:
  coldtrace-wrapper run [--] CMD [ARG…]   run CMD unchanged and trace its start
  coldtrace-wrapper install DIR           copy this program and coldtrace-observer, which lies beside it, into DIR
  coldtrace-wrapper version               print the version
`

func main() {
	command := ""
	if len(os.Args) > 1 {
		command = os.Args[1]
	}
	switch command {
	case "run":
		os.Exit(supervise.Run(os.Args[2:]))
	case "version":
		if _, err := fmt.Println(version); err != nil {
			os.Exit(1)
		}
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
	case "":
		fmt.Fprint(os.Stderr, usage)
		os.Exit(64) // EX_USAGE
	default: // in front of vLLM's command in a shell's text, where `env -i` may have left nothing that would say so
		os.Exit(supervise.Become(os.Args[1:]))
	}
}
