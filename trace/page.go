// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	_ "embed" // the page
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

//go:embed page.html
var pageHTML string

var page = template.Must(template.New("page").Parse(pageHTML))

// mostDrawn starts are drawn on a page, the newest; a start takes some 50 kB. More are listed without a drawing.
const mostDrawn = 50

// Advised is what would make a start quicker.
type Advised struct {
	Saves  string // up to; empty: no time of this start
	Seen   string // in it
	Change string
	Rule   string
	Link   string // where the rule is explained
}

// Page is one self-contained HTML page: a list of the traces, if there are several, that leads to a drawing of each.
// The drawn one is shown first. advise is asked for what to say under a drawing; nil: nothing.
func Page(traces []*Trace, drawn *Trace, advise func(*Trace) []Advised) ([]byte, error) {
	view := pageView{Several: len(traces) > 1}
	for i, t := range traces {
		shown := startView{
			Trace: t, Drawn: t == drawn, Pod: t.Name(), Total: seconds(t.took(t.Outcome())), Outcome: t.outcomeText(),
			Bad: t.Outcome().Failed(), Slowest: t.slowest(), Started: t.Start.UTC().Format("2006-01-02 15:04:05"),
		}
		if shown.Drawn || i < mostDrawn {
			shown.draw()
			if advise != nil {
				shown.Advice = advise(t)
			}
		}
		if shown.Drawn {
			view.Title, view.Verdict = shown.Title, shown.Verdict
		}
		view.Starts = append(view.Starts, shown)
	}
	var out bytes.Buffer
	if err := page.Execute(&out, view); err != nil {
		return nil, fmt.Errorf("execute page template: %w", err)
	}
	return out.Bytes(), nil
}

type pageView struct {
	Title, Verdict string
	Several        bool
	Starts         []startView
}

// startView is a line of the list and, from Title on, the drawing it leads to.
type startView struct {
	Trace                                 *Trace
	Drawn, Bad                            bool
	Pod, Total, Outcome, Slowest, Started string
	Title, Verdict, Explains, Gaps        string
	Facts                                 Facts
	Ticks                                 []tickView
	Step                                  float64 // between ticks, in per cent
	Rows                                  []rowView
	Shared                                []Attribute // of every span
	Advice                                []Advised
}

type tickView struct {
	Left  float64
	Label string
}

func (v *startView) draw() {
	t := v.Trace
	v.Facts = t.Facts()
	v.Title, v.Verdict = t.title(v.Facts), t.verdict().text
	if t.group != nil {
		for _, s := range t.group.about() {
			v.Verdict += separator + s.text
		}
	}
	v.Gaps = seconds(t.Uncovered()) + " (" + share(t.Uncovered(), t.Took()) + ") in which no phase was under way"
	var explains []string
	for _, n := range t.Phases()[:min(3, len(t.Phases()))] {
		explains = append(explains, fmt.Sprintf("%s %s (%s)", n.Label(), seconds(n.Exclusive), share(n.Exclusive, t.Took())))
	}
	v.Explains = strings.Join(explains, ", ")
	// As if the bars had 70 columns, whatever the window's width.
	a := newAxis(t.Start, t.Total(), 70)
	a.ticks(func(_ int, at time.Duration) {
		v.Ticks = append(v.Ticks, tickView{Left: percent(at, t.Total()), Label: tickLabel(at)})
	})
	v.Step = 100
	if a.step > 0 {
		v.Step = percent(a.step, t.Total())
	}
	v.Shared = t.shared()
	v.Rows = t.rows(t.Roots, 0, v.Shared)
}

// shared are the attributes that all spans have with the same value, their resources' among them.
func (t *Trace) shared() (shared []Attribute) {
	first := true
	t.Walk(func(n *Node) {
		if n.made() {
			return
		}
		if first {
			shared, first = slices.Concat(n.Attributes, n.Resource), false
			return
		}
		shared = without(shared, func(a Attribute) bool { return !n.says(a) })
	})
	return shared
}

// made says whether the node is no span that anybody sent.
func (n *Node) made() bool { return n.Missing || n.Group || n.ID == "" || n.Member }

func (n *Node) says(a Attribute) bool {
	return slices.ContainsFunc(slices.Concat(n.Attributes, n.Resource), func(b Attribute) bool { return sameAttribute(a, b) })
}

func sameAttribute(a, b Attribute) bool { return a.Key == b.Key && a.Text() == b.Text() }

func without(attributes []Attribute, drop func(Attribute) bool) []Attribute {
	return slices.DeleteFunc(slices.Clone(attributes), drop)
}

