// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/coldtrace/coldtrace/cluster"
	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/text"
)

const (
	lookEvery = 500 * time.Millisecond
	// The drawings have a screen of their own, so that what was on the terminal before stays there, with what was
	// scrolled out of sight; the last drawing is left on it.
	otherScreen = "\x1b[?1049h"
	firstScreen = "\x1b[?1049l"
	clearScreen = "\x1b[H\x1b[2J"
)

// followTrace draws whenever one of the files has changed, until the user has seen enough.
func followTrace(cmd *cobra.Command, files []string, flags traceFlags) error {
	out := screen(cmd.OutOrStdout())
	if out == nil {
		return errors.New("--follow of a file draws on a terminal only, and standard output is none; without it a file is drawn or listed once")
	}
	if slices.Contains(files, "-") {
		return errors.New("--follow reads files, not standard input: name a file")
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	if err := redraw(cmd, out, look.C, files, flags); err != nil {
		return err
	}
	return runTrace(cmd, files, flags)
}

// redraw draws on a screen of its own until the command is interrupted.
func redraw(cmd *cobra.Command, out *os.File, look <-chan time.Time, files []string, flags traceFlags) (err error) {
	write := func(sequence string) {
		if _, failed := out.WriteString(sequence); err == nil && failed != nil {
			err = fmt.Errorf("write to the terminal: %w", failed)
		}
	}
	write(otherScreen)
	defer write(firstScreen)
	last := ""
	for err == nil {
		if now := state(files); now != last {
			last = now
			write(clearScreen)
			// A file that isn't there yet, or has no spans yet, is what one waits for.
			if err := runTrace(cmd, files, flags); err != nil {
				cmd.PrintErrln("coldtrace: waiting:", err)
			}
		}
		select {
		case <-cmd.Context().Done():
			return nil
		case <-look:
		}
	}
	return err
}

// state differs whenever a file has.
func state(files []string) string {
	var text strings.Builder
	for _, name := range files {
		if info, err := os.Stat(name); err == nil {
			fmt.Fprintln(&text, info.Size(), info.ModTime().UnixNano())
		} else {
			fmt.Fprintln(&text, "none")
		}
	}
	return text.String()
}

// exitStatus is an end that is told already: the process exits with it and says no more.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// Ends of a start that is followed.
const (
	followedFailed  exitStatus = 1
	followedUnknown exitStatus = 2
)

// lookAtPods is how often the cluster is asked.
const lookAtPods = time.Second

// followPods draws the newest start of some pods while it happens: in place on a terminal, elsewhere a line for each phase
// as it ends. It ends with the start, by its outcome.
func followPods(cmd *cobra.Command, names []string, flags traceFlags) error {
	ctx := cmd.Context()
	if flags.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, flags.timeout)
		defer cancel()
	}
	flags.source.reader.Progress = &cluster.Progress{}
	out := screen(cmd.OutOrStdout())
	f := follower{cmd: cmd, flags: flags, inPlace: out != nil, told: map[string]bool{}}
	err := f.follow(ctx, names)
	if f.inPlace && f.last != nil {
		fmt.Fprint(out, firstScreen)
		if failed := draw(out, f.last, 0, flags); err == nil && failed != nil {
			err = fmt.Errorf("write the drawing: %w", failed)
		}
	}
	for _, m := range f.missing {
		cmd.PrintErrln("coldtrace:", m)
	}
	return err
}

// follower is what has been told of a start.
type follower struct {
	cmd     *cobra.Command
	flags   traceFlags
	inPlace bool
	told    map[string]bool // by id of a span
	last    []*trace.Trace
	others  []*trace.Trace // to compare with: asked for, too, or of the same owner
	missing []string

	siblings []*trace.Trace
	waiting  string // for what; each is said once
}

func (f *follower) follow(ctx context.Context, names []string) error {
	for {
		traces, missing, err := f.flags.source.look(ctx, names)
		switch {
		case ctx.Err() != nil:
			return followedUnknown
		case f.last != nil && apierrors.IsNotFound(err):
			f.cmd.PrintErrln("coldtrace:", err)
			return followedUnknown // gone without a word of how
		case err != nil && f.waiting != err.Error():
			f.waiting = err.Error()
			f.cmd.PrintErrln("coldtrace: waiting:", f.waiting)
		case err == nil && len(traces) > 0:
			if f.last == nil && len(traces) == 1 {
				if f.siblings, err = f.flags.source.siblings(ctx, names); err != nil && ctx.Err() == nil {
					f.cmd.PrintErrln("coldtrace: what is usual is not known:", err)
				}
			}
			f.last, f.missing, f.others = traces, missing, slices.Concat(traces[1:], f.siblings)
			if err := f.tell(); err != nil {
				return err
			}
			if over, end := conclusion(traces[0]); over {
				return end
			}
		}
		select {
		case <-ctx.Done():
			return followedUnknown
		case <-time.After(lookAtPods):
		}
	}
}

// conclusion tells whether a start is over, and how.
func conclusion(t *trace.Trace) (over bool, how error) {
	switch o := t.Outcome(); {
	case o.Failed():
		return true, followedFailed
	case o.InProgress() || len(t.Open()) > 0:
		return false, nil
	}
	return true, nil
}

func (f *follower) tell() error {
	out, t := f.cmd.OutOrStdout(), f.last[0]
	if f.inPlace {
		if len(f.told) == 0 {
			f.told[""] = true
			fmt.Fprint(out, otherScreen)
		}
		fmt.Fprint(out, clearScreen)
		if err := draw(out, f.last[:1], 0, f.flags); err != nil {
			return err
		}
		_, err := fmt.Fprintln(out, t.Now(f.others, time.Now()))
		return err //nolint:wrapcheck // of the terminal
	}
	nodes := t.Ended()
	slices.SortStableFunc(nodes, func(a, b *trace.Node) int { return a.End.Compare(b.End) })
	fresh := false
	for _, n := range nodes {
		if f.told[n.ID] {
			continue
		}
		f.told[n.ID] = true
		line := fmt.Sprintf("%s  %-26s %8s", n.End.UTC().Format("15:04:05.000"), n.Label(), text.Seconds(n.Duration()))
		if usual := trace.Usual(f.others, n.Name); usual != "" {
			line += "  usually " + usual
		}
		if n.Failed {
			line += "  " + n.Reason()
		}
		fresh = true
		if _, err := fmt.Fprintln(out, line); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	if now := t.Now(f.others, time.Now()); fresh && now != "" {
		if _, err := fmt.Fprintf(out, "%-14snow: %s\n", "", now); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}
