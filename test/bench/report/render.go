// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// section is a heading with what is measured there, and its tables.
type section struct {
	title  string
	text   string
	tables []table
}

// table shows benchmarks whose names begin alike, a row each.
type table struct {
	pkg     string // import path below the module
	bench   string // the name's beginning
	row     string // the first column's heading: what the rest of the name tells
	columns []column
	// per is the key of a size in the names, such as pods in pods=4. Its effect on the columns with slope is fitted.
	per string
}

type column struct {
	head string
	unit string
	// of is the unit that this one is divided by; "": none.
	of    string
	slope bool
}

func render(r results) string {
	var b strings.Builder
	b.WriteString("<!-- Made of docs/benchmarks.txt by make bench-docs. -->\n" + head)
	for _, line := range [][2]string{
		{"date", "date"}, {"commit", "commit"}, {"machine", "cpu"}, {"cores", "cores"}, {"load before", "load"}, {"system", "kernel"}, {"Go", "go"},
		{"Kubernetes", "kubernetes"}, {"command", "command"}, {"note", "note"},
	} {
		if v := r.header[line[1]]; len(v) > 0 {
			fmt.Fprintf(&b, "| %s | %s |\n", line[0], strings.ReplaceAll(strings.Join(v, ", "), "|", `\|`))
		}
	}
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", s.title, strings.TrimSpace(s.text))
		for _, t := range s.tables {
			t.render(&b, r)
		}
	}
	return b.String()
}

func (t table) render(b *strings.Builder, r results) {
	var rows []row
	for _, known := range r.rows {
		if known.pkg == t.pkg && (known.name == t.bench || strings.HasPrefix(known.name, t.bench+"/")) {
			rows = append(rows, known)
		}
	}
	b.WriteString("\n`" + t.pkg + "` `Benchmark" + t.bench + "`")
	if len(rows) == 0 {
		b.WriteString(" was not run.\n")
		return
	}
	b.WriteString("\n\n| " + t.row + " |")
	for _, c := range t.columns {
		b.WriteString(" " + c.head + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(t.columns)) + "\n")
	for _, known := range rows {
		b.WriteString("| " + strings.ReplaceAll(strings.TrimPrefix(strings.TrimPrefix(known.name, t.bench), "/"), "_", " ") + " |")
		for _, c := range t.columns {
			b.WriteString(" " + c.cell(known) + " |")
		}
		b.WriteString("\n")
	}
	for _, c := range t.columns {
		var slopes []string
		for _, g := range groups(rows, t.per) {
			if each, ok := c.fit(g.rows, t.per); ok && c.slope {
				slope := figure(each)
				if g.name != "" {
					slope += " (" + g.name + ")"
				}
				slopes = append(slopes, slope)
			}
		}
		if len(slopes) > 0 {
			fmt.Fprintf(b, "\nFitted: %s grows by %s for each more of `%s`.\n", c.head, strings.Join(slopes, ", "), t.per)
		}
	}
}

// group is the rows that differ in a size alone.
type group struct {
	name string // what they have in common, for who reads it; "": all rows do
	rows []row
}

func groups(rows []row, key string) []group {
	var all []group
	for _, r := range rows {
		name := r.without(key)
		i := slices.IndexFunc(all, func(g group) bool { return g.name == name })
		if i < 0 {
			i, all = len(all), append(all, group{name: name})
		}
		all[i].rows = append(all[i].rows, r)
	}
	if len(all) == 1 {
		all[0].name = ""
	}
	return all
}

func (c column) ratio(r row) (float64, bool) {
	v, ok := r.value(c.unit)
	if c.of == "" || !ok {
		return v, ok
	}
	by, ok := r.value(c.of)
	return v / by, ok && by != 0
}

func (c column) cell(r row) string {
	v, ok := c.ratio(r)
	if !ok {
		return ""
	}
	return figure(v)
}

// fit is the slope of the least-squares line through the rows' values over their sizes; false: fewer than three sizes.
func (c column) fit(rows []row, key string) (float64, bool) {
	var n, sx, sy, sxx, sxy float64
	sizes := map[float64]bool{}
	for _, r := range rows {
		x, ok := r.size(key)
		y, ok2 := c.ratio(r)
		if key == "" || !ok || !ok2 {
			continue
		}
		sizes[x] = true
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	if len(sizes) < 3 {
		return 0, false
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx), true
}

// figure has three significant digits.
func figure(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	digits := max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	text := strconv.FormatFloat(v, 'f', digits, 64)
	whole, rest, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest != "" {
		return whole + "." + rest
	}
	return whole
}
