// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/coldtrace/coldtrace/startup"
)

// header says whose start it was and how it went.
func header(t *Trace) []line {
	f := t.Facts()
	title := printable(t.title(f))
	about := []string{f.Engine, f.GPU, prefixed("image ", f.Image), f.Region, f.Cluster}
	if f.Model != title {
		about = append([]string{f.Model}, about...)
	}
	first := line{{title, bold}}
	if text := joined(about...); text != "" {
		first = append(first, segment{separator + text, dim})
	}
	var second line
	if f.Pod != "" {
		second = line{{joined("pod "+t.podName(), prefixed("node ", f.Node)), plain}}
	}
	lines := []line{first, second, {{joined("trace "+t.ID, t.Start.UTC().Format("2006-01-02 15:04:05 UTC"), counted(t.Spans, "span")), dim}}, t.verdict()}
	return slices.DeleteFunc(lines, func(l line) bool { return len(l) == 0 })
}

func (t *Trace) title(f Facts) string {
	name := t.Roots[0].Name
	if service := t.Roots[0].service(); service != "" {
		name = service + ": " + name
	}
	return cmp.Or(f.Endpoint, f.Pod, f.Model, name)
}

func (t *Trace) verdict() line {
	switch outcome := t.Outcome(); {
	case outcome.Failed:
		return line{{"failed after " + seconds(t.Total()) + ": " + printable(outcome.Reason), red}}
	case outcome.InProgress:
		return line{{"in progress, " + seconds(t.Total()) + " so far", yellow}}
	case t.isStart():
		return line{{"ready after " + seconds(t.Total()), green}}
	}
	return line{{"took " + seconds(t.Total()), plain}}
}

// footer says what explains most of the time, what the colours mean, and what to be wary of.
func footer(t *Trace, o Options) []line {
	var lines []line
	if phases := t.Phases(); len(phases) > 1 {
		const caption = "slowest   "
		top := ""
		for i, n := range phases[:min(5, len(phases))] {
			text := fmt.Sprintf("%s %s (%s)", n.label(), seconds(n.Exclusive), share(n.Exclusive, t.Total()))
			if i > 0 {
				text = top + separator + text
			}
			if i > 0 && columns(caption+text) > o.width() {
				break
			}
			top = text
		}
		lines = append(lines,
			line{{caption, dim}, {top, plain}},
			line{{"no phase  ", dim}, {fmt.Sprintf("%s (%s)", seconds(t.Uncovered()), share(t.Uncovered(), t.Total())), plain}})
	}
	if t.Conflicts > 0 {
		lines = append(lines, line{{counted(t.Conflicts, "span") + " repeated with different content; what ended last is drawn", yellow}})
	}
	if o.Colour {
		lines = append(lines, t.legend(o))
	}
	return lines
}

func (t *Trace) legend(o Options) line {
	square := "■ "
	if o.ASCII {
		square = "# "
	}
	seen := map[style]bool{}
	t.Walk(func(n *Node) { seen[n.style()] = true })
	var l line
	for _, entry := range []segment{
		{"Kubernetes (" + startup.ServiceWatcher + ")", cyan},
		{"container (" + startup.ServiceWrapper + ")", green},
		{"the engine itself", magenta},
		{"failed", red},
	} {
		if seen[entry.style] {
			l = append(l, segment{square, entry.style}, segment{entry.text + "  ", dim})
		}
	}
	return l
}

func joined(parts ...string) string {
	return printable(strings.Join(slices.DeleteFunc(slices.Clone(parts), func(s string) bool { return s == "" }), separator))
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
