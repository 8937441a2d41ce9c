// SPDX-License-Identifier: Apache-2.0

package trace

import "strings"

// Options are how a terminal wants it.
type Options struct {
	Width  int  // columns; no line is longer. 0: 100
	Colour bool // ANSI colours
	ASCII  bool // nothing but ASCII, except in what the spans say
	Rows   int  // of a table; 0: all
}

// plainer are the signs of ours that ASCII lacks, by ones that are as wide.
var plainer = strings.NewReplacer("…", "~", "·", "-", "×", "x", "±", "~")

func (o Options) width() int {
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

type segment struct {
	text  string
	style style
}

type line []segment

func (l line) columns() int {
	n := 0
	for _, s := range l {
		n += columns(s.text)
	}
	return n
}

// writeTo writes the line, cut to the width, without blanks at its end.
func (l line) writeTo(out *strings.Builder, o Options) {
	var (
		room    = o.width()
		blanks  string
		written = func(s segment) {
			if o.Colour && s.style != plain {
				out.WriteString("\x1b[" + string(s.style) + "m" + s.text + "\x1b[0m")
				return
			}
			out.WriteString(s.text)
		}
	)
	for i, s := range l {
		if o.ASCII {
			s.text = plainer.Replace(s.text)
		}
		if columns(s.text) > room || columns(s.text) == room && l[i+1:].columns() > 0 && strings.TrimSpace(s.text) != "" {
			s.text = clip(s.text+"…", room)
			if o.ASCII {
				s.text = plainer.Replace(s.text)
			}
		}
		room -= columns(s.text)
		trimmed := strings.TrimRight(s.text, " ")
		if trimmed == "" {
			blanks += s.text
			continue
		}
		out.WriteString(blanks)
		blanks = s.text[len(trimmed):]
		written(segment{trimmed, s.style})
	}
	out.WriteByte('\n')
}
