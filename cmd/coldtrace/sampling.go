// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/coldtrace/coldtrace/sampling"
	"github.com/coldtrace/coldtrace/trace/text"
)

func newSamplingCommand() *cobra.Command {
	var (
		load   sampling.Load
		rates  sampling.Sampling
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "sampling",
		Short: "How many traces a load makes, and how many are left after sampling",
		Long: `How many traces a load makes, per second and per day, and what share is dropped:
at the root of a trace (the gateway's proxy, the SDK), which knows no outcome,
and in the collector, which does. Every attempt of a call is a trace.`,
		Example: `  # The incident: 2,500 tasks polled every 3 s, 9 attempts of each failing call.
  coldtrace sampling --tasks 2500 --poll-interval 3s --failing 10 \
    --attempts 9 --requests 50
  # The same load with the chart's traceVolume.enabled.
  coldtrace sampling --tasks 2500 --poll-interval 3s --failing 10 \
    --attempts 9 --requests 50 --keep 10 --keep-polls 0`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// What is not said of polls is what is said of all.
			if !cmd.Flags().Changed("root-polls") {
				rates.RootPolls = rates.Root
			}
			if !cmd.Flags().Changed("keep-polls") {
				rates.CollectorPolls = rates.Collector
			}
			if err := cmp.Or(load.Validate(), rates.Validate()); err != nil {
				return err
			}
			classes := sampling.Of(load, rates)
			if asJSON {
				return writeSamplingJSON(cmd.OutOrStdout(), classes)
			}
			return writeSampling(cmd.OutOrStdout(), classes)
		},
	}
	f := cmd.Flags()
	f.Float64Var(&load.Requests, "requests", 0, "calls per second that succeed, without polls (default 0)")
	f.Float64Var(&load.Failing, "failing", 0, "calls per second that fail (default 0)")
	f.IntVar(&load.Attempts, "attempts", 1, "attempts of a failing call, the first one included")
	f.IntVar(&load.Tasks, "tasks", 0, "tasks that wait for their result at a time (default 0)")
	f.DurationVar(&load.PollInterval, "poll-interval", 3*time.Second, "time between two polls of a task")
	f.Float64Var(&load.StartsPerDay, "starts", 0, "pods that start in a day; their traces are always kept (default 0)")
	f.Float64Var(&rates.Root, "root", 100, "percentage traced at the root: Istio's randomSamplingPercentage, a ratio sampler")
	f.Float64Var(&rates.RootPolls, "root-polls", 100, "the same for polls: the gateway's share of their route (default: --root)")
	f.Float64Var(&rates.Collector, "keep", 100, "percentage that the collector keeps: traceVolume.keepPercent")
	f.Float64Var(&rates.CollectorPolls, "keep-polls", 100, "the same for polls: keepPercent of their route (default: --keep)")
	for _, name := range []string{"root-polls", "keep-polls"} {
		f.Lookup(name).DefValue = "0" // no second default in its help
	}
	f.BoolVar(&rates.KeepErrors, "keep-errors", true, "the collector keeps every trace with an error")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func writeSampling(w io.Writer, classes []sampling.Class) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\trequests/s\ttraced/s\tkept/s\tkept/day\tdropped\t")
	for _, c := range classes {
		fmt.Fprintf(t, "%s\t%.2f\t%.2f\t%.2f\t%s\t%.2f %%\t\n", c.Name, c.Requests, c.Traced, c.Kept, thousands(c.PerDay()), c.Dropped())
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

func writeSamplingJSON(w io.Writer, classes []sampling.Class) error {
	type line struct {
		Class    string  `json:"class"`
		Requests float64 `json:"requests_per_second"`
		Traced   float64 `json:"traced_per_second"`
		Kept     float64 `json:"kept_per_second"`
		PerDay   float64 `json:"kept_per_day"`
		Dropped  float64 `json:"dropped_percent"`
	}
	lines := make([]line, len(classes))
	for i, c := range classes {
		lines[i] = line{c.Name, round(c.Requests), round(c.Traced), round(c.Kept), c.PerDay(), round(c.Dropped())}
	}
	return text.WriteJSON(w, lines)
}

// round to a millionth: what is behind it is noise of the arithmetic.
func round(f float64) float64 { return math.Round(f*1e6) / 1e6 }

// thousands are set apart: 72,000,000.
func thousands(f float64) string {
	digits := strconv.FormatFloat(f, 'f', 0, 64)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
