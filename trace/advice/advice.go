// SPDX-License-Identifier: Apache-2.0

package advice

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/text"
)

// Advice is what to change about a start.
type Advice struct {
	Rule   string // and the heading in docs/advice.md
	Seen   string // in this start
	Change string
	Saves  time.Duration // up to; 0: no time of this start, but a start that failed
	Starts int           // of several, for how many of which it holds
}

// MarshalJSON has the saving in seconds.
func (a Advice) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct { //nolint:wrapcheck // texts and a number
		Rule   string  `json:"rule"`
		Seen   string  `json:"evidence"`
		Change string  `json:"change"`
		Saves  float64 `json:"saves_seconds"`
	}{a.Rule, a.Seen, a.Change, a.Saves.Seconds()})
}

// rule is when to say what.
type rule struct {
	id     string // the anchor of its section in docs/advice.md
	change string
	// phase is how the name of the spans at fault ends; at most those for which holds is true.
	phase string
	holds func(s *start, n *trace.Node) bool // nil: all
	// to is how long such a span would be; nil: no time at all.
	to func(s *start, n *trace.Node) time.Duration
	// note is what else is to be seen of such a span.
	note func(s *start, n *trace.Node) string
	// find is for what is no matter of single spans: the spans, how long they would be, and what is to be seen.
	find func(s *start) (Lengths, string)
	// least is what it must save to be said; 0: leastSaving. any: it is said whatever it saves.
	least time.Duration
	any   bool
}

// What saves less than both is not worth a change.
const (
	leastSaving = 2 * time.Second
	leastShare  = 0.02 // of the start
)

// start is one, with what rules ask of it.
type start struct {
	*trace.Trace
	peers   *Peers
	nodes   []*trace.Node               // without what is in attempts that failed: that is the matter of crash-loop
	engines map[*trace.Node]*trace.Node // the engine's init that a phase is a part of
	outcome trace.Outcome
	engine  string
	gpus    int64
}

func newStart(t *trace.Trace, peers *Peers) *start {
	s := &start{Trace: t, peers: peers, engines: map[*trace.Node]*trace.Node{}, engine: t.Value(startup.AttrEngine), outcome: t.Outcome()}
	s.take(t.Roots, nil)
	return s
}

// take takes nodes, and what is in them, of an engine's init.
func (s *start) take(nodes []*trace.Node, engine *trace.Node) {
	for _, n := range nodes {
		if v, ok := n.Get(startup.AttrNumGPUs).(int64); ok {
			s.gpus = v
		}
		if !n.Missing {
			s.nodes = append(s.nodes, n)
		}
		if engine != nil {
			s.engines[n] = engine
		}
		inner := engine
		if name, is := strings.CutSuffix(n.Name, startup.InitSuffix); is {
			inner = n
			if s.engine == "" && slices.Contains(streams, name) {
				s.engine = name
			}
		}
		if !n.Group || !n.Failed {
			s.take(n.Children, inner)
		}
	}
}

// For is what to change about a start, what saves most first; one that failed would be none the better for being quicker.
// Peers are other starts to compare it with; nil if there are none.
func For(t *trace.Trace, peers *Peers) []Advice {
	var (
		out    = []Advice{}
		s      = newStart(t, peers)
		replay = newReplay(t)
	)
	for i := range rules {
		r := &rules[i]
		if s.outcome.Failed() && !r.any {
			continue
		}
		lengths, seen := r.apply(s)
		if seen == "" {
			continue
		}
		a := Advice{Rule: r.id, Seen: seen, Change: r.change, Saves: replay.saved(lengths)}
		least := cmp.Or(r.least, max(leastSaving, time.Duration(leastShare*float64(t.Total()))))
		if r.any || a.Saves >= least {
			out = append(out, a)
		}
	}
	slices.SortStableFunc(out, Compare)
	return out
}

// Compare orders advice: what saves most first, but last what costs something else.
func Compare(a, b Advice) int {
	return cmp.Or(cmp.Compare(costs[a.Rule], costs[b.Rule]), cmp.Compare(b.Saves, a.Saves), cmp.Compare(b.Starts, a.Starts), cmp.Compare(a.Rule, b.Rule))
}

// apply finds what the rule is about.
func (r *rule) apply(s *start) (Lengths, string) {
	if r.find != nil {
		return r.find(s)
	}
	lengths := Lengths{}
	for _, n := range s.nodes {
		if !strings.HasSuffix(n.Name, r.phase) || n.Failed || n.Open || r.holds != nil && !r.holds(s, n) {
			continue
		}
		lengths[n] = 0
		if r.to != nil {
			lengths[n] = r.to(s, n)
		}
	}
	var seen []string
	longest := slices.SortedFunc(maps.Keys(lengths), func(a, b *trace.Node) int {
		return cmp.Or(cmp.Compare(b.Duration(), a.Duration()), cmp.Compare(a.ID, b.ID))
	})
	for _, n := range longest {
		says := took(n)
		if r.note != nil {
			if note := r.note(s, n); note != "" {
				says += "; " + note
			}
		}
		seen = append(seen, says)
	}
	return lengths, strings.Join(seen, ", ")
}

// took says how long a phase was, and how much it moved.
func took(n *trace.Node) string {
	says := n.Phase() + " took " + text.Seconds(n.Duration())
	var of []string
	for _, key := range []string{startup.AttrImageSizeBytes, startup.AttrBytes} {
		if bytes, ok := n.Get(key).(int64); ok && bytes > 0 {
			of = append(of, text.Size(float64(bytes)))
		}
	}
	if rate, ok := n.Get(startup.AttrThroughputMBps).(float64); ok && rate > 0 {
		of = append(of, text.Size(rate*1e6)+"/s")
	}
	if len(of) > 0 {
		says += " (" + strings.Join(of, ", ") + ")"
	}
	return says
}

// Page is where all rules are explained.
const Page = "https://github.com/coldtrace/coldtrace/blob/main/docs/advice.md"

// Advised is what a page says under the drawing of a start: the most of it that saves most.
func Advised(t *trace.Trace, peers *Peers, most int) (out []trace.Advised) {
	all := For(t, peers)
	for _, a := range all[:min(len(all), most)] {
		said := trace.Advised{Seen: a.Seen, Change: a.Change, Rule: a.Rule, Link: Page + "#" + a.Rule}
		if a.Saves > 0 {
			said.Saves = text.Seconds(a.Saves)
		}
		out = append(out, said)
	}
	return out
}

// Text draws advice under a waterfall: the most of it that saves most. Empty if there is none.
func Text(of []Advice, most int, o trace.Options) string {
	c := &trace.Canvas{Options: o}
	for i, a := range of[:min(len(of), most)] {
		caption := "advice    "
		if i > 0 {
			caption = "          "
		}
		c.Paragraph(caption, a.saving()+" "+a.Seen, trace.Good)
		c.Paragraph("            ", a.Change+" (docs/advice.md#"+a.Rule+")", trace.Plain)
	}
	return c.String()
}

func (a Advice) saving() string {
	if a.Saves <= 0 {
		return "!"
	}
	return "up to -" + text.Seconds(a.Saves) + ":"
}

func (a Advice) String() string { return fmt.Sprintf("%s %s %s", a.Rule, a.saving(), a.Seen) }
