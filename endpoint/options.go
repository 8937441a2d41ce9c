// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"slices"
	"strings"

	"github.com/coldtrace/coldtrace/engine"
)

// shows tells if a script may write its own text: in a trap for errors, most likely.
func shows(script string) bool {
	texts := []string{"BASH_COMMAND", "BASH_EXECUTION_STRING", "declare -f", "typeset -f"}
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(script, text) })
}

// optionsProblem is why nothing may stand in front of a command under a shell's options: it shows what it reads or runs (set -ex,
// set -o xtrace, bash -xc), or runs nothing whose name has a slash (bash -r).
func optionsProblem(options []Word) Reason {
	for i, o := range options {
		switch {
		case len(o.Text) < 2 || o.Text[0] != '-' || o.Text == "--":
			return NoProblem
		case o.Text[1] == '-':
		case strings.ContainsAny(o.Text, "xv"):
			return Xtrace
		case strings.Contains(o.Text, "r"):
			return Confined
		case strings.HasSuffix(o.Text, "o") && i+1 < len(options):
			if name := options[i+1].Text; name == "xtrace" || name == "verbose" {
				return Xtrace
			}
			return optionsProblem(options[i+2:])
		}
	}
	return NoProblem
}

// confines tells if a command limits the address space, of all that follows or of the command that it runs: ulimit -v, prlimit
// --as. A server that fits may do so by less than a program of Go's reserves. command is where that begins, behind its launchers.
func confines(words []string, command int) bool {
	i := slices.IndexFunc(words, func(w string) bool { return engine.Base(w) == "ulimit" || engine.Base(w) == "prlimit" })
	if i < 0 {
		return false
	}
	if i < command {
		words = words[:command]
	}
	return slices.ContainsFunc(words[i+1:], func(w string) bool {
		return strings.HasPrefix(w, "--as") || len(w) > 1 && w[0] == '-' && w[1] != '-' && strings.Contains(w, "v")
	})
}
