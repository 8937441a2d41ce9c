// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"strings"
)

// tableRows is how many traces a table lists; the newest come first.
const tableRows = 20

// Table lists traces, one a line, and marks the one that is drawn.
func Table(traces []*Trace, drawn *Trace, o Options) string {
	const (
		started = iota
		pod
		total
		slowest
		outcome
		id
	)
	shown := traces[:min(tableRows, len(traces))]
	cells := [][]string{{"STARTED (UTC)", "POD", "TOTAL", "SLOWEST PHASE", "OUTCOME", "TRACE"}}
	for _, t := range shown {
		f := t.Facts()
		name := f.Pod
		if f.Namespace != "" && name != "" {
			name = f.Namespace + "/" + name
		}
		if name == "" {
			name = t.title(f)
		}
		phase := ""
		if phases := t.Phases(); len(phases) > 0 {
			phase = phases[0].label() + " " + seconds(phases[0].Exclusive)
		}
		result := t.Outcome().String()
		if !t.isStart() {
			result = ""
		}
		cells = append(cells, []string{
			t.Start.UTC().Format("01-02 15:04:05"), printable(name), seconds(t.Total()), phase, printable(result), t.ID[:8],
		})
	}
	widths := make([]int, id+1)
	for _, row := range cells {
		for i, cell := range row {
			widths[i] = max(widths[i], columns(cell))
		}
	}
	// What doesn't fit is taken from the texts, the longest first, down to what still tells something.
	const least = 8
	room := o.width() - 2 - 2*(len(widths)-1)
	for _, w := range widths {
		room -= w
	}
	for room < 0 {
		longest := pod
		for _, i := range []int{slowest, outcome} {
			if widths[i] > widths[longest] {
				longest = i
			}
		}
		if widths[longest] <= least {
			break
		}
		widths[longest]--
		room++
	}

	var out strings.Builder
	for r, row := range cells {
		mark := "  "
		if r > 0 && shown[r-1] == drawn {
			mark = "▸ "
			if o.ASCII {
				mark = "> "
			}
		}
		l := line{{mark, bold}}
		for i, cell := range row {
			if i > 0 {
				l = append(l, segment{"  ", plain})
			}
			s := plain
			switch {
			case r == 0:
				s = dim
			case i == outcome && shown[r-1].Outcome().Failed:
				s = red
			case i == started || i == id:
				s = dim
			}
			if i == total {
				l = append(l, segment{right(cell, widths[i]), s})
			} else {
				l = append(l, segment{fit(cell, widths[i]), s})
			}
		}
		l.writeTo(&out, o)
	}
	if more := len(traces) - len(shown); more > 0 {
		line{{fmt.Sprintf("  and %d older", more), dim}}.writeTo(&out, o)
	}
	return out.String()
}
