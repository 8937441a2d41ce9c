// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"strings"

	"github.com/coldtrace/coldtrace/trace/text"
)

// The words of package text that every other line of the drawings uses.
var (
	printable, columns, clip, fit, right = text.Printable, text.Columns, text.Clip, text.Fit, text.Right

	breakUp              = text.Break
	seconds, share, size = text.Seconds, text.Share, text.Size
	plural, some         = text.Plural, text.Some
)

// Options are how a terminal wants it.
type Options struct {
	Width  int  // columns; no line is longer. 0: 100
	Colour bool // ANSI colours
	ASCII  bool // nothing but ASCII, except in what the spans say
	Rows   int  // of a table; 0: all
}

// plainer are the signs of ours that ASCII lacks, by ones that are as wide.
var plainer = strings.NewReplacer("…", "~", "·", "-", "×", "x", "±", "~")

// Columns are those of the width.
func (o Options) Columns() int {
	if o.Width <= 0 {
		return 100
	}
	return o.Width
}

// style is an ANSI SGR parameter.
type style string

const (
	plain   style = ""
	bold    style = "1"
	dim     style = "2"
	red     style = "31"
	boldRed style = "1;31"
	dimRed  style = "2;31"
	green   style = "32"
	yellow  style = "33"
	magenta style = "35"
	cyan    style = "36"
)

// Segment is a part of a line in one style.
type Segment struct {
	text  string
	style style
}

type line []Segment

func (l line) columns() int {
	n := 0
	for _, s := range l {
		n += columns(s.text)
	}
	return n
}

// Canvas draws lines as the waterfall does, for what is drawn beside it: cut to the width, in colours where there are any.
type Canvas struct {
	Options
	out strings.Builder
}

// Plain is a segment without a style.
func Plain(s string) Segment { return Segment{s, plain} }

// Bold is one that stands out.
func Bold(s string) Segment { return Segment{s, bold} }

// Dim is one that stands back.
func Dim(s string) Segment { return Segment{s, dim} }

// Failing says what went wrong.
func Failing(s string) Segment { return Segment{s, red} }

// Good says what went well, or would.
func Good(s string) Segment { return Segment{s, green} }

// Wary says what to be wary of.
func Wary(s string) Segment { return Segment{s, yellow} }

// shades are what neighbours in a stacked bar differ by: dark on light, and the other way round on a dark terminal.
var shades = []style{"7;36", "7;32", "7;35", "7;33", "7;34", "7;37"}

// Shaded is the i-th part of a stacked bar.
func Shaded(s string, i int) Segment { return Segment{s, shades[i%len(shades)]} }

// Line writes one, cut to the width, without blanks at its end.
func (c *Canvas) Line(segments ...Segment) {
	room, blanks := c.Columns(), ""
	for i, s := range segments {
		if c.ASCII {
			s.text = plainer.Replace(s.text)
		}
		if columns(s.text) > room || columns(s.text) == room && line(segments[i+1:]).columns() > 0 && strings.TrimSpace(s.text) != "" {
			s.text = clip(s.text+"…", room)
			if c.ASCII {
				s.text = plainer.Replace(s.text)
			}
		}
		room -= columns(s.text)
		trimmed := strings.TrimRight(s.text, " ")
		if trimmed == "" {
			blanks += s.text
			continue
		}
		c.out.WriteString(blanks)
		blanks = s.text[len(trimmed):]
		if c.Colour && s.style != plain {
			trimmed = "\x1b[" + string(s.style) + "m" + trimmed + "\x1b[0m"
		}
		c.out.WriteString(trimmed)
	}
	c.out.WriteByte('\n')
}

// lines writes several.
func (c *Canvas) lines(lines []line) {
	for _, l := range lines {
		c.Line(l...)
	}
}

// leastText is as many columns as lines of a text take that is to be read.
const leastText = 16

// Paragraph writes a text on as many lines as it takes, beside its caption, or below it where there is no room for both.
func (c *Canvas) Paragraph(caption, says string, style func(string) Segment) {
	if c.Columns()-columns(caption) < leastText {
		if strings.TrimSpace(caption) != "" {
			c.Line(Dim(strings.TrimRight(caption, " ")))
		}
		caption = caption[:min(len(caption), 2)]
		caption = strings.Repeat(" ", columns(caption))
	}
	for _, l := range text.Break(says, c.Columns()-columns(caption)) {
		c.Line(Dim(caption), style(l))
		caption = strings.Repeat(" ", columns(caption))
	}
}

func (c *Canvas) String() string { return c.out.String() }
