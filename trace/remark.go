// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"strings"

	"github.com/coldtrace/coldtrace/startup"
)

const separator = " · "

// remarks are why the row failed and its notes. Where they take a line of their own, not all are worth it.
func (r row) remarks(all bool) []string {
	var out []string
	if r.Failed && !r.quiet {
		out = append(out, printable(r.Reason()))
	}
	notes := r.notes()
	if !all && len(notes) == 1 && notes[0] == precision {
		return out
	}
	return append(out, notes...)
}

func (r row) remarkLine(all bool) line {
	remarks := r.remarks(all)
	var l line
	if r.Failed && !r.quiet {
		l = append(l, segment{remarks[0], red})
		remarks = remarks[1:]
		if len(remarks) > 0 {
			l = append(l, segment{separator, dim})
		}
	}
	if len(remarks) > 0 {
		l = append(l, segment{strings.Join(remarks, separator), dim})
	}
	return l
}

// style tells who saw the phase: Kubernetes, the wrapper, or the engine itself.
func (n *Node) style() style {
	switch {
	case n.Failed && n.quiet:
		return dimRed
	case n.Failed:
		return red
	case n.Missing, n.Group:
		return dim
	}
	switch n.service() {
	case startup.ServiceWatcher:
		return cyan
	case startup.ServiceWrapper:
		return green
	}
	return magenta
}

func (n *Node) service() string { return n.attribute("service.name") }

func (r row) nameStyle() style {
	switch {
	case r.Failed && r.quiet:
		return dimRed
	case r.Failed:
		return boldRed
	case r.Missing:
		return dim
	case r.guides == "", r.Group:
		return bold
	}
	return plain
}
