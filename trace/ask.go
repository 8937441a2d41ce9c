// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"strings"
	"time"
)

// Took is how long it was until the start ended, or until now.
func (t *Trace) Took() time.Duration { return t.took(t.Outcome()) }

// Reasons are the most telling ones of what failed, each once.
func (o Outcome) Reasons() []string {
	var out []string
	for _, r := range o.reasons {
		out = append(out, r.reason)
	}
	return out
}

// Word is the state in a word: ready, failed, still starting.
func (o Outcome) Word() string { return words[o.state] }

// Waited says whether the phase waited for another pod of the group, as far as Collapse was asked.
func (n *Node) Waited() bool { return n.waitedFor != "" }

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
