// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
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
	out, ok := cmd.OutOrStdout().(*os.File)
	if !ok || !term.IsTerminal(int(out.Fd())) {
		return errors.New("--follow draws on a terminal only")
	}
	if slices.Contains(files, "-") {
		return errors.New("--follow reads files, not standard input")
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
