// SPDX-License-Identifier: Apache-2.0

package endpoint

import "github.com/coldtrace/coldtrace/startup"

// launcher runs the wrapper if it can run at all, else the original command. Once the shell has exec'd the wrapper there
// is no way back, so it is tried first: it may be missing, truncated, of another architecture, or not executable. That
// it exits with 0 proves nothing, for a shell runs a file that the kernel refuses as a script, and an empty script
// succeeds: it has to say its version too. The braces keep what the shell says about a death by signal to themselves.
// Backquotes, because $( would be read by the kubelet first.
const launcher = "{ COLDTRACE_PROBE=`" + startup.WrapperPath + " version </dev/null` && [ -n \"$COLDTRACE_PROBE\" ]; } 2>/dev/null && " +
	"unset COLDTRACE_PROBE && exec " + startup.WrapperPath + ` run -- "$@"; unset COLDTRACE_PROBE; exec "$@"`

// Prefix is what goes in front of a command to run it under the wrapper. With a shell that is known to be in the image
// the command runs even if the wrapper can't.
func Prefix(shell string) []string {
	if shell != "" {
		return []string{shell, "-c", launcher, "coldtrace"}
	}
	return []string{startup.WrapperPath, "run", "--"}
}

// Unwrap is the command without Prefix, and the number of words that were taken off.
func Unwrap(argv []string) ([]string, int) {
	switch {
	case len(argv) > 3 && argv[0] == startup.WrapperPath && argv[1] == "run" && argv[2] == "--":
		return argv[3:], 3
	case len(argv) > 4 && argv[1] == "-c" && argv[2] == launcher:
		return argv[4:], 4
	}
	return argv, 0
}
