// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coldtrace/coldtrace/capture"
	"github.com/coldtrace/coldtrace/cluster"
	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/advice"
)

type traceFlags struct {
	source    source
	selection trace.Selection
	html      string
	display
	follow  bool
	timeout time.Duration // of following a pod
	list    bool
	output  string
}

func newTraceCommand() *cobra.Command {
	var flags traceFlags
	cmd := &cobra.Command{
		Use:   "trace [POD | KIND/NAME | FILE]…",
		Short: "Draw a cold start as a waterfall: of any pod, or from a file",
		Long: `Draw a cold start as a waterfall.

Of a pod, running, failed or long ready, with nothing installed: NAME, pod/NAME,
or the pods of a KIND/NAME, as kubectl takes kinds: deploy, rs, sts, ds, job,
rc, svc, lws, isvc, raycluster, jobset, pcsg; with -l those with labels; with
nothing all pods of the namespace. What happened around
the containers is read from the pod and its events, what happened inside from
the container's log.

A FILE ("-": standard input) holds one of these, which need not be said:

  OTLP JSON  as the OpenTelemetry Collector's file exporter writes it, in any
             layout
  an answer  of Tempo (/api/traces/ID, /api/v2/traces/ID) or Jaeger
             (/api/traces/ID, /api/v3/traces/ID), or a download from their UIs
  a capture  of coldtrace capture: what the watcher would tell of it, and what
             still goes on

Of several starts, all are listed and the newest is drawn.`,
		Example: `  coldtrace trace deploy/llama -n models
  coldtrace trace -n models -l app=llama --since 2h
  coldtrace trace traces.jsonl
  coldtrace trace traces.jsonl --pod deploy/llama-3-1-8b-instruct \
    --html s.html
  coldtrace trace deploy/llama -n models -o otlp >traces.jsonl
  curl -s http://tempo:3200/api/traces/5a44de008fd208065638a802730aea79 |
    coldtrace trace -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if flags.output != "" && flags.output != "otlp" {
				return fmt.Errorf("-o %s: want otlp", flags.output)
			}
			if flags.output != "" && flags.html != "" {
				return errors.New("-o writes spans and --html a page: not both")
			}
			if flags.output != "" && flags.list {
				return errors.New("-o writes spans and --list a list: not both")
			}
			if err := flags.source.fits(cmd, args); err != nil {
				return err
			}
			if files, names := flags.source.split(cmd, args); flags.follow && len(files) == 0 {
				return followPods(cmd, names, flags)
			}
			if flags.follow {
				return followTrace(cmd, args, flags)
			}
			return runTrace(cmd, args, flags)
		},
		ValidArgsFunction: flags.source.completePods,
	}
	flags.source.flags(cmd)
	flags.displayFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.selection.TraceID, "trace-id", "", "draw the trace with this id, or this beginning of one")
	f.StringVar(&flags.selection.PodUID, "pod-uid", "", "draw the start of the pod with this UID")
	f.StringVar(&flags.selection.Pod, "pod", "", "draw the start of the pod with this name, or whose name begins with it: NAME, NAMESPACE/NAME, deploy/NAME")
	f.StringVarP(&flags.output, "output", "o", "", "otlp: write OTLP JSON lines instead of a drawing")
	completeFlag(cmd, "output", "otlp")
	f.BoolVar(&flags.list, "list", false, "list all starts and draw none")
	f.StringVar(&flags.html, "html", "", "also write the start as an HTML page to this file (\"-\": to standard output, instead)")
	f.BoolVar(&flags.follow, "follow", false, "draw a pod's start while it happens, and exit 0 when it is ready, 1 when it failed, 2 where nobody knows; draw again whenever a file grows")
	f.DurationVar(&flags.timeout, "timeout", 0, "with --follow: how long to wait for the end of a pod's start, such as 20m")
	return cmd
}

func runTrace(cmd *cobra.Command, args []string, flags traceFlags) error {
	spans, readErr := readSpans(cmd, args, &flags.source)
	all := trace.Build(spans)
	flags.selection.Pod = withoutKind(flags.selection.Pod)
	traces, others := flags.selection.Apply(all)
	if len(traces) == 0 {
		if readErr != nil {
			return readErr
		}
		if others > 0 {
			return notThere(trace.Pods(all), others, cmd.Flags())
		}
		return errors.New("no spans in the input; coldtrace trace --help says what can be read")
	}
	out := cmd.OutOrStdout()
	if flags.output == "otlp" {
		return errors.Join(readErr, trace.Write(out, spansIn(spans, traces)))
	}
	if flags.selection.TraceID == "" && flags.selection.PodUID == "" {
		traces = trace.Collapse(traces)
	}
	done, err := writePage(out, flags.html, func() ([]byte, error) {
		peers := advice.Of(traces)
		return trace.Page(traces, traces[0], func(t *trace.Trace) []trace.Advised { return advice.Advised(t, peers, mostAdvice) })
	})
	if done || err != nil {
		return errors.Join(err, readErr)
	}
	if err := draw(out, traces, others, flags); err != nil {
		return fmt.Errorf("write the drawing: %w", err)
	}
	return readErr
}

// spansIn are those of some traces.
func spansIn(spans []*trace.Span, traces []*trace.Trace) []*trace.Span {
	return slices.DeleteFunc(spans, func(s *trace.Span) bool {
		return !slices.ContainsFunc(traces, func(t *trace.Trace) bool { return t.ID == s.TraceID })
	})
}

// tableRows are listed before a drawing, the newest first.
const tableRows = 20

// notThere says which pods there are, where it was not the one asked for.
func notThere(pods []string, traces int, flags *pflag.FlagSet) error {
	var asked []string
	for _, name := range []string{"trace-id", "pod-uid", "pod"} {
		if f := flags.Lookup(name); f.Changed {
			asked = append(asked, "--"+name+" "+f.Value.String())
		}
	}
	text := fmt.Sprintf("of the %d traces in the input none is that of %s", traces, strings.Join(asked, " "))
	if len(pods) == 0 {
		return errors.New(text)
	}
	text += "; there are these pods:\n  " + strings.Join(pods[:min(tableRows, len(pods))], "\n  ")
	if more := len(pods) - tableRows; more > 0 {
		text += fmt.Sprintf("\n  and %d more", more)
	}
	return errors.New(text)
}

// mostAdvice is said of a start.
const mostAdvice = 3

func draw(out io.Writer, traces []*trace.Trace, others int, flags traceFlags) error {
	options := flags.terminal(out)
	if flags.list {
		_, err := io.WriteString(out, trace.Table(traces, nil, options))
		return err
	}
	var drawing bytes.Buffer
	if len(traces) > 1 {
		options.Rows = tableRows
		drawing.WriteString(trace.Table(traces, traces[0], options) + "\n")
	}
	drawing.WriteString(trace.Waterfall(traces[0], options))
	drawing.WriteString(advice.Text(advice.For(traces[0], advice.Of(traces)), mostAdvice, options))
	if others > 0 && flags.selection == (trace.Selection{}) {
		(&prose{w: &drawing, columns: options.Columns()}).hang("",
			fmt.Sprintf("left out, because they are not starts: %d (--trace-id draws one)", others))
	}
	_, err := drawing.WriteTo(out)
	return err
}

// mostProblems are said of one file: what is no trace at all would fill the screen.
const mostProblems = 5

// readSpans reads what can be read. What can't is said on standard error; the error is of files that couldn't be read.
func readSpans(cmd *cobra.Command, args []string, from *source) ([]*trace.Span, error) {
	var (
		all          []*trace.Span
		errs         []error
		files, names = from.split(cmd, args)
	)
	if len(names) > 0 || len(files) == 0 {
		starts, err := from.starts(cmd, names)
		if err != nil {
			errs = append(errs, err)
		}
		all = drawn(starts)
	}
	var stored []*trace.Span
	for _, name := range files {
		spans, problems, err := readFile(cmd, name, from.without)
		stored = append(stored, spans...)
		shown := eachOnce(problems)
		shown = shown[:min(len(shown), mostProblems)]
		for _, p := range shown {
			cmd.PrintErrln("coldtrace:", p)
		}
		if more := len(problems) - len(shown); more > 0 {
			cmd.PrintErrf("coldtrace: %s: and %d more that can't be read\n", name, more)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	stored, err := from.recent(stored, time.Now())
	if err != nil {
		errs = append(errs, err)
	}
	return append(all, stored...), errors.Join(errs...)
}

var digits = regexp.MustCompile(`[0-9]+`)

// eachOnce are problems without those that say what was said of an earlier line, but for the place in it.
func eachOnce(problems []trace.Problem) (out []trace.Problem) {
	said := map[string]bool{}
	for _, p := range problems {
		what := digits.ReplaceAllString(p.What, "")
		if !said[what] {
			out = append(out, p)
		}
		said[what] = true
	}
	return out
}

// Lines of a capture's first document, and of what kubectl takes.
var (
	ofCapture  = regexp.MustCompile(`(?m)^kind: ` + capture.Kind + `\s*$`)
	ofManifest = regexp.MustCompile(`(?m)^kind: [A-Z]\w+\s*$`)
)

func readFile(cmd *cobra.Command, name string, without []string) ([]*trace.Span, []trace.Problem, error) {
	file, err := input(cmd.InOrStdin(), name)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	if name == "-" {
		name = "stdin"
	}
	in, err := recipe.Plain(file)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", name, err)
	}
	begin, _ := in.Peek(1 << 12) // what ends here is shorter; another error comes again
	if ofCapture.Match(begin) {
		return readCapture(name, in)
	}
	if ofManifest.Match(begin) {
		return nil, nil, fmt.Errorf("%s is a manifest, and no trace: coldtrace explain -f %s says what becomes of its pods, coldtrace trace KIND/NAME asks the cluster", name, name)
	}
	spans, problems, err := trace.Read(name, in, without...)
	if err == nil && len(spans) == 0 && len(problems) > 0 && !bytes.HasPrefix(bytes.TrimSpace(begin), []byte("{")) {
		err = fmt.Errorf("%s holds no traces; if it is the log of an engine, coldtrace phases reads it", name)
	}
	return spans, problems, err
}

// readCapture is what the watcher would tell of the pods in a capture, and what still goes on.
func readCapture(name string, r io.Reader) ([]*trace.Span, []trace.Problem, error) {
	starts, err := capture.Starts(r)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, slip(nil, err))
	}
	var all []cluster.Start
	for _, s := range starts {
		all = append(all, cluster.Start{Subject: s.Subject, Outside: s.Spans, Inside: s.Inside})
	}
	return drawn(all), nil, nil
}
