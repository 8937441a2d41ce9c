// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/perf/benchmath"

	"github.com/coldtrace/coldtrace/trace/text"
)

// confidence of the intervals of medians; what is as unlikely as the rest to come by chance is called significant.
const confidence = 0.95

// Comparison is what is different between the starts of two sets that went well. Nothing is assumed of how times are
// distributed: medians, and the Mann-Whitney U test, as benchstat has them.
type Comparison struct {
	Before, After Group
	Failures      Failures
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

// Failures compares how many of the starts that ended failed. Its test is that of the rows, of 0 and 1.
type Failures struct {
	Before, After int // that failed
	Of            [2]int
	benchmath.Comparison
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
			return nil, fmt.Errorf("%s: none of %s got ready, so there is nothing to compare", g.Name, text.Plural(len(g.Starts), "start"))
		}
	}
	c := &Comparison{Before: before, After: after, Failures: failures(before, after)}
	c.Total = c.row("total", func(s *Start) (time.Duration, bool) { return s.Total, true })
	for _, name := range c.phaseNames() {
		c.Phases = append(c.Phases, c.row(name, func(s *Start) (time.Duration, bool) { return s.of(name) }))
	}
	slices.SortStableFunc(c.Phases, func(a, b Row) int {
		switch sure := a.Significant(); {
		case sure && !b.Significant():
			return -1
		case !sure && b.Significant():
			return 1
		}
		return cmp.Or(cmp.Compare(math.Abs(b.Difference()), math.Abs(a.Difference())), cmp.Compare(a.Name, b.Name))
	})
	c.Traits = c.traits()
	return c, nil
}

func failures(before, after Group) Failures {
	f := Failures{Before: before.Failed, After: after.Failed, Of: [2]int{before.Ready + before.Failed, after.Ready + after.Failed}}
	var samples [2]*benchmath.Sample
	for i, failed := range []int{f.Before, f.After} {
		outcomes := make([]float64, f.Of[i])
		for j := range failed {
			outcomes[j] = 1
		}
		samples[i] = benchmath.NewSample(outcomes, &benchmath.DefaultThresholds)
	}
	f.Comparison = compared(samples)
	return f
}

// compared: benchmath doubles the probability of one tail, which of few values, many of them alike, can exceed a half.
func compared(samples [2]*benchmath.Sample) benchmath.Comparison {
	c := benchmath.AssumeNothing.Compare(samples[0], samples[1])
	c.P = min(c.P, 1)
	return c
}

// More says that a larger part of the starts failed than before, and that chance does not explain it.
func (f *Failures) More() bool { return f.P <= f.Alpha && f.After*f.Of[0] > f.Before*f.Of[1] }

func (f *Failures) String() string {
	return fmt.Sprintf("%d of %d failed before, %d of %d after (%s)", f.Before, f.Of[0], f.After, f.Of[1], f.Comparison)
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
	r.Before = benchmath.AssumeNothing.Summary(samples[0], confidence)
	r.After = benchmath.AssumeNothing.Summary(samples[1], confidence)
	r.Comparison = compared(samples)
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

// Rows are those of a name: the total, a phase, or a phase of each container, by "image_pull" or "image_pull main".
func (c *Comparison) Rows(name string) (rows []*Row, err error) {
	if name == c.Total.Name {
		return []*Row{&c.Total}, nil
	}
	var names []string
	for i := range c.Phases {
		full := c.Phases[i].Name
		if full == name || strings.HasPrefix(full, name+" ") {
			rows = append(rows, &c.Phases[i])
		}
		names = append(names, full)
	}
	if len(rows) == 0 {
		slices.Sort(names)
		return nil, fmt.Errorf("no start has a phase %q; there are: %s", name, strings.Join(names, ", "))
	}
	return rows, nil
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

// Check compares with limits: names of figures, and by what part each may get slower. Where there is any limit, more starts
// that fail are beyond it: those are in no figure.
func (c *Comparison) Check(limits map[string]float64) error {
	var errs []error
	for name, most := range limits {
		rows, err := c.Rows(name)
		errs = append(errs, err)
		for _, row := range rows {
			errs = append(errs, row.Slower(most))
		}
	}
	if len(limits) > 0 && c.Failures.More() {
		errs = append(errs, fmt.Errorf("more starts failed: %s", &c.Failures))
	}
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return errors.Join(errs...)
}
