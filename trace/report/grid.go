// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"
	"strings"

	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/text"
)

// grid is a table for a terminal: names, and figures on their right.
type grid struct {
	head  []string
	rows  [][]string
	spare []int // columns that are left out where there is no room, in this order
	gap   int   // blanks between columns
}

// leastName is as many columns as tell names apart, mostly. Where not even half of them are left, names stand above the figures.
const leastName = 14

// draw draws the heading and the rows. style is that of a row's column.
func (t grid) draw(c *trace.Canvas, style func(row, column int) func(string) trace.Segment) {
	lines := slices.Concat([][]string{t.head}, t.rows)
	width := make([]int, len(t.head))
	for _, row := range lines {
		for i, cell := range row {
			width[i] = max(width[i], text.Columns(cell))
		}
	}
	room := func() int {
		room := c.Columns()
		for _, w := range width[1:] {
			if w > 0 {
				room -= t.gap + w
			}
		}
		return room
	}
	for _, i := range t.spare {
		if room() < min(width[0], leastName) {
			width[i] = 0
		}
	}
	below := room() < min(width[0], leastName/2)
	if below && room() < 0 {
		width[1] = 0 // the rest says more
	}
	width[0] = max(1, min(width[0], room()))
	for i, row := range lines {
		var line []trace.Segment
		for j, cell := range row {
			of := trace.Dim
			if i > 0 {
				of = style(i-1, j)
			}
			switch {
			case j == 0 && below:
				c.Paragraph("", cell, of)
			case j == 0:
				line = append(line, of(text.Fit(cell, width[j])))
			case width[j] > 0:
				line = append(line, trace.Plain(strings.Repeat(" ", t.gap)), of(text.Right(cell, width[j])))
			}
		}
		c.Line(line...)
	}
}
