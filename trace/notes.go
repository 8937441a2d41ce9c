// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"strconv"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// Label is a node's name with what tells it from its like: the container, the attempt.
func (n *Node) Label() string {
	number := n.attempt
	if v, ok := n.number(startup.AttrAttempt); ok && v > 1 {
		number = int(v)
	}
	if number == 0 {
		return n.Phase()
	}
	return n.Phase() + " #" + strconv.Itoa(number)
}

// Phase is the node's name with its container, where it is of one: the same of all attempts and all starts.
func (n *Node) Phase() string {
	label := n.Name
	if of := n.own(startup.AttrContainerName); of != "" && n.Name != startup.SpanStartup {
		label += " " + of
	}
	return printable(label)
}

// noted are the attributes worth a glance, in the order they are shown.
var noted = []struct {
	key  string
	text func(n *Node, value any) string
}{
	{startup.AttrImageSizeBytes, figure(size)},
	{startup.AttrBytes, figure(size)},
	{startup.AttrFiles, figure(func(f float64) string { return plural(int(f), "file") })},
	{startup.AttrThroughputMBps, figure(func(f float64) string { return size(f*1e6) + "/s" })},
	{startup.AttrCached, func(_ *Node, v any) string {
		if v == true {
			return "cached"
		}
		return ""
	}},
	{startup.AttrQueuedSeconds, figure(func(f float64) string {
		if f <= 0 {
			return ""
		}
		return "queued " + seconds(time.Duration(f*float64(time.Second)))
	})},
	{startup.AttrTool, func(n *Node, v any) string {
		if tool, _ := v.(string); !strings.HasPrefix(n.Name, tool) {
			return tool
		}
		return ""
	}},
	{startup.AttrEngineVersion, func(n *Node, v any) string {
		return strings.TrimSpace(n.own(startup.AttrEngine) + " " + Attribute{Value: v}.Text())
	}},
	{startup.AttrExitCode, func(n *Node, v any) string {
		code := Attribute{Value: v}.Text()
		if code == "0" || n.quiet && n.Name != startup.SpanStartup || strings.Contains(n.Reason(), startup.AttrExitCode+"="+code) {
			return ""
		}
		return "exit code " + code
	}},
	{startup.AttrClockSkewSeconds, figure(func(f float64) string { return "clock skew " + seconds(time.Duration(f*float64(time.Second))) })},
	{startup.AttrTimeSource, func(_ *Node, v any) string {
		if v == string(startup.TimeStatus) {
			return precision
		}
		return ""
	}},
}

// notes are what else is worth a glance; the reason of a failure is not among them.
func (n *Node) notes() []string {
	var out []string
	if n.Missing {
		return []string{"not in the input (a span is sent when it ends)"}
	}
	if n.Open {
		out = append(out, "going on")
	}
	if n.waitedFor != "" {
		out = append(out, printable(n.waitedFor))
	}
	if n.last {
		out = append(out, "the others waited for it")
	}
	if why := n.why(); why != "" && why != n.Reason() {
		out = append(out, printable(why))
	}
	for _, note := range noted {
		for _, a := range n.Attributes {
			if a.Key != note.key {
				continue
			}
			if text := note.text(n, a.Value); text != "" {
				out = append(out, printable(text))
			}
		}
	}
	for _, a := range n.Attributes {
		for suffix, unit := range map[string]string{"_gib": "GiB", "_tokens": "tokens"} {
			if strings.HasSuffix(a.Key, suffix) {
				out = append(out, printable(a.Text()+" "+unit))
			}
		}
	}
	return out
}

// precision marks edges that are known to the second only.
const precision = "±1 s"

// figure is a note of a number.
func figure(format func(float64) string) func(*Node, any) string {
	return func(_ *Node, v any) string {
		switch v := v.(type) {
		case int64:
			return format(float64(v))
		case float64:
			return format(v)
		}
		return ""
	}
}

const separator = " · "

// remarks are why the row failed and its notes. Where they take a line of their own, not all are worth it.
func (r row) remarks(all bool) []string {
	var out []string
	if r.Failed && !r.quiet {
		out = append(out, printable(r.Reason()))
	}
	notes := r.notes()
	if !all && len(notes) == 1 && notes[0] == precision {
		return out
	}
	return append(out, notes...)
}

func (r row) remarkLine(all bool) line {
	remarks := r.remarks(all)
	var l line
	if r.Failed && !r.quiet {
		l = append(l, Segment{remarks[0], red})
		remarks = remarks[1:]
		if len(remarks) > 0 {
			l = append(l, Segment{separator, dim})
		}
	}
	if len(remarks) > 0 {
		l = append(l, Segment{strings.Join(remarks, separator), dim})
	}
	return l
}

// style tells who saw the phase: Kubernetes, the wrapper, or the engine itself.
func (n *Node) style() style {
	switch {
	case n.Failed && n.quiet:
		return dimRed
	case n.Failed:
		return red
	case n.Missing, n.Group:
		return dim
	}
	switch n.service() {
	case startup.ServiceWatcher:
		return cyan
	case startup.ServiceWrapper:
		return green
	}
	return magenta
}

func (n *Node) service() string { return n.attribute(startup.ResourceService) }

func (r row) nameStyle() style {
	switch {
	case r.Failed && r.quiet:
		return dimRed
	case r.Failed:
		return boldRed
	case r.Missing:
		return dim
	case r.guides == "", r.Group:
		return bold
	}
	return plain
}
