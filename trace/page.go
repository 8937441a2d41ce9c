// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	_ "embed" // the page
	"fmt"
	"html/template"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

//go:embed page.html
var pageHTML string

var page = template.Must(template.New("page").Parse(pageHTML))

// Page is one self-contained HTML page: the drawn trace, and a list of all of them if there are more.
func Page(traces []*Trace, drawn *Trace) ([]byte, error) {
	view := pageView{
		Trace: drawn, Title: drawn.title(drawn.Facts()), Facts: drawn.Facts(), Verdict: drawn.verdict()[0].text,
		Outcome: drawn.Outcome(), Total: seconds(drawn.Total()), Started: drawn.Start.UTC().Format("2006-01-02 15:04:05 UTC"),
		NoPhase: seconds(drawn.Uncovered()) + " (" + share(drawn.Uncovered(), drawn.Total()) + ")",
	}
	if phases := drawn.Phases(); len(phases) > 0 {
		n := phases[0]
		view.Slowest = fmt.Sprintf("%s, %s (%s)", n.label(), seconds(n.Exclusive), share(n.Exclusive, drawn.Total()))
	}
	// As if the bars had 100 columns, whatever the window's width.
	a := newAxis(drawn.Start, drawn.Total(), 100)
	a.ticks(func(_ int, at time.Duration) {
		view.Ticks = append(view.Ticks, tickView{Left: percent(at, drawn.Total()), Label: tickLabel(at)})
	})
	view.Rows = views(drawn, drawn.Roots, 0)
	if len(traces) > 1 {
		for _, t := range traces {
			other := traceView{
				Pod: t.first(attrPodName), Total: seconds(t.Total()), Outcome: t.Outcome().String(), ID: t.ID,
				Started: t.Start.UTC().Format("2006-01-02 15:04:05"), Drawn: t == drawn,
			}
			if phases := t.Phases(); len(phases) > 0 {
				other.Slowest = phases[0].label() + ", " + seconds(phases[0].Exclusive)
			}
			view.Traces = append(view.Traces, other)
		}
	}
	var out bytes.Buffer
	if err := page.Execute(&out, view); err != nil {
		return nil, fmt.Errorf("execute page template: %w", err)
	}
	return out.Bytes(), nil
}

type pageView struct {
	Trace                                            *Trace
	Facts                                            Facts
	Outcome                                          Outcome
	Title, Verdict, Total, Started, Slowest, NoPhase string
	Ticks                                            []tickView
	Rows                                             []rowView
	Traces                                           []traceView
}

type tickView struct {
	Left  float64
	Label string
}

type traceView struct {
	Pod, Total, Slowest, Outcome, ID, Started string
	Drawn                                     bool
}

type rowView struct {
	Label, Kind, Offset, Duration, Share, Reason string
	Notes                                        []string
	Left, Width                                  float64
	Depth                                        int
	From, To                                     string
	Node                                         *Node
	Children                                     []rowView
}

func views(t *Trace, nodes []*Node, depth int) []rowView {
	out := make([]rowView, 0, len(nodes))
	for _, n := range nodes {
		out = append(out, rowView{
			Label: n.label(), Kind: n.kind(), Reason: n.Reason(), Notes: n.notes(), Node: n, Depth: depth,
			Offset: "+" + seconds(n.Start.Sub(t.Start)), Duration: seconds(n.Duration()), Share: share(n.Duration(), t.Total()),
			Left: percent(n.Start.Sub(t.Start), t.Total()), Width: percent(n.Duration(), t.Total()),
			From: n.Start.UTC().Format("15:04:05.000"), To: n.End.UTC().Format("15:04:05.000"),
			Children: views(t, n.Children, depth+1),
		})
	}
	return out
}

// kind is the class of a row on the page.
func (n *Node) kind() string {
	switch {
	case n.Failed:
		return "failed"
	case n.Missing, n.Open:
		return "missing"
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
