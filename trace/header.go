// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// header says whose start it was and how it went.
func header(t *Trace, o Options) []line {
	f := t.Facts()
	title := printable(t.title(f))
	about := []string{f.Engine, f.GPU, prefixed("image ", f.Image), f.Region, f.Cluster}
	if f.Model != title {
		about = append([]string{f.Model}, about...)
	}
	head := o.beside(Segment{title, bold}, Segment{joined(about...), dim})
	if t.group != nil {
		for _, says := range t.group.about() {
			head = append(head, o.broken(says)...)
		}
	} else if f.Pod != "" {
		head = append(head, o.beside(Segment{"pod " + t.Name(), plain}, Segment{printable(prefixed("node ", f.Node)), plain})...)
	}
	head = append(head, o.broken(Segment{joined("trace "+t.ID, t.Start.UTC().Format("2006-01-02 15:04:05 UTC"), plural(t.Spans, "span")), dim})...)
	return append(head, o.broken(t.verdict())...)
}

// beside are two texts on a line, or on lines each where one would cut what is there to be copied.
func (o Options) beside(a, b Segment) []line {
	if b.text == "" {
		return o.broken(a)
	}
	if l := (line{a, {separator + b.text, b.style}}); l.columns() <= o.Columns() {
		return []line{l}
	}
	return append(o.broken(a), o.broken(b)...)
}

// broken is a text on as many lines as it takes, all but the first a little further in.
func (o Options) broken(s Segment) (lines []line) {
	const further = "  "
	for i, text := range breakUp(s.text, o.Columns()-len(further)) {
		lines = append(lines, line{{strings.Repeat(further, min(i, 1)) + text, s.style}})
	}
	return lines
}

func (t *Trace) title(f Facts) string {
	name := t.Roots[0].Name
	if service := t.Roots[0].service(); service != "" {
		name = service + ": " + name
	}
	return cmp.Or(f.Endpoint, f.Pod, f.Model, name)
}

func (t *Trace) verdict() Segment {
	o := t.Outcome()
	took := seconds(t.took(o))
	switch {
	case o.InProgress():
		return Segment{printable(t.soFar(o, took)), yellow}
	case !t.IsStart() && !o.Failed():
		return Segment{"took " + took, plain}
	}
	text := o.text(" after " + took)
	if o.failed > 0 && !o.Failed() {
		text += fmt.Sprintf(" (%d failed: %s)", o.failed, o.why(false))
		return Segment{printable(text), green}
	}
	style := green
	if o.Failed() {
		style = red
	}
	return Segment{printable(text), style}
}

// soFar is what is known of a start that goes on.
func (t *Trace) soFar(o Outcome, took string) string {
	if o.failed > 0 {
		return fmt.Sprintf("%s, %s so far", o.text(""), took)
	}
	text := joinedBy(": ", fmt.Sprintf("%s, %s so far", words[o.state], took), o.waiting)
	switch last := t.lastEnded(); {
	case last == nil || o.waiting != "":
	case last.Failed:
		text += "; " + last.Label() + " failed last (" + last.Reason() + ")"
	default:
		text += "; " + last.Label() + " ended last"
	}
	return text
}

// footer says what explains most of the time, what the colours mean, and what to be wary of.
func footer(t *Trace, o Options) []line {
	var lines []line
	if phases := t.Phases(); len(phases) > 1 {
		const caption = "slowest   "
		top := ""
		for i, n := range phases[:min(5, len(phases))] {
			text := fmt.Sprintf("%s %s (%s)", n.Label(), seconds(n.Exclusive), share(n.Exclusive, t.Took()))
			if i > 0 {
				text = top + separator + text
			}
			if i > 0 && columns(caption+text) > o.Columns() {
				break
			}
			top = text
		}
		gaps := line{{"gaps      ", dim}, {fmt.Sprintf("%s (%s)", seconds(t.Uncovered()), share(t.Uncovered(), t.Took())), plain}}
		if whole := slices.Concat(gaps, line{Plain(" in which no phase was under way")}); whole.columns() <= o.Columns() {
			gaps = whole
		}
		lines = append(lines, line{{caption, dim}, {top, plain}}, gaps)
	}
	lines = append(lines, t.remarkable(o)...)
	if t.Conflicts > 0 {
		lines = append(lines, line{{plural(t.Conflicts, "span") + " repeated with different content; what ended last is drawn", yellow}})
	}
	if o.Colour {
		lines = append(lines, t.legend(o))
	}
	return lines
}

// remarkable are events that explain what no phase does: an engine that was launched before, and when it said nothing for long.
func (t *Trace) remarkable(o Options) (lines []line) {
	for _, of := range []struct {
		event, caption string
		text           func(Event) string
	}{
		{startup.EventLaunch, "launched  ", func(e Event) string {
			return joinedBy(" ", "before, "+textIn(e.Attributes, startup.AttrOutcome), prefixed("after ", e.took())) + prefixed(": ", textIn(e.Attributes, startup.AttrReason))
		}},
		{startup.EventSilence, "silent    ", func(e Event) string {
			return e.took() + prefixed(" in ", textIn(e.Attributes, startup.AttrPhase)) + prefixed(" after ", textIn(e.Attributes, startup.AttrAfter))
		}},
	} {
		var texts []string
		t.Walk(func(n *Node) {
			for _, e := range n.Events {
				if e.Name == of.event {
					texts = append(texts, printable(of.text(e)))
				}
			}
		})
		for len(texts) > 1 && columns(of.caption+strings.Join(texts, separator)) > o.Columns() {
			texts = texts[:len(texts)-1]
		}
		if len(texts) > 0 {
			lines = append(lines, line{{of.caption, dim}, {strings.Join(texts, separator), plain}})
		}
	}
	return lines
}

// took is how long an event lasted, empty if it does not say.
func (e Event) took() string {
	if v, ok := valueIn(e.Attributes, startup.AttrDurationSeconds).(float64); ok {
		return seconds(time.Duration(v * float64(time.Second)))
	}
	return ""
}

func (t *Trace) legend(o Options) line {
	square := "■ "
	if o.ASCII {
		square = "# "
	}
	seen := map[style]bool{}
	t.Walk(func(n *Node) {
		if n.Failed {
			seen[red] = true
		}
		seen[n.style()] = true
	})
	var l line
	for _, entry := range []Segment{
		{"Kubernetes (" + startup.ServiceWatcher + ")", cyan},
		{"container (" + startup.ServiceWrapper + ")", green},
		{"the engine itself", magenta},
		{"failed", red},
	} {
		if seen[entry.style] {
			l = append(l, Segment{square, entry.style}, Segment{entry.text + "  ", dim})
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
