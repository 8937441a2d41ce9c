// SPDX-License-Identifier: Apache-2.0

package endpoint

import "github.com/coldtrace/coldtrace/startup"

// launcher runs the wrapper if it can run at all, else the original command. Once the shell has exec'd the wrapper there
// is no way back, so the wrapper is probed first: it may be missing, of another architecture, or not executable.
const launcher = startup.WrapperPath + ` probe </dev/null >/dev/null 2>&1 && exec ` + startup.WrapperPath +
	` run -- "$@"; exec "$@"`

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
