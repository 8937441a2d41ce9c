// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"golang.org/x/perf/benchmath"
)

// Confidence of the intervals of medians; what is as unlikely as the rest to come by chance is called significant.
const Confidence = 0.95

// Comparison is what is different between the starts of two sets that went well. Nothing is assumed of how times are
// distributed: medians, and the Mann-Whitney U test, as benchstat has them.
type Comparison struct {
	Before, After Group
	Total         Row
	Phases        []Row // what differs most first
	Traits        []Trait
}

// Row compares one figure.
type Row struct {
	Name          string
	Before, After benchmath.Summary // seconds; a start that lacks the phase counts as 0
	benchmath.Comparison
	had [2]int
}

// Trait is what is more, or less, common in one of the sets: that an image was there, that a cache was hit.
type Trait struct {
	Name   string `json:"name"`
	Before int    `json:"before"` // starts
	After  int    `json:"after"`
}

// Compare two sets of starts.
func Compare(before, after Group) (*Comparison, error) {
	for _, g := range []*Group{&before, &after} {
		if g.Ready == 0 {
			return nil, fmt.Errorf("%s: none of %s got ready, so there is nothing to compare", g.Name, plural(len(g.Starts), "start"))
		}
	}
	c := &Comparison{Before: before, After: after}
	c.Total = c.row("total", func(s *Start) (time.Duration, bool) { return s.Total, true })
	for _, name := range c.phaseNames() {
		c.Phases = append(c.Phases, c.row(name, func(s *Start) (time.Duration, bool) { return s.of(name) }))
	}
	slices.SortStableFunc(c.Phases, func(a, b Row) int {
		return cmp.Or(-compareBool(a.Significant(), b.Significant()), cmp.Compare(math.Abs(b.Difference()), math.Abs(a.Difference())), cmp.Compare(a.Name, b.Name))
	})
	c.Traits = c.traits()
	return c, nil
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// phaseNames are those of either set.
func (c *Comparison) phaseNames() (names []string) {
	for _, s := range []*Group{&c.Before, &c.After} {
		for _, p := range s.Phases {
			if !slices.Contains(names, p.Name) {
				names = append(names, p.Name)
			}
		}
	}
	return names
}

func (c *Comparison) row(name string, figure func(*Start) (time.Duration, bool)) Row {
	r := Row{Name: name}
	var samples [2]*benchmath.Sample
	for i, s := range []*Group{&c.Before, &c.After} {
		var values []float64
		for j := range s.Starts {
			if s.Starts[j].Ended != Well {
				continue
			}
			d, had := figure(&s.Starts[j])
			values = append(values, d.Seconds())
			if had {
				r.had[i]++
			}
		}
		samples[i] = benchmath.NewSample(values, &benchmath.DefaultThresholds)
	}
	r.Before = benchmath.AssumeNothing.Summary(samples[0], Confidence)
	r.After = benchmath.AssumeNothing.Summary(samples[1], Confidence)
	r.Comparison = benchmath.AssumeNothing.Compare(samples[0], samples[1])
	return r
}

// Significant says whether the difference is more than chance explains.
func (r *Row) Significant() bool { return r.P <= r.Alpha && r.Before.Center != r.After.Center }

// Difference of the medians, in seconds.
func (r *Row) Difference() float64 { return r.After.Center - r.Before.Center }

// Ratio is by what part of the time before it is slower: 0.1 is a tenth slower; +Inf where there was none before.
func (r *Row) Ratio() float64 { return r.Difference() / r.Before.Center }

// Appeared says that no start had the phase before.
func (r *Row) Appeared() bool { return r.had[0] == 0 && r.had[1] > 0 }

// Vanished says that no start has the phase any more.
func (r *Row) Vanished() bool { return r.had[0] > 0 && r.had[1] == 0 }

// Row finds one by its name.
func (c *Comparison) Row(name string) (*Row, error) {
	if name == c.Total.Name {
		return &c.Total, nil
	}
	for i := range c.Phases {
		if c.Phases[i].Name == name {
			return &c.Phases[i], nil
		}
	}
	return nil, fmt.Errorf("no start has a phase %q", name)
}

// Slower says that a figure got slower by more than most (0.1: a tenth), and that this is significant.
func (r *Row) Slower(most float64) error {
	if !r.Significant() || r.Difference() <= 0 || r.Ratio() <= most {
		return nil
	}
	return fmt.Errorf("%s got slower by %s, which is more than %.4g%% (%s)", r.Name, r.percent(), 100*most, r.Comparison)
}

// traits are those of which the share of starts differs by more than half.
func (c *Comparison) traits() (out []Trait) {
	count := func(s *Group) map[string]int {
		n := map[string]int{}
		for i := range s.Starts {
			if s.Starts[i].Ended == Well {
				for _, trait := range s.Starts[i].Traits {
					n[trait]++
				}
			}
		}
		return n
	}
	before, after := count(&c.Before), count(&c.After)
	for _, n := range []map[string]int{before, after} {
		for name := range n {
			t := Trait{name, before[name], after[name]}
			share := float64(t.After)/float64(c.After.Ready) - float64(t.Before)/float64(c.Before.Ready)
			if math.Abs(share) > 0.5 && !slices.Contains(out, t) {
				out = append(out, t)
			}
		}
	}
	slices.SortFunc(out, func(a, b Trait) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Warnings are what to be wary of. Those of the total hold for the phases, too: they are of as many starts.
func (c *Comparison) Warnings() (out []string) {
	for _, w := range slices.Concat(c.Total.Before.Warnings, c.Total.After.Warnings, c.Total.Warnings) {
		if !slices.Contains(out, w.Error()) {
			out = append(out, w.Error())
		}
	}
	return out
}

// Check compares with limits: names of figures, and by what part each may get slower.
func (c *Comparison) Check(limits map[string]float64) error {
	var errs []error
	for name, most := range limits {
		row, err := c.Row(name)
		if err == nil {
			err = row.Slower(most)
		}
		errs = append(errs, err)
	}
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return errors.Join(errs...)
}
