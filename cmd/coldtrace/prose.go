// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/coldtrace/coldtrace/trace/text"
)

// prose writes texts in lines of so many columns; a word that is longer, such as a URL, stays whole to be copied.
type prose struct {
	w       io.Writer
	columns int
}

const (
	besideColumns = 18 // of the names of rows
	narrow        = 60 // columns in which a name and a text beside it have no room
)

func (p *prose) gap() { fmt.Fprintln(p.w) }

// hang writes a paragraph behind an indent, its further lines two columns further in.
func (p *prose) hang(indent, paragraph string) {
	for i, line := range text.Wrap(paragraph, p.columns-len(indent)-2) {
		if i == 1 {
			indent += "  "
		}
		fmt.Fprintln(p.w, indent+line)
	}
}

// remark writes a paragraph that stands apart.
func (p *prose) remark(paragraph string) {
	p.hang("", paragraph)
	p.gap()
}

// row writes a paragraph beside a name, or below it where there is no room for both.
func (p *prose) row(name, paragraph string) {
	margin := "  " + text.Fit(name, besideColumns)
	if p.columns < narrow {
		margin = "    "
		if name != "" {
			fmt.Fprintln(p.w, "  "+name)
		}
	}
	for _, line := range text.Wrap(paragraph, p.columns-len(margin)) {
		fmt.Fprintln(p.w, margin+line)
		margin = strings.Repeat(" ", len(margin))
	}
}
