// SPDX-License-Identifier: Apache-2.0

package endpoint

import "strings"

// shows tells if a script may write its own text: in a trap for errors, most likely.
func shows(script string) bool {
	for _, name := range [...]string{"BASH_COMMAND", "BASH_EXECUTION_STRING", "declare -f", "typeset -f"} {
		if strings.Contains(script, name) {
			return true
		}
	}
	return false
}

// tells tells if options make a shell show what it reads or runs: set -ex, set -o xtrace, bash -xc.
func tells(options []Word) bool {
	for i, o := range options {
		if len(o.Text) < 2 || o.Text[0] != '-' || o.Text == "--" {
			return false
		}
		if strings.ContainsAny(o.Text, "xv") {
			return true
		}
		if strings.HasSuffix(o.Text, "o") && i+1 < len(options) {
			name := options[i+1].Text
			return name == "xtrace" || name == "verbose" || tells(options[i+2:])
		}
	}
	return false
}
