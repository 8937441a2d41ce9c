// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"math"
	"strings"
	"time"
)

// axis maps the time of a trace to columns.
type axis struct {
	start time.Time
	total time.Duration
	cells int
	step  time.Duration // between ticks; 0: none
}

// steps are the distances of ticks that people count in.
var steps = []time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// tickColumns is the least distance of two ticks: the longest label and a gap.
const tickColumns = 7

func newAxis(start time.Time, total time.Duration, cells int) axis {
	a := axis{start: start, total: total, cells: cells}
	for _, step := range steps {
		if total > 0 && float64(step)/float64(total)*float64(cells) >= tickColumns {
			a.step = step
			break
		}
	}
	return a
}

// ticks calls visit with the column and the time of each tick.
func (a axis) ticks(visit func(column int, at time.Duration)) {
	visit(0, 0)
	if a.step == 0 {
		return
	}
	for at := a.step; at < a.total; at += a.step {
		visit(int(float64(at)/float64(a.total)*float64(a.cells)), at)
	}
}

// labels is the line above the bars.
func (a axis) labels() string {
	out := []rune(strings.Repeat(" ", a.cells))
	a.ticks(func(column int, at time.Duration) {
		label := []rune(tickLabel(at))
		if column+len(label) <= a.cells {
			copy(out[column:], label)
		}
	})
	return string(out)
}

func tickLabel(at time.Duration) string {
	label := at.String() // 10m0s, 1h0m0s, 500ms
	for _, zero := range [...]string{"m0s", "h0m"} {
		if strings.HasSuffix(label, zero) {
			label = label[:len(label)-len("0s")]
		}
	}
	return label
}

// Blocks that fill a cell from its left, by eighths; index 0 is a full cell.
var blocks = [8]rune{'█', '▏', '▎', '▍', '▌', '▋', '▊', '▉'}

const (
	rightHalf   = '▐'
	rightEighth = '▕'
)

// bar draws from start to end: how many cells lie before it, and its cells. It is never invisible.
// A cell can be filled from its left by eighths, from its right by half or eighth only, so a start is rounded more
// than an end.
func (a axis) bar(start, end time.Time, ascii bool) (before int, cells string) {
	from := min(a.eighths(start), 8*a.cells-1)
	to := max(a.eighths(end), from+1)
	first, last := from/8, (to-1)/8
	if ascii {
		return first, strings.Repeat("#", last-first+1)
	}
	if first == last {
		switch inset := from % 8; {
		case inset == 0 || inset < 4 && to%8 != 0:
			return first, string(blocks[(to-from)%8])
		case to-from >= 3:
			return first, string(rightHalf)
		}
		return first, string(rightEighth)
	}
	out := []rune(strings.Repeat(string(blocks[0]), last-first+1))
	switch inset := from % 8; {
	case inset >= 6:
		out[0] = rightEighth
	case inset >= 2:
		out[0] = rightHalf
	}
	out[len(out)-1] = blocks[to%8]
	return first, string(out)
}

func (a axis) eighths(t time.Time) int {
	if a.total <= 0 {
		return 0
	}
	e := math.Round(float64(t.Sub(a.start)) / float64(a.total) * float64(8*a.cells))
	return int(min(max(e, 0), float64(8*a.cells)))
}
