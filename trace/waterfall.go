// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"strings"
	"time"
)

// Waterfall draws one trace: a header, a tree with bars on a common time axis, and what explains most of the time.
func Waterfall(t *Trace, o Options) string {
	out := &Canvas{Options: o}
	out.lines(header(t, o))
	out.Line()
	rows := layRows(t, o)
	c := measure(rows, o)
	a := newAxis(t.Start, t.Total(), c.bar)
	if c.bar > 0 {
		out.Line(Plain(strings.Repeat(" ", c.name+gap)), Dim(a.labels()))
	}
	for _, r := range rows {
		out.Line(r.line(t, c, a, o)...)
		if below := r.below(c); below != nil {
			out.Line(below...)
		}
	}
	out.Line()
	out.lines(footer(t, o))
	return out.String()
}

// row is a node and the guides that lead to it.
type row struct {
	*Node
	guides string // up to the label
	under  string // the same, for a line below that belongs to the row
}

type guides struct{ tee, corner, pipe, blank, cross, grid string }

var (
	boxGuides   = guides{"├─ ", "└─ ", "│  ", "   ", "✗ ", "┊"}
	asciiGuides = guides{"|- ", "`- ", "|  ", "   ", "x ", ":"}
)

func (o Options) guides() guides {
	if o.ASCII {
		return asciiGuides
	}
	return boxGuides
}

// deepest is the level down to which rows are set in: what is deeper tells how much deeper it is, or its name had no room.
func (o Options) deepest() int { return (o.nameColumns() - leastName) / columns(boxGuides.tee) }

// nameColumns are as many as names and the guides before them take at most.
func (o Options) nameColumns() int { return max(o.Columns()*2/5, 16) }

func layRows(t *Trace, o Options) []row {
	var (
		rows []row
		g    = o.guides()
		most = o.deepest()
		lay  func(nodes []*Node, before string, depth int)
	)
	lay = func(nodes []*Node, before string, depth int) {
		for i, n := range nodes {
			tee, next := g.tee, before+g.pipe
			switch {
			case depth == 0:
				tee, next = "", before
			case depth > most:
				tee, next = fmt.Sprintf("+%d ", depth-most), before
			case i == len(nodes)-1:
				tee, next = g.corner, before+g.blank
			}
			under := next
			if len(n.Children) > 0 {
				under += g.pipe
			} else {
				under += g.blank
			}
			rows = append(rows, row{Node: n, guides: before + tee, under: under})
			lay(n.Children, next, depth+1)
		}
	}
	lay(t.Roots, "", 0)
	return rows
}

// layout is the width of each column; 0: not shown.
type layout struct {
	name, bar, duration, share, notes int
}

const (
	gap          = 2  // between columns
	shareColumns = 5  // "<0.1%"
	leastBar     = 12 // columns; a shorter one tells nothing
	leastName    = 10 // columns of a name behind its guides
	notesFrom    = 110
)

// measure shares the width out: names and figures first, then notes where the terminal is wide, the rest is the bars'.
func measure(rows []row, o Options) layout {
	var (
		w     = o.Columns()
		c     layout
		notes int
	)
	for _, r := range rows {
		c.name = max(c.name, columns(r.guides)+columns(r.text(o)))
		c.duration = max(c.duration, columns(seconds(r.Duration())))
		notes = max(notes, columns(strings.Join(r.remarks(true), separator)))
	}
	c.name = min(c.name, o.nameColumns())
	c.share = shareColumns
	if w >= notesFrom && notes > 0 {
		c.notes = min(notes, w*3/10)
	}
	c.bar = w - c.name - gap - gap - c.duration - gap - c.share
	if c.notes > 0 {
		c.bar -= gap + c.notes
	}
	if c.bar < leastBar {
		c.bar += gap + c.share
		c.share = 0
	}
	if c.bar < leastBar {
		c.bar = 0
		c.name = max(1, min(c.name, w-gap-c.duration))
	}
	return c
}

func (r row) text(o Options) string {
	label := r.Label()
	if r.attempt > 0 {
		label = r.Phase()
	}
	if r.Failed {
		return o.guides().cross + label
	}
	return label
}

func (r row) line(t *Trace, c layout, a axis, o Options) line {
	room := c.name - columns(r.guides)
	l := line{{clip(r.guides, c.name), dim}, {fit(r.text(o), room), r.nameStyle()}}
	if c.bar > 0 {
		l = append(l, Segment{strings.Repeat(" ", gap), plain})
		l = append(l, r.bar(a, o)...)
	}
	l = append(l, Segment{strings.Repeat(" ", gap) + right(seconds(r.Duration()), c.duration), plain})
	if c.share > 0 {
		l = append(l, Segment{strings.Repeat(" ", gap) + right(share(r.Duration(), t.Total()), c.share), dim})
	}
	if c.notes > 0 {
		l = append(l, Segment{strings.Repeat(" ", gap), plain})
		l = append(l, r.remarkLine(true)...)
	}
	return l
}

// bar is the row's part of the time axis, with the ticks as a faint grid where the bar isn't.
func (r row) bar(a axis, o Options) line {
	before, cells := a.bar(r.Start, r.End, o.ASCII)
	if r.Missing || r.Open {
		cells = strings.Repeat("-", columns(cells))
	}
	grid := []rune(strings.Repeat(" ", a.cells))
	a.ticks(func(column int, at time.Duration) {
		if at > 0 {
			grid[min(column, a.cells-1)] = []rune(o.guides().grid)[0]
		}
	})
	return line{
		{string(grid[:before]), dim},
		{cells, r.style()},
		{string(grid[min(before+columns(cells), a.cells):]), dim},
	}
}

// below is a line under the row for remarks that have no column; nil if there are none.
func (r row) below(c layout) line {
	remarks := r.remarkLine(false)
	if c.notes > 0 || len(remarks) == 0 {
		return nil
	}
	return append(line{{r.under, dim}}, remarks...)
}
