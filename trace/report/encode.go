// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"golang.org/x/perf/benchmath"

	"github.com/coldtrace/coldtrace/trace/advice"
	"github.com/coldtrace/coldtrace/trace/text"
)

type reportJSON struct {
	By     string      `json:"by"`
	From   time.Time   `json:"from"`
	To     time.Time   `json:"to"`
	Groups []groupJSON `json:"groups"`
	Pods   Together    `json:"pod_groups"`
}

type groupJSON struct {
	Name   string `json:"name"`
	Starts int    `json:"starts"`
	Counts
	Reasons []Reason        `json:"reasons"`
	Total   *Quantiles      `json:"total_seconds"` // null: none is ready
	Phases  []Phase         `json:"phases"`
	Slowest []startJSON     `json:"slowest"`
	Advice  []advice.Advice `json:"advice"`
}

type startJSON struct {
	Pod     string    `json:"pod"`
	Trace   string    `json:"trace_id"`
	Began   time.Time `json:"began"`
	Seconds float64   `json:"total_seconds"`
	Phase   string    `json:"slowest_phase,omitempty"`
}

// MarshalJSON has them in seconds.
func (q Quantiles) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct { //nolint:wrapcheck // numbers
		P10 float64 `json:"p10"`
		P50 float64 `json:"p50"`
		P90 float64 `json:"p90"`
		P95 float64 `json:"p95"`
	}{q.P10.Seconds(), q.P50.Seconds(), q.P90.Seconds(), q.P95.Seconds()})
}

func (g *Group) json() groupJSON {
	out := groupJSON{
		Name: g.Name, Starts: len(g.Starts), Counts: g.Counts,
		Reasons: g.Reasons, Phases: g.Phases, Slowest: []startJSON{}, Advice: g.advices(),
	}
	if g.Ready > 0 {
		out.Total = &g.Total
	}
	for _, s := range g.Slowest(mostSlowest) {
		start := startJSON{Pod: s.Pod, Trace: s.Trace, Began: s.Began.UTC(), Seconds: s.Total.Seconds()}
		if len(s.Phases) > 0 {
			start.Phase = s.Phases[0].Phase
		}
		out.Slowest = append(out.Slowest, start)
	}
	return out
}

// JSON writes the report as one object, durations in seconds, shares from 0 to 1.
func (r *Report) JSON(w io.Writer) error {
	out := reportJSON{By: r.By, From: r.From.UTC(), To: r.To.UTC(), Groups: []groupJSON{}, Pods: r.Pods}
	for i := range r.Groups {
		out.Groups = append(out.Groups, r.Groups[i].json())
	}
	return text.WriteJSON(w, out)
}

// CSV writes a line for the total and for each phase of each group, durations in seconds.
func (r *Report) CSV(w io.Writer) error {
	out := csv.NewWriter(w)
	write := func(fields ...string) { _ = out.Write(fields) } // Error tells, at the end
	write(r.By, "phase", "starts", "failed", "p10_seconds", "p50_seconds", "p90_seconds", "p95_seconds", "share")
	for i := range r.Groups {
		g := &r.Groups[i]
		line := func(phase string, starts, failed int, q Quantiles, share float64) {
			figures := []string{g.Name, phase, strconv.Itoa(starts), strconv.Itoa(failed)}
			for _, f := range []float64{q.P10.Seconds(), q.P50.Seconds(), q.P90.Seconds(), q.P95.Seconds(), share} {
				if g.Ready == 0 {
					figures = append(figures, "") // nothing took that long
					continue
				}
				figures = append(figures, strconv.FormatFloat(f, 'f', 3, 64))
			}
			write(figures...)
		}
		line("total", len(g.Starts), g.Failed, g.Total, 1)
		for _, p := range g.Phases {
			line(p.Name, p.Starts, 0, p.Took, p.Share)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

type comparisonJSON struct {
	Before   setJSON      `json:"before"`
	After    setJSON      `json:"after"`
	Failures failuresJSON `json:"failures"`
	Total    rowJSON      `json:"total"`
	Phases   []rowJSON    `json:"phases"`
	Traits   []Trait      `json:"traits"`
	Warnings []string     `json:"warnings"`
}

type setJSON struct {
	Name    string   `json:"name"`
	Starts  int      `json:"starts"`
	Ready   int      `json:"ready"`
	Failed  int      `json:"failed"`
	Reasons []Reason `json:"reasons"`
}

type rowJSON struct {
	Name        string      `json:"name"`
	Before      summaryJSON `json:"before_seconds"`
	After       summaryJSON `json:"after_seconds"`
	Difference  float64     `json:"difference_seconds"`
	P           float64     `json:"p"`
	Significant bool        `json:"significant"`
	Appeared    bool        `json:"appeared,omitempty"`
	Vanished    bool        `json:"vanished,omitempty"`
}

type failuresJSON struct {
	Before int     `json:"before"`
	After  int     `json:"after"`
	P      float64 `json:"p"`
	More   bool    `json:"significantly_more"`
}

type summaryJSON struct {
	Median float64  `json:"median"`
	Low    *float64 `json:"low"` // null: too few starts for an interval
	High   *float64 `json:"high"`
}

// JSON writes the comparison as one object, durations in seconds.
func (c *Comparison) JSON(w io.Writer) error {
	set := func(s *Group) setJSON {
		return setJSON{s.Name, len(s.Starts), s.Ready, s.Failed, append([]Reason{}, s.Reasons...)}
	}
	out := comparisonJSON{
		Before: set(&c.Before), After: set(&c.After), Failures: failuresJSON{c.Failures.Before, c.Failures.After, c.Failures.P, c.Failures.More()},
		Total: c.Total.json(), Phases: []rowJSON{}, Traits: append([]Trait{}, c.Traits...), Warnings: append([]string{}, c.Warnings()...),
	}
	for _, r := range c.Phases {
		out.Phases = append(out.Phases, r.json())
	}
	return text.WriteJSON(w, out)
}

func (r *Row) json() rowJSON {
	return rowJSON{r.Name, summary(r.Before), summary(r.After), r.Difference(), r.P, r.Significant(), r.Appeared(), r.Vanished()}
}

func summary(s benchmath.Summary) summaryJSON {
	finite := func(f float64) *float64 {
		if math.IsInf(f, 0) {
			return nil
		}
		return &f
	}
	return summaryJSON{s.Center, finite(s.Lo), finite(s.Hi)}
}