type rowView struct {
	Label, Kind, Offset, Duration, Share, Reason string
	Notes                                        []string
	Marks                                        []markView // events
	Left, Width                                  float64
	Depth                                        int
	From, To                                     string
	Node                                         *Node
	Attributes                                   []Attribute // of this span and few others
	Children                                     []rowView
}

type markView struct {
	Left float64
	Text string
}

func (t *Trace) rows(nodes []*Node, depth int, shared []Attribute) []rowView {
	known := func(a Attribute) bool {
		return slices.ContainsFunc(shared, func(b Attribute) bool { return sameAttribute(a, b) })
	}
	out := make([]rowView, 0, len(nodes))
	for _, n := range nodes {
		row := rowView{
			Label: n.Label(), Kind: n.kind(), Notes: append(n.notes(), n.happened()...), Node: n, Depth: depth,
			Offset: "+" + seconds(n.Start.Sub(t.Start)), Duration: seconds(n.Duration()), Share: share(n.Duration(), t.Total()),
			Left: percent(n.Start.Sub(t.Start), t.Total()), Width: percent(n.Duration(), t.Total()),
			From: n.Start.UTC().Format("15:04:05.000"), To: n.End.UTC().Format("15:04:05.000"),
			Attributes: without(slices.Concat(n.Attributes, n.Resource), known), Children: t.rows(n.Children, depth+1, shared),
		}
		if n.attempt > 0 {
			row.Label = n.Phase()
		}
		if n.Failed && !n.quiet {
			row.Reason = n.Reason()
		}
		for _, e := range n.Events {
			row.Marks = append(row.Marks, markView{
				Left: min(max(percent(e.Time.Sub(t.Start), t.Total()), 0), 100), Text: e.Name + " at +" + seconds(e.Time.Sub(t.Start)),
			})
		}
		out = append(out, row)
	}
	return out
}

// happened are the node's events, those of a name together: "container_terminated ×3".
func (n *Node) happened() (out []string) {
	times := map[string]int{}
	for _, e := range n.Events {
		times[e.Name]++
		if times[e.Name] == 1 {
			out = append(out, e.Name)
		}
	}
	for i, name := range out {
		if times[name] > 1 {
			out[i] = fmt.Sprintf("%s ×%d", name, times[name])
		}
	}
	return out
}

// kind is the class of a row on the page.
func (n *Node) kind() string {
	switch {
	case n.Failed && n.quiet, n.Failed && n.Group:
		return "failing"
	case n.Failed:
		return "failed"
	case n.Missing, n.Open:
		return "missing"
	case n.Group:
		return "group"
	}
	switch n.service() {
	case startup.ServiceWatcher:
		return "kubernetes"
	case startup.ServiceWrapper:
		return "container"
	}
	return "engine"
}

// percent of the whole, to three digits after the point.
func percent(part, whole time.Duration) float64 {
	if whole <= 0 {
		return 0
	}
	return float64(int64(100_000*float64(part)/float64(whole))) / 1000
}

// Drawing is a start's waterfall, for what draws it elsewhere.
type Drawing struct {
	Length time.Duration
	Rows   []Row
	Shared []Attribute // of every span
}

// Row is one of its spans.
type Row struct {
	Depth        int
	Label        string
	Kind         string // kubernetes, container, engine; group, missing; failed, and failing where another span says why
	Reason       string // of a failure
	From, Length time.Duration
	Attributes   []Attribute // of this span and few others, and its events
}

// Drawing of the trace.
func (t *Trace) Drawing() *Drawing {
	d := &Drawing{Length: t.Total(), Shared: t.shared()}
	var add func(rows []rowView)
	add = func(rows []rowView) {
		for _, r := range rows {
			row := Row{r.Depth, r.Label, r.Kind, r.Reason, r.Node.Start.Sub(t.Start), r.Node.Duration(), r.Attributes}
			for _, e := range r.Node.Events {
				row.Attributes = append(row.Attributes, Attribute{"event", "+" + seconds(e.Time.Sub(t.Start)) + " " + joinedBy(" ", e.Name, attributesText(e.Attributes))})
			}
			d.Rows = append(d.Rows, row)
			add(r.Children)
		}
	}
	add(t.rows(t.Roots, 0, d.Shared))
	return d
}

func attributesText(of []Attribute) string {
	texts := make([]string, len(of))
	for i, a := range of {
		texts[i] = a.Key + "=" + a.Text()
	}
	return strings.Join(texts, " ")
}
