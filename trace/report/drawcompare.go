// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"math"
	"time"

	"golang.org/x/perf/benchmath"

	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/text"
)

// Text is the comparison for a terminal.
func (c *Comparison) Text(o trace.Options) string {
	out := &trace.Canvas{Options: o}
	for i, g := range []*Group{&c.Before, &c.After} {
		out.Paragraph([]string{"before  ", "after   "}[i], text.Printable(g.Name)+": "+g.ended(""), trace.Bold)
		if len(g.Reasons) > 0 {
			out.Paragraph("        ", said(g.Reasons, mostReasons), trace.Failing)
		}
	}
	if f := &c.Failures; f.More() {
		out.Paragraph("", "more starts failed: "+f.String(), trace.Failing)
	} else if f.Before+f.After > 0 {
		out.Paragraph("", f.String(), trace.Dim)
	}
	out.Line(trace.Plain(""))
	c.table(out)
	if len(c.Traits) > 0 {
		out.Line(trace.Plain(""))
	}
	for _, t := range c.Traits {
		out.Paragraph("", fmt.Sprintf("%s: in %d of %d before, in %d of %d after", text.Printable(t.Name), t.Before, c.Before.Ready, t.After, c.After.Ready), trace.Plain)
	}
	if warnings := c.Warnings(); len(warnings) > 0 {
		out.Line(trace.Plain(""))
		for _, w := range warnings {
			out.Paragraph("", w, trace.Wary)
		}
	}
	return out.String()
}

// negligible is the part of the total below which a phase that did not change is left out of the drawing.
const negligible = 0.005

func (c *Comparison) table(out *trace.Canvas) {
	rows := []Row{c.Total}
	for _, r := range c.Phases {
		if r.Significant() || r.Appeared() || r.Vanished() || max(r.Before.Center, r.After.Center) >= negligible*c.Total.Before.Center {
			rows = append(rows, r)
		}
	}
	const difference, percent, p = 5, 6, 7
	t := grid{head: []string{"", "BEFORE", "", "AFTER", "", "DIFFERENCE", "", ""}, spare: []int{2, 4, p, percent}, gap: 1}
	for _, r := range rows {
		t.rows = append(t.rows, r.cells())
	}
	t.draw(out, func(row, column int) func(string) trace.Segment {
		r := &rows[row]
		switch {
		case column == p:
			return trace.Dim
		case column >= difference && r.Significant() && r.Difference() > 0:
			return trace.Failing
		case column >= difference && r.Significant():
			return trace.Good
		}
		return trace.Plain
	})
}

// cells of the row: name, median and spread before and after, difference in seconds and per cent, how sure that is.
func (r *Row) cells() []string {
	difference, percent := "~", ""
	switch {
	case r.Appeared():
		difference, percent = seconds(r.Difference()), "appeared"
	case r.Vanished():
		difference, percent = seconds(r.Difference()), "vanished"
	case r.Significant():
		difference, percent = seconds(r.Difference()), r.percent()
	}
	return []string{text.Printable(r.Name), median(r.Before), spread(r.Before), median(r.After), spread(r.After), difference, percent, r.String()}
}

func median(s benchmath.Summary) string { return text.Seconds(duration(s.Center)) }

func spread(s benchmath.Summary) string {
	if s.Center == 0 {
		return ""
	}
	return "±" + s.PctRangeString()
}

func (r *Row) percent() string {
	if r.Before.Center == 0 {
		return "∞"
	}
	return fmt.Sprintf("%+.1f%%", 100*r.Ratio())
}

// seconds of a difference, with its sign.
func seconds(s float64) string {
	sign := "+"
	if s < 0 {
		sign = "-"
	}
	return sign + text.Seconds(duration(math.Abs(s)))
}

func duration(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
