// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/coldtrace/coldtrace/trace/report"
)

type compareFlags struct {
	source source
	display
	by     string
	json   bool
	limits []string
}

func newCompareCommand() *cobra.Command {
	var flags compareFlags
	cmd := &cobra.Command{
		Use:   "compare BEFORE AFTER | --by WHAT V1 V2 [SOURCE]…",
		Short: "Say what differs between two sets of starts, and how sure that is",
		Long: `Say what is different between two sets of cold starts, and how sure that is.

BEFORE and AFTER are a source each, as coldtrace trace takes them: a file of
OTLP JSON lines, a capture, the pods of a Deployment. With --by they are two
values of what starts can be grouped by, and the sources follow.

Compared are the medians of starts that went well, with their confidence
intervals (95 %), by the Mann-Whitney U test, as benchstat does it: "~" is a
difference that chance explains (p > 0.05). A phase counts with the time that it
alone explains; a start that lacks it counts as 0 s. Fewer than six starts of
each give no interval, three of each no certainty.`,
		Example: `  coldtrace compare baseline.jsonl now.jsonl --fail-above 10%
  coldtrace compare --by image_tag v0.11.2 v0.12.0 traces.jsonl
  coldtrace compare --by image_tag v0.11.2 v0.12.0 deploy/llama \
    -n models --fail-above model_load=20%`,
		RunE: func(cmd *cobra.Command, args []string) error {
			boundGarbage()
			return runCompare(cmd, args, flags)
		},
		ValidArgsFunction: flags.source.completePods,
	}
	flags.source.flags(cmd)
	flags.displayFlags(cmd)
	f := cmd.Flags()
	groupingFlag(cmd, &flags.by, "", "compare two groups of the same sources")
	f.BoolVar(&flags.json, "json", false, "write JSON")
	f.StringArrayVar(&flags.limits, "fail-above", nil, "exit status 1 when the total got significantly slower by more than this: 10%; or a phase: weights_load=20%; and when significantly more starts failed")
	return cmd
}

func runCompare(cmd *cobra.Command, args []string, flags compareFlags) error {
	limits, err := limitsOf(flags.limits)
	if err != nil {
		return err
	}
	before, after, err := twoGroups(cmd, args, flags)
	if err != nil {
		return err
	}
	c, err := report.Compare(before, after)
	if err != nil {
		return err //nolint:wrapcheck // names the source
	}
	out := cmd.OutOrStdout()
	if flags.json {
		err = c.JSON(out)
	} else {
		_, err = fmt.Fprint(out, c.Text(flags.terminal(out)))
	}
	return errors.Join(err, c.Check(limits))
}

// compared says what is missing, or too much, of what is to be compared.
func (flags *compareFlags) compared(args []string) error {
	const either = "coldtrace compare BEFORE AFTER, or coldtrace compare --by image_tag V1 V2"
	switch {
	case flags.by != "" && report.Groupable(flags.by) != nil:
		return fmt.Errorf("--by: %w", report.Groupable(flags.by))
	case flags.by != "" && len(args) < 2:
		return fmt.Errorf("name two values of %s before the sources: coldtrace compare --by %s V1 V2 [SOURCE]…", flags.by, flags.by)
	case flags.by == "" && len(args) == 0:
		return errors.New("name what to compare: " + either + " [SOURCE]…")
	case flags.by == "" && len(args) == 1:
		return fmt.Errorf("%s is one source, and there is nothing to compare it with: %s %s", args[0], either, args[0])
	case flags.by == "" && len(args) > 2:
		return fmt.Errorf("these are %d sources, and two can be compared: %s [SOURCE]…", len(args), either)
	}
	return nil
}

// twoGroups are the starts of two sources, or of two groups of the same.
func twoGroups(cmd *cobra.Command, args []string, flags compareFlags) (before, after report.Group, err error) {
	if err := flags.compared(args); err != nil {
		return before, after, err
	}
	sources := args
	if flags.by != "" {
		sources = args[2:]
	}
	if err := flags.source.fits(cmd, sources); err != nil {
		return before, after, err
	}
	if flags.by == "" {
		for i, g := range []*report.Group{&before, &after} {
			starts, err := readStarts(cmd, args[i:i+1], &flags.source, false)
			if err != nil || len(starts) == 0 {
				return before, after, fmt.Errorf("%s: %w", args[i], noStarts(err))
			}
			*g = report.NewGroup(args[i], starts)
		}
		return before, after, nil
	}
	starts, err := readStarts(cmd, sources, &flags.source, false)
	if err != nil || len(starts) == 0 {
		return before, after, noStarts(err)
	}
	for i, g := range []*report.Group{&before, &after} {
		of := slices.DeleteFunc(slices.Clone(starts), func(s report.Start) bool { return value(s, flags.by) != args[i] && s.Facts[flags.by] != args[i] })
		if len(of) == 0 {
			return before, after, fmt.Errorf("no start has %s %q; there are: %s", flags.by, args[i], strings.Join(values(starts, flags.by), ", "))
		}
		*g = report.NewGroup(args[i], of)
	}
	return before, after, nil
}

// value of a start by which it is grouped, as a report prints it: "(no region)" of one that has none.
func value(s report.Start, by string) string { return cmp.Or(s.Facts[by], "(no "+by+")") }

func values(starts []report.Start, by string) []string {
	all := map[string]bool{}
	for _, s := range starts {
		all[value(s, by)] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// limitsOf reads --fail-above: 10%, or PHASE=10%.
func limitsOf(texts []string) (map[string]float64, error) {
	limits := map[string]float64{}
	for _, text := range texts {
		name, value := "total", text
		if at := strings.LastIndex(text, "="); at > 0 {
			name, value = text[:at], text[at+1:]
		}
		number, ok := strings.CutSuffix(value, "%")
		percent, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil || percent < 0 || math.IsNaN(percent) || math.IsInf(percent, 0) {
			return nil, fmt.Errorf("--fail-above %s: want a percentage such as 10%%, or PHASE=10%%", text)
		}
		limits[name] = percent / 100
	}
	return limits, nil
}
