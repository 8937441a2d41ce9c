// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"golang.org/x/perf/benchmath"

	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/text"
)

// Text is the comparison for a terminal.
func (c *Comparison) Text(o trace.Options) string {
	out := &trace.Canvas{Options: o}
	for i, g := range []*Group{&c.Before, &c.After} {
		out.Paragraph([]string{"before  ", "after   "}[i], text.Printable(g.Name)+": "+g.ended(), trace.Bold)
		if why := g.why(); why != "" {
			out.Paragraph("        ", why, trace.Failing)
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

// why are the most frequent reasons of what failed: "cuda_out_of_memory ×3, exit_code=1 ×1".
func (g *Group) why() string {
	var said []string
	for _, r := range g.Reasons[:min(len(g.Reasons), mostReasons)] {
		said = append(said, fmt.Sprintf("%s ×%d", text.Printable(r.Reason), r.Starts))
	}
	return strings.Join(said, ", ")
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
