// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"golang.org/x/perf/benchmath"

	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/text"
)

// Text is the comparison for a terminal.
func (c *Comparison) Text(o trace.Options) string {
	out := &trace.Canvas{Options: o}
	for i, s := range []*Group{&c.Before, &c.After} {
		said := []trace.Segment{trace.Dim([]string{"before  ", "after   "}[i]), trace.Bold(text.Printable(s.Name)), trace.Plain(": " + s.ended())}
		for j, reason := range s.Reasons[:min(len(s.Reasons), mostReasons)] {
			said = append(said, trace.Failing(fmt.Sprintf("%s%s ×%d", map[bool]string{true: " (", false: ", "}[j == 0], text.Printable(reason.Reason), reason.Starts)))
		}
		if len(s.Reasons) > 0 {
			said = append(said, trace.Failing(")"))
		}
		out.Line(said...)
	}
	if f := &c.Failures; f.More() {
		out.Line(trace.Failing("more starts failed: " + f.String()))
	} else if f.Before+f.After > 0 {
		out.Line(trace.Dim(f.String()))
	}
	out.Line(trace.Plain(""))
	c.table(out)
	if len(c.Traits) > 0 {
		out.Line(trace.Plain(""))
	}
	for _, t := range c.Traits {
		out.Line(trace.Plain(fmt.Sprintf("%s: in %d of %d before, in %d of %d after", text.Printable(t.Name), t.Before, c.Before.Ready, t.After, c.After.Ready)))
	}
	if warnings := c.Warnings(); len(warnings) > 0 {
		out.Line(trace.Plain(""))
		for _, w := range warnings {
			out.Line(trace.Wary(w))
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
	cells := [][]string{{"", "BEFORE", "", "AFTER", "", "DIFFERENCE", "", ""}}
	for _, r := range rows {
		cells = append(cells, r.cells())
	}
	width := make([]int, len(cells[0]))
	for _, row := range cells {
		for i, cell := range row {
			width[i] = max(width[i], text.Columns(cell))
		}
	}
	room := out.Columns() - (len(width) - 2) - len(indent)
	for _, w := range width[1:] {
		room -= w
	}
	width[0] = max(8, min(width[0], room))
	for i, row := range cells {
		line := []trace.Segment{trace.Plain(text.Fit(row[0], width[0]) + indent)}
		for j, cell := range row[1:] {
			style := trace.Plain
			switch {
			case i == 0, j+1 == len(row)-1:
				style = trace.Dim
			case j+1 >= 5 && rows[i-1].Significant() && rows[i-1].Difference() > 0:
				style = trace.Failing
			case j+1 >= 5 && rows[i-1].Significant():
				style = trace.Good
			}
			if j+1 < len(row)-1 {
				cell = text.Right(cell, width[j+1]) + " "
			}
			line = append(line, style(cell))
		}
		out.Line(line...)
	}
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

type comparisonJSON struct {
	Before   setJSON      `json:"before"`
	After    setJSON      `json:"after"`
	Failures failuresJSON `json:"failures"`
	Total    rowJSON      `json:"total"`
	Phases   []rowJSON    `json:"phases"`
	Traits   []Trait      `json:"traits"`
	Warnings []string     `json:"warnings"`
}

type setJSON struct {
	Name    string   `json:"name"`
	Starts  int      `json:"starts"`
	Ready   int      `json:"ready"`
	Failed  int      `json:"failed"`
	Reasons []Reason `json:"reasons"`
}

type rowJSON struct {
	Name        string      `json:"name"`
	Before      summaryJSON `json:"before_seconds"`
	After       summaryJSON `json:"after_seconds"`
	Difference  float64     `json:"difference_seconds"`
	P           float64     `json:"p"`
	Significant bool        `json:"significant"`
	Appeared    bool        `json:"appeared,omitempty"`
	Vanished    bool        `json:"vanished,omitempty"`
}

type failuresJSON struct {
	Before int     `json:"before"`
	After  int     `json:"after"`
	P      float64 `json:"p"`
	More   bool    `json:"significantly_more"`
}

type summaryJSON struct {
	Median float64  `json:"median"`
	Low    *float64 `json:"low"` // null: too few starts for an interval
	High   *float64 `json:"high"`
}

// JSON writes the comparison as one object, durations in seconds.
func (c *Comparison) JSON(w io.Writer) error {
	set := func(s *Group) setJSON {
		return setJSON{s.Name, len(s.Starts), s.Ready, s.Failed, append([]Reason{}, s.Reasons...)}
	}
	out := comparisonJSON{
		Before: set(&c.Before), After: set(&c.After), Failures: failuresJSON{c.Failures.Before, c.Failures.After, c.Failures.P, c.Failures.More()}, Total: c.Total.json(), Phases: []rowJSON{}, Traits: append([]Trait{}, c.Traits...),
		Warnings: append([]string{}, c.Warnings()...),
	}
	for _, r := range c.Phases {
		out.Phases = append(out.Phases, r.json())
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(out); err != nil {
		return fmt.Errorf("write the comparison: %w", err)
	}
	return nil
}

func (r *Row) json() rowJSON {
	return rowJSON{r.Name, summary(r.Before), summary(r.After), r.Difference(), r.P, r.Significant(), r.Appeared(), r.Vanished()}
}

func summary(s benchmath.Summary) summaryJSON {
	finite := func(f float64) *float64 {
		if math.IsInf(f, 0) {
			return nil
		}
		return &f
	}
	return summaryJSON{s.Center, finite(s.Lo), finite(s.Hi)}
}
