// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/trace/advice"
	"github.com/coldtrace/coldtrace/trace/text"
)

// Report is starts in groups, the largest first.
type Report struct {
	By     string
	From   time.Time // the first began
	To     time.Time // the last did
	All    Group
	Pods   Together // that start as one
	Groups []Group
}

// Group is the starts that have something in common.
type Group struct {
	Name   string // empty: it is not known of them
	Starts []Start
	Counts
	Reasons []Reason // of those that failed, the most frequent first
	Total   Quantiles
	Phases  []Phase // of those that went well, the longest first
}

// Counts are how many starts ended how.
type Counts struct {
	Ready  int `json:"ready"`
	Failed int `json:"failed"`
	Going  int `json:"starting"`
}

// ended says it: "40 ready, 2 failed, 1 still starting", with something about those that are ready.
func (c Counts) ended(ready string) string {
	out := fmt.Sprintf("%d ready%s", c.Ready, ready)
	if c.Failed > 0 {
		out += fmt.Sprintf(", %d failed", c.Failed)
	}
	if c.Going > 0 {
		out += fmt.Sprintf(", %d still starting", c.Going)
	}
	return out
}

// Reason is why starts failed, and how many.
type Reason struct {
	Reason string `json:"reason"`
	Starts int    `json:"starts"`
}

func (r Reason) counted() string { return fmt.Sprintf("%s ×%d", text.Printable(r.Reason), r.Starts) }

// said are the most frequent of some: "cuda_out_of_memory ×3, exit_code=1 ×1".
func said(reasons []Reason, most int) string {
	var out []string
	for _, r := range reasons[:min(len(reasons), most)] {
		out = append(out, r.counted())
	}
	return strings.Join(out, ", ")
}

func mostFrequent(counts map[string]int) []Reason {
	out := []Reason{}
	for reason, n := range counts {
		out = append(out, Reason{reason, n})
	}
	slices.SortFunc(out, func(a, b Reason) int { return cmp.Or(cmp.Compare(b.Starts, a.Starts), cmp.Compare(a.Reason, b.Reason)) })
	return out
}

// Phase is how long one phase takes, by the time that it alone explains. A start that lacks it counts as 0 s.
type Phase struct {
	Name   string    `json:"name"`
	Starts int       `json:"starts"` // that had it
	Took   Quantiles `json:"seconds"`
	Share  float64   `json:"share"` // median of its part of the total, 0 to 1
}

// Varies is how far the phase differs between starts: from the quickest tenth to the slowest.
func (p Phase) Varies() time.Duration { return p.Took.P90 - p.Took.P10 }

// Quantiles of a duration, interpolated between the two nearest starts.
type Quantiles struct{ P10, P50, P90, P95 time.Duration }

// New groups starts by one of Dimensions.
func New(starts []Start, by string) *Report {
	r := &Report{By: by, All: NewGroup("", starts), Pods: together(starts)}
	byName := map[string][]Start{}
	for i, s := range starts {
		byName[s.Facts[by]] = append(byName[s.Facts[by]], s)
		if i == 0 || s.Began.Before(r.From) {
			r.From = s.Began
		}
		if s.Began.After(r.To) {
			r.To = s.Began
		}
	}
	for name, of := range byName {
		r.Groups = append(r.Groups, NewGroup(name, of))
	}
	slices.SortFunc(r.Groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(len(b.Starts), len(a.Starts)), cmp.Compare(a.Name, b.Name))
	})
	return r
}

// NewGroup is starts that have a name in common.
func NewGroup(name string, starts []Start) Group {
	g := Group{Name: name, Starts: starts}
	failed := map[string]int{}
	var totals []time.Duration
	for i := range starts {
		switch s := &starts[i]; s.Ended {
		case Well:
			totals = append(totals, s.Total)
		case Failed:
			g.Failed++
			for _, reason := range s.Reasons {
				failed[reason]++
			}
		case Going:
			g.Going++
		}
	}
	g.Ready, g.Total = len(totals), quantiles(totals)
	g.Reasons, g.Phases = mostFrequent(failed), phases(starts)
	return g
}

// phases of the starts that went well.
func phases(starts []Start) []Phase {
	out := []Phase{}
	type figures struct {
		times  []time.Duration
		shares []float64
	}
	byName := map[string]*figures{}
	well := 0
	for i := range starts {
		s := &starts[i]
		if s.Ended != Well {
			continue
		}
		well++
		for _, p := range s.Phases {
			f := byName[p.Phase]
			if f == nil {
				f = &figures{}
				byName[p.Phase] = f
			}
			f.times = append(f.times, p.Time)
			f.shares = append(f.shares, float64(p.Time)/float64(max(s.Total, 1)))
		}
	}
	for name, f := range byName {
		had := len(f.times)
		f.times, f.shares = append(f.times, make([]time.Duration, well-had)...), append(f.shares, make([]float64, well-had)...)
		out = append(out, Phase{Name: name, Starts: had, Took: quantiles(f.times), Share: startup.Median(f.shares)})
	}
	slices.SortFunc(out, func(a, b Phase) int {
		return cmp.Or(cmp.Compare(b.Took.P50, a.Took.P50), cmp.Compare(b.Took.P90, a.Took.P90), cmp.Compare(a.Name, b.Name))
	})
	return out
}

func quantiles(d []time.Duration) Quantiles {
	return Quantiles{startup.Quantile(d, 0.1), startup.Quantile(d, 0.5), startup.Quantile(d, 0.9), startup.Quantile(d, 0.95)}
}

// Slowest are the starts that went well and took longest.
func (g *Group) Slowest(n int) []Start {
	well := slices.DeleteFunc(slices.Clone(g.Starts), func(s Start) bool { return s.Ended != Well })
	slices.SortStableFunc(well, func(a, b Start) int { return cmp.Compare(b.Total, a.Total) })
	return well[:min(n, len(well))]
}

// mostAdvice is said of a group.
const mostAdvice = 5

// Varying are the phases that differ most between starts.
func (g *Group) Varying(n int) []Phase {
	out := slices.DeleteFunc(slices.Clone(g.Phases), func(p Phase) bool { return p.Varies() <= 0 })
	slices.SortStableFunc(out, func(a, b Phase) int { return cmp.Compare(b.Varies(), a.Varies()) })
	return out[:min(n, len(out))]
}

// advices are what would make starts of the group quicker, what saves most first. The saving is the
// median of the starts that a rule is about, the evidence that of the one for which it saves most.
func (g *Group) advices() []advice.Advice {
	saves := map[string][]time.Duration{}
	most := map[string]advice.Advice{}
	for i := range g.Starts {
		for _, a := range g.Starts[i].Advice {
			saves[a.Rule] = append(saves[a.Rule], a.Saves)
			if known, ok := most[a.Rule]; !ok || a.Saves > known.Saves {
				most[a.Rule] = a
			}
		}
	}
	out := []advice.Advice{}
	for rule, a := range most {
		a.Starts, a.Saves = len(saves[rule]), startup.Median(saves[rule])
		a.Seen = fmt.Sprintf("in %d of %s; at most %s", a.Starts, text.Plural(len(g.Starts), "start"), a.Seen)
		out = append(out, a)
	}
	slices.SortFunc(out, advice.Compare)
	return out[:min(len(out), mostAdvice)]
}
