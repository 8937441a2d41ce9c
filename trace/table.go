// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"slices"
	"strings"
)

// column is one of a table.
type column struct {
	title string
	text  func(t *Trace) string
	style func(t *Trace) style
	right bool
	least int // columns to which it may be cut; 0: it is not
	width int
}

// tableColumns are those of the list; the pod's name comes last, in full: it is there to be copied.
var tableColumns = []column{
	{title: "STARTED (UTC)", text: func(t *Trace) string { return t.Start.UTC().Format("01-02 15:04:05") }, style: always(dim)},
	{title: "TOTAL", text: func(t *Trace) string { return seconds(t.Took()) }, style: always(plain), right: true},
	{title: "OUTCOME", text: (*Trace).outcomeText, style: func(t *Trace) style { return t.Outcome().style() }, least: 12},
	{title: "SLOWEST PHASE", text: (*Trace).slowest, style: always(plain), least: 8},
	{title: "TRACE", text: func(t *Trace) string { return t.ID[:min(8, len(t.ID))] }, style: always(dim)},
	{title: "POD", text: (*Trace).Name, style: always(plain)},
}

// spareColumns are left out where there is no room, in this order.
var spareColumns = []string{"TRACE", "SLOWEST PHASE", "STARTED (UTC)", ""}

func always(s style) func(*Trace) style { return func(*Trace) style { return s } }

// Table lists traces, one a line, and marks the one that is drawn, if any. Where names don't fit beside the rest, they
// have a line of their own.
func Table(traces []*Trace, drawn *Trace, o Options) string {
	shown := traces
	if o.Rows > 0 {
		shown = traces[:min(o.Rows, len(traces))]
	}
	columns := measureColumns(shown)
	below := shorten(columns, o.Columns()) > 0
	if below {
		columns = measureColumns(shown)
		for _, spare := range spareColumns {
			if shorten(columns[:len(columns)-1], o.Columns()) <= 0 {
				break
			}
			columns = slices.DeleteFunc(columns, func(c column) bool { return c.title == spare })
		}
	}
	out := &Canvas{Options: o}
	tableLine(columns, "  ", below, func(c column) Segment { return Segment{c.title, dim} }, out)
	for _, t := range shown {
		mark := "  "
		if t == drawn {
			mark = o.pointer()
		}
		tableLine(columns, mark, below, func(c column) Segment { return Segment{c.text(t), c.style(t)} }, out)
	}
	if more := len(traces) - len(shown); more > 0 {
		out.Line(Dim(fmt.Sprintf("  and %d older (--list shows them all)", more)))
	}
	return out.String()
}

func measureColumns(traces []*Trace) []column {
	measured := slices.Clone(tableColumns)
	for i := range measured {
		c := &measured[i]
		c.width = columns(c.title)
		for _, t := range traces {
			c.width = max(c.width, columns(c.text(t)))
		}
	}
	return measured
}

// shorten takes what is too much for the width from the columns that may be cut, the widest first, and says how much
// is left.
func shorten(measured []column, width int) (tooMuch int) {
	tooMuch = 2 - gap - width
	for _, c := range measured {
		tooMuch += gap + c.width
	}
	for ; tooMuch > 0; tooMuch-- {
		var widest *column
		for i := range measured {
			if c := &measured[i]; c.least > 0 && c.width > c.least && (widest == nil || c.width > widest.width) {
				widest = c
			}
		}
		if widest == nil {
			break
		}
		widest.width--
	}
	return tooMuch
}

func tableLine(measured []column, mark string, below bool, cell func(column) Segment, out *Canvas) {
	l := line{{mark, bold}}
	last := len(measured) - 1
	for i, c := range measured {
		s := cell(c)
		switch {
		case i == last && below:
			out.Line(l...)
			for _, part := range breakUp(s.text, out.Columns()-4) {
				out.Line(Plain(strings.Repeat(" ", 4)), Segment{part, s.style})
			}
			return
		case i == last:
		case c.right:
			s.text = right(s.text, c.width)
		default:
			s.text = fit(s.text, c.width)
		}
		if i > 0 {
			l = append(l, Segment{strings.Repeat(" ", gap), plain})
		}
		l = append(l, s)
	}
	out.Line(l...)
}

func (o Options) pointer() string {
	if o.ASCII {
		return "> "
	}
	return "▸ "
}

// outcomeText is empty for what is no start.
func (t *Trace) outcomeText() string {
	if !t.IsStart() {
		return ""
	}
	return printable(t.Outcome().String())
}

// slowest is the phase that explains most of the time, and how much.
func (t *Trace) slowest() string {
	phases := t.Phases()
	if t.group != nil && t.group.straggler != nil {
		return printable(t.group.straggler.Member.Label() + " " + t.group.straggler.Phase)
	}
	if len(phases) == 0 {
		return ""
	}
	return phases[0].Label() + " " + seconds(phases[0].Exclusive)
}

// Name is the pod's namespace and name, or what else the trace may be known by.
func (t *Trace) Name() string {
	if t.group != nil {
		return printable(t.group.name())
	}
	f := t.Facts()
	switch {
	case f.Pod == "":
		return printable(t.title(f))
	case f.Namespace != "":
		return printable(f.Namespace + "/" + f.Pod)
	}
	return printable(f.Pod)
}
