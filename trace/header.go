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
	head := o.beside(segment{title, bold}, segment{joined(about...), dim})
	if t.group != nil {
		for _, says := range t.group.about() {
			head = append(head, o.broken(says)...)
		}
	} else if f.Pod != "" {
		head = append(head, o.beside(segment{"pod " + t.Name(), plain}, segment{printable(prefixed("node ", f.Node)), plain})...)
	}
	head = append(head, o.broken(segment{joined("trace "+t.ID, t.Start.UTC().Format("2006-01-02 15:04:05 UTC"), plural(t.Spans, "span")), dim})...)
	return append(head, o.broken(t.verdict())...)
}

// beside are two texts on a line, or on lines each where one would cut what is there to be copied.
func (o Options) beside(a, b segment) []line {
	if b.text == "" {
		return o.broken(a)
	}
	if l := (line{a, {separator + b.text, b.style}}); l.columns() <= o.width() {
		return []line{l}
	}
	return append(o.broken(a), o.broken(b)...)
}

// broken is a text on as many lines as it takes, all but the first a little further in.
func (o Options) broken(s segment) (lines []line) {
	const further = "  "
	for i, text := range breakUp(s.text, o.width()-len(further)) {
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

func (t *Trace) verdict() segment {
	o := t.Outcome()
	took := seconds(t.took(o))
	switch {
	case o.InProgress():
		return segment{printable(t.soFar(o, took)), yellow}
	case !t.IsStart() && !o.Failed():
		return segment{"took " + took, plain}
	}
	text := o.text(" after " + took)
	if o.failed > 0 && !o.Failed() {
		text += fmt.Sprintf(" (%d failed: %s)", o.failed, o.why(false))
		return segment{printable(text), green}
	}
	style := green
	if o.Failed() {
		style = red
	}
	return segment{printable(text), style}
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
		text += "; " + last.label() + " failed last (" + last.Reason() + ")"
	default:
		text += "; " + last.label() + " ended last"
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
			text := fmt.Sprintf("%s %s (%s)", n.label(), seconds(n.Exclusive), share(n.Exclusive, t.Took()))
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
			line{{"gaps      ", dim}, {fmt.Sprintf("%s (%s)", seconds(t.Uncovered()), share(t.Uncovered(), t.Took())), plain}})
		if says := (segment{" in which no phase was under way", plain}); append(lines[len(lines)-1], says).columns() <= o.width() {
			lines[len(lines)-1] = append(lines[len(lines)-1], says)
		}
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
			return joinedBy(" ", "before, "+e.own(startup.AttrOutcome), prefixed("after ", e.took())) + prefixed(": ", e.own(startup.AttrReason))
		}},
		{startup.EventSilence, "silent    ", func(e Event) string {
			return e.took() + prefixed(" in ", e.own(startup.AttrPhase)) + prefixed(" after ", e.own(startup.AttrAfter))
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
		for len(texts) > 1 && columns(of.caption+strings.Join(texts, separator)) > o.width() {
			texts = texts[:len(texts)-1]
		}
		if len(texts) > 0 {
			lines = append(lines, line{{of.caption, dim}, {strings.Join(texts, separator), plain}})
		}
	}
	return lines
}

// own is one of an event's attributes as text.
func (e Event) own(key string) string {
	for _, a := range e.Attributes {
		if a.Key == key {
			return a.Text()
		}
	}
	return ""
}

// took is how long an event lasted, empty if it does not say.
func (e Event) took() string {
	for _, a := range e.Attributes {
		if v, ok := a.Value.(float64); ok && a.Key == startup.AttrDurationSeconds {
			return seconds(time.Duration(v * float64(time.Second)))
		}
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
