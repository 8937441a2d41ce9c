// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/text"
)

const (
	mostGroups  = 20 // drawn; --json has all
	mostSlowest = 3
	mostVarying = 3
	mostReasons = 4
	mostAdvised = 3
	indent      = "  "
	caption     = 10 // columns of slowest, varies, failed
)

// Text is the report for a terminal.
func (r *Report) Text(o trace.Options) string {
	c := &trace.Canvas{Options: o}
	c.Paragraph("", r.headline(), trace.Bold)
	if r.Pods.Starts+r.Pods.LeftOut > 0 {
		c.Paragraph("", r.Pods.line(), trace.Plain)
	}
	c.Paragraph("", r.when(), trace.Dim)
	c.Line(trace.Plain(""))
	r.table(c)
	shown := r.Groups[:min(len(r.Groups), mostGroups)]
	advised := false
	for i := range shown {
		advised = shown[i].draw(c, r.By) || advised
	}
	if advised {
		c.Line(trace.Plain(""))
		c.Paragraph("", "advice is explained in docs/advice.md; --json and --html have its evidence", trace.Dim)
	}
	if more := len(r.Groups) - len(shown); more > 0 {
		c.Line(trace.Plain(""))
		c.Paragraph("", fmt.Sprintf("and %d smaller groups (--json and --csv have all)", more), trace.Dim)
	}
	return c.String()
}

// headline is how many starts there are and how they ended.
func (r *Report) headline() string {
	return fmt.Sprintf("%s of %s: %s", text.Plural(len(r.All.Starts), "start"), text.Plural(len(r.Groups), r.By), r.All.ended(""))
}

// when is from when to when they began.
func (r *Report) when() string {
	from, to := r.From.UTC().Format("2006-01-02 15:04"), r.To.UTC().Format("2006-01-02 15:04")
	if from == to {
		return from + " UTC"
	}
	return from + " to " + to + " UTC"
}

// known is the group's name as it is shown.
func (g *Group) known(by string) string {
	if g.Name == "" {
		return "(no " + by + ")"
	}
	return text.Printable(g.Name)
}

// table has a line for each group.
func (r *Report) table(c *trace.Canvas) {
	const failed = 2
	t := grid{head: []string{strings.ToUpper(r.By), "STARTS", "FAILED", "P50", "P90", "P95"}, spare: []int{5, 4, 1, failed}, gap: 2}
	for i := range r.Groups[:min(len(r.Groups), mostGroups)] {
		g := &r.Groups[i]
		row := []string{g.known(r.By), strconv.Itoa(len(g.Starts)), strconv.Itoa(g.Failed), "-", "-", "-"}
		if g.Ready > 0 {
			row = append(row[:3], text.Seconds(g.Total.P50), text.Seconds(g.Total.P90), text.Seconds(g.Total.P95))
		}
		t.rows = append(t.rows, row)
	}
	t.draw(c, func(row, column int) func(string) trace.Segment {
		if column == failed && r.Groups[row].Failed > 0 {
			return trace.Failing
		}
		return trace.Plain
	})
}

// draw is what a group's starts have in common. It tells whether there is advice.
func (g *Group) draw(c *trace.Canvas, by string) (advised bool) {
	c.Line(trace.Plain(""))
	c.Paragraph("", fmt.Sprintf("%s · %s: %s", g.known(by), text.Plural(len(g.Starts), "start"), g.ended("")), trace.Bold)
	if g.Ready > 0 {
		c.Line(append([]trace.Segment{trace.Plain(indent)}, g.bar(c)...)...)
		g.legend(c)
	}
	for i, s := range g.Slowest(mostSlowest) {
		of := ""
		if len(s.Phases) > 0 {
			of = fmt.Sprintf(" (%s %s)", s.Phases[0].Phase, text.Seconds(s.Phases[0].Time))
		}
		remark(c, "slowest", i, fmt.Sprintf("%s %s%s", text.Seconds(s.Total), s.Pod, of), trace.Plain)
	}
	for i, p := range g.Varying(mostVarying) {
		remark(c, "varies", i, fmt.Sprintf("%s: %s to %s", p.Name, text.Seconds(p.Took.P10), text.Seconds(p.Took.P90)), trace.Plain)
	}
	advices := g.advices()
	for i, a := range advices[:min(len(advices), mostAdvised)] {
		saves := ""
		if a.Saves > 0 {
			saves = "up to -" + text.Seconds(a.Saves) + " "
		}
		remark(c, "advice", i, fmt.Sprintf("%s%s (%d of %s)", saves, a.Rule, a.Starts, text.Plural(len(g.Starts), "start")), trace.Plain)
	}
	for i, reason := range g.Reasons[:min(len(g.Reasons), mostReasons)] {
		remark(c, "failed", i, reason.counted(), trace.Failing)
	}
	return len(advices) > 0
}

// remark is a paragraph with its caption, which is said once.
func remark(c *trace.Canvas, of string, i int, says string, style func(string) trace.Segment) {
	if i > 0 {
		of = ""
	}
	c.Paragraph(indent+text.Fit(of, caption), says, style)
}

// bar is the median share of each phase, side by side, with as much of its name as there is room for. Medians don't add
// up to the whole: they are scaled to it.
func (g *Group) bar(c *trace.Canvas) (out []trace.Segment) {
	var (
		cells = max(1, c.Columns()-2*len(indent))
		sum   = 0.0
		edge  = "▏"
		until = 0.0
		at    = 0
	)
	if c.ASCII {
		edge = "|"
	}
	for _, p := range g.Phases {
		sum += p.Share
	}
	for i, p := range g.Phases {
		if sum <= 0 {
			break
		}
		until += p.Share / sum
		to := int(until*float64(cells) + 0.5)
		if to-at < leastSegment {
			break
		}
		out = append(out, trace.Shaded(text.Fit(edge+p.Name, to-at), i))
		at = to
	}
	if sum > 0 && at < cells {
		out = append(out, trace.Dim(text.Fit(edge+"…", cells-at)))
	}
	return out
}

// leastSegment is as many columns as it takes to say something; what is shorter is drawn together.
const leastSegment = 4

// legend says of the phases in the bar how long they take, on as many lines as that needs, three at most.
func (g *Group) legend(c *trace.Canvas) {
	const most, separator = 3, " · "
	room := c.Columns() - len(indent)
	said, lines := "", 0
	for _, p := range g.Phases {
		if p.Took.P50 <= 0 {
			continue
		}
		says := fmt.Sprintf("%s %s (%.0f%%)", p.Name, text.Seconds(p.Took.P50), 100*p.Share)
		switch {
		case said == "":
			said = says
		case text.Columns(said+separator+says) <= room:
			said += separator + says
		default:
			c.Paragraph(indent, said, trace.Plain)
			if lines++; lines == most {
				return
			}
			said = says
		}
	}
	if said != "" {
		c.Paragraph(indent, said, trace.Plain)
	}
}
