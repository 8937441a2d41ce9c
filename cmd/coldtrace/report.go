// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/report"
)

type reportFlags struct {
	source source
	display
	by   string
	json bool
	csv  bool
	html string
}

func newReportCommand() *cobra.Command {
	var flags reportFlags
	cmd := &cobra.Command{
		Use:   "report [POD | KIND/NAME | FILE]…",
		Short: "Say of many starts what is usual, slow, failing and varying",
		Long: `Say of many cold starts what is usual, slow, failing and varying, by group.

Sources are those of coldtrace trace: pods of a cluster, files of OTLP JSON
lines, captures, answers of Tempo and Jaeger.

Percentiles and phases are of starts that went well: a start that broke off
early was not a quick one. A phase counts with the time that it alone explains,
so that those of a start add up to its total; a start that lacks the phase
counts as 0 s.`,
		Example: `  coldtrace report -n models --since 24h
  coldtrace report traces.jsonl --by image_tag
  coldtrace report traces.jsonl --html report.html
  coldtrace report deploy/llama -n models --csv >starts.csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			boundGarbage()
			return runReport(cmd, args, flags)
		},
		ValidArgsFunction: flags.source.completePods,
	}
	flags.source.flags(cmd)
	flags.displayFlags(cmd)
	f := cmd.Flags()
	groupingFlag(cmd, &flags.by, "endpoint", "group by this")
	f.BoolVar(&flags.json, "json", false, "write JSON")
	f.BoolVar(&flags.csv, "csv", false, "write CSV: a line for the total and each phase of each group")
	f.StringVar(&flags.html, "html", "", "also write a page with plots and each start's waterfall to this file (\"-\": to standard output, instead)")
	return cmd
}

// groupingFlag is --by: what starts are grouped by.
func groupingFlag(cmd *cobra.Command, by *string, usual, usage string) {
	cmd.Flags().StringVar(by, "by", usual, usage+": "+strings.Join(report.Dimensions(), ", "))
	completeFlag(cmd, "by", report.Dimensions()...)
}

func runReport(cmd *cobra.Command, args []string, flags reportFlags) error {
	if err := report.Groupable(flags.by); err != nil {
		return fmt.Errorf("--by: %w", err)
	}
	if flags.json && flags.csv {
		return errors.New("--json and --csv both write to standard output: give one of them")
	}
	if flags.html == "-" && (flags.json || flags.csv) {
		return errors.New("--html - writes to standard output, as --json and --csv do: name a file for the page")
	}
	if err := flags.source.fits(cmd, args); err != nil {
		return err
	}
	starts, readErr := readStarts(cmd, args, &flags.source, flags.html != "")
	if len(starts) == 0 {
		return noStarts(readErr)
	}
	r := report.New(starts, flags.by)
	out := cmd.OutOrStdout()
	done, err := writePage(out, flags.html, r.Page)
	if done || err != nil {
		return errors.Join(err, readErr)
	}
	switch {
	case flags.json:
		err = r.JSON(out)
	case flags.csv:
		err = r.CSV(out)
	default:
		_, err = fmt.Fprint(out, r.Text(flags.terminal(out)))
	}
	return errors.Join(err, readErr)
}

// readStarts reads the starts of pods, and leaves out what else is in the input.
func readStarts(cmd *cobra.Command, args []string, from *source, draw bool) ([]report.Start, error) {
	from.without = report.Unsaid
	spans, err := readSpans(cmd, args, from)
	return report.Read(trace.Build(spans), draw), err
}

func noStarts(readErr error) error {
	if readErr != nil {
		return readErr
	}
	return errors.New("there are no starts of pods in the input; coldtrace trace --help says what can be read")
}
