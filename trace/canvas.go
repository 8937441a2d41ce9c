// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"strings"

	"github.com/coldtrace/coldtrace/trace/text"
)

// Canvas draws lines as the waterfall does, for what is drawn beside it: cut to the width, in colours where there are any.
type Canvas struct {
	Options
	out strings.Builder
}

// Segment is a part of a line in one style.
type Segment = segment

// Plain is a segment without a style.
func Plain(s string) Segment { return segment{s, plain} }

// Bold is one that stands out.
func Bold(s string) Segment { return segment{s, bold} }

// Dim is one that stands back.
func Dim(s string) Segment { return segment{s, dim} }

// Failing says what went wrong.
func Failing(s string) Segment { return segment{s, red} }

// Good says what went well, or would.
func Good(s string) Segment { return segment{s, green} }

// Wary says what to be wary of.
func Wary(s string) Segment { return segment{s, yellow} }

// shades are what neighbours in a stacked bar differ by: dark on light, and the other way round on a dark terminal.
var shades = []style{"7;36", "7;32", "7;35", "7;33", "7;34", "7;37"}

// Shaded is the i-th part of a stacked bar.
func Shaded(s string, i int) Segment { return segment{s, shades[i%len(shades)]} }

// Line writes one.
func (c *Canvas) Line(segments ...Segment) { line(segments).writeTo(&c.out, c.Options) }

// leastText is as many columns as lines of a text take that is to be read.
const leastText = 16

// Paragraph writes a text on as many lines as it takes, beside its caption, or below it where there is no room for both.
func (c *Canvas) Paragraph(caption, says string, style func(string) Segment) {
	if c.width()-columns(caption) < leastText {
		if strings.TrimSpace(caption) != "" {
			c.Line(Dim(strings.TrimRight(caption, " ")))
		}
		caption = caption[:min(len(caption), 2)]
		caption = strings.Repeat(" ", columns(caption))
	}
	for _, l := range text.Break(says, c.width()-columns(caption)) {
		c.Line(Dim(caption), style(l))
		caption = strings.Repeat(" ", columns(caption))
	}
}

// Columns are those of the width.
func (c *Canvas) Columns() int { return c.width() }

func (c *Canvas) String() string { return c.out.String() }
