// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/trace/text"
)

// ofTrace begins a request of OTLP JSON, or an answer of Tempo or Jaeger.
var ofTrace = regexp.MustCompile(`^\s*\[?\s*\{\s*"(resourceSpans|batches|trace|data"\s*:\s*\[\s*\{\s*"(traceID|spans|processes))"\s*:`)

func newPhasesCommand() *cobra.Command {
	var (
		asJSON   bool
		engine   string
		exitCode int
		ended    bool
		shown    display
	)
	cmd := &cobra.Command{
		Use:   "phases LOG",
		Short: "Print the phases in the log of an engine",
		Long: `Reads what a model server wrote while it started ("-": standard input) with the
recipes that the wrapper uses in the container, and prints the phases, figures
and outcome it finds. Times are those in the lines.`,
		Example: `  coldtrace phases engine.log
  kubectl logs -n models deploy/llama --timestamps |
    coldtrace phases - --json`,
		Args: one("name a log of an engine, or - for standard input: coldtrace phases LOG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			boundHeap(heapPhases)
			in, err := input(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			options := recipe.LogOptions{Engine: engine, Ended: ended}
			if cmd.Flags().Changed("exit-code") {
				if exitCode < 0 || exitCode > 255 {
					return fmt.Errorf("--exit-code %d: want 0 to 255; 128+n says that signal n ended it", exitCode)
				}
				options.Exit = &recipe.Exit{Code: exitCode}
			}
			log, err := recipe.Plain(in)
			if err != nil {
				return fmt.Errorf("read %s: %w", args[0], err)
			}
			if begin, _ := log.Peek(1 << 12); ofTrace.Match(begin) || ofCapture.Match(begin) {
				return fmt.Errorf("%s holds traces or a capture, no log: coldtrace trace reads it", args[0])
			}
			result, err := recipe.ReadLog(log, options)
			if err != nil {
				return fmt.Errorf("read %s: %w", args[0], err)
			}
			if result.Cut {
				cmd.PrintErrf("%s is cut short: this is what can be read of it.\n", args[0])
			}
			if asJSON {
				return printPhasesJSON(cmd.OutOrStdout(), result)
			}
			return printPhases(cmd.OutOrStdout(), result, shown.columns(cmd.OutOrStdout()))
		},
	}
	shown.widthFlag(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().StringVar(&engine, "engine", "", "the engine whose log it is (vllm, sglang, tgi, …); default: the one recognised")
	completeFlag(cmd, "engine", recipe.Engines()...)
	cmd.Flags().IntVar(&exitCode, "exit-code", 0, "the status the engine ended with, if it is known; 128+n for signal n")
	cmd.Flags().BoolVar(&ended, "ended", false, "the engine is known to have ended, though not how")
	return cmd
}

// phasesDocument is the JSON form; design section 9.
type phasesDocument struct {
	Engine  string          `json:"engine"`
	Version string          `json:"version,omitempty"`
	Outcome recipe.Outcome  `json:"outcome"`
	Reason  startup.Reason  `json:"reason,omitempty"`
	Phases  []phaseDocument `json:"phases"`
	Figures map[string]any  `json:"figures"`
	// NamedShare is of the time from the engine's begin to ready, or to the end.
	NamedShare float64           `json:"named_share"`
	Silences   []silenceDocument `json:"silences"`
	Launches   []launchDocument  `json:"attempts"` // launches before the last
}

// silenceDocument has no lines: those are for who reads them here, not for what takes JSON elsewhere.
type silenceDocument struct {
	Start    time.Time `json:"start"`
	Duration float64   `json:"duration_seconds"`
	Phase    string    `json:"phase,omitempty"`
	After    string    `json:"after,omitempty"`
	Before   string    `json:"before,omitempty"`
}

type launchDocument struct {
	Start    time.Time      `json:"start"`
	Duration float64        `json:"duration_seconds"`
	Outcome  recipe.Outcome `json:"outcome"`
	Reason   startup.Reason `json:"reason,omitempty"`
}

// phaseDocument has no times, and a duration only where a line states one, of a log whose lines have none.
type phaseDocument struct {
	Name     string         `json:"name"`
	Key      string         `json:"key"` // name, or name/2: what parent names
	Parent   string         `json:"parent,omitempty"`
	Start    time.Time      `json:"start,omitzero"`
	End      time.Time      `json:"end,omitzero"`
	Duration *float64       `json:"duration_seconds,omitempty"`
	Failure  startup.Reason `json:"failure,omitempty"`
	Attrs    map[string]any `json:"attributes,omitempty"`
}

func printPhasesJSON(w io.Writer, r recipe.Result) error {
	doc := phasesDocument{
		Engine: r.Engine, Version: r.Version, Outcome: r.Outcome, Reason: r.Reason, Figures: r.Figures,
		Phases: []phaseDocument{}, NamedShare: r.Named, Silences: []silenceDocument{}, Launches: []launchDocument{},
	}
	for _, s := range r.Silences {
		doc.Silences = append(doc.Silences, silenceDocument{s.Start, s.Length().Seconds(), s.Phase, s.After, s.Before})
	}
	for _, a := range r.Earlier {
		doc.Launches = append(doc.Launches, launchDocument{a.Start, a.End.Sub(a.Start).Seconds(), a.Outcome, a.Reason})
	}
	for _, p := range r.Phases {
		d := phaseDocument{Name: p.Name, Key: p.Key, Parent: p.ParentKey, Failure: p.Failure, Attrs: startup.Figures(p.Attributes)}
		if !r.Untimed {
			d.Start, d.End = p.Start, p.End
		}
		if length, known := lengthOf(p, r.Untimed); known {
			d.Duration = &length
		}
		doc.Phases = append(doc.Phases, d)
	}
	return text.WriteJSON(w, doc)
}

// lengthOf is how many seconds a phase took, if that is known.
func lengthOf(p startup.Span, untimed bool) (float64, bool) {
	if _, states := p.Attribute("stated_seconds"); untimed && !states {
		return 0, false
	}
	return p.End.Sub(p.Start).Seconds(), true
}

// printPhases writes no line that is wider than width, but for the first.
func printPhases(w io.Writer, r recipe.Result, width int) error {
	outcome := string(r.Outcome)
	if r.Reason != "" {
		outcome += " (" + string(r.Reason) + ")"
	}
	var out, b strings.Builder
	begin, sep := text.Printable(r.Engine+" "+r.Version), "  "
	if text.Columns(begin+sep+outcome) > width {
		sep = "\n  "
	}
	fmt.Fprintf(&out, "%s%s%s\n\n", begin, sep, outcome) // whole, however wide: what follows may be cut
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PHASE\tSTART\tSECONDS\t")
	depth := map[string]int{}
	for _, p := range r.Phases {
		if p.ParentKey != "" {
			depth[p.Key] = depth[p.ParentKey] + 1
		}
		start, seconds := "-", "-"
		if !r.Untimed {
			start = p.Start.Format(time.TimeOnly)
		}
		if length, known := lengthOf(p, r.Untimed); known {
			seconds = strconv.FormatFloat(length, 'f', 2, 64)
		}
		fmt.Fprintf(t, "%s%s\t%s\t%s\t%s\n", strings.Repeat("  ", depth[p.Key]), p.Name, start, seconds, p.Failure)
	}
	fmt.Fprintln(t, "\nFIGURE\tVALUE")
	for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
		fmt.Fprintf(t, "%s\t%v\n", name, r.Figures[name])
	}
	if len(r.Earlier) > 0 {
		fmt.Fprintln(t, "\nBEFORE THAT\tSECONDS\tOUTCOME\tREASON")
	}
	for _, a := range r.Earlier {
		fmt.Fprintf(t, "%s\t%.2f\t%s\t%s\n", a.Start.Format(time.TimeOnly), a.End.Sub(a.Start).Seconds(), a.Outcome, a.Reason)
	}
	_ = t.Flush() // into memory
	addSilences(&prose{w: &b, columns: width}, r)
	for line := range strings.Lines(b.String()) { // what is cut of a table is a reason, which stands above it
		fmt.Fprintln(&out, strings.TrimRight(text.Clip(text.Printable(strings.TrimSuffix(line, "\n")), width), " "))
	}
	if _, err := io.WriteString(w, out.String()); err != nil {
		return fmt.Errorf("print phases: %w", err)
	}
	return nil
}

// addSilences shows the longest times without a line, and the lines around them.
func addSilences(w *prose, r recipe.Result) {
	w.gap()
	if r.Untimed {
		w.hang("", "No line has a time: lengths are those that lines state.")
		return
	}
	named := fmt.Sprintf("%.1f %% of the time has a name.", 100*r.Named)
	if len(r.Silences) > 0 {
		named += " The longest silences:"
	}
	w.hang("", named)
	for _, s := range r.Silences {
		w.gap()
		w.hang("", fmt.Sprintf("%.0f s from %s on, in %s, after %s, before %s", s.Length().Seconds(), s.Start.Format(time.TimeOnly),
			cmp.Or(s.Phase, "nothing"), cmp.Or(s.After, "nothing"), cmp.Or(s.Before, "nothing")))
		for _, line := range s.Lines {
			w.hang("  ", text.Printable(line))
		}
	}
}
