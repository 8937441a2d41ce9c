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
	lookEvery   = 500 * time.Millisecond
	clearScreen = "\x1b[H\x1b[2J\x1b[3J"
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
	last := ""
	for {
		if now := state(files); now != last {
			last = now
			if _, err := out.WriteString(clearScreen); err != nil {
				return fmt.Errorf("clear the screen: %w", err)
			}
			// A file that isn't there yet, or has no spans yet, is what one waits for.
			if err := runTrace(cmd, files, flags); err != nil {
				cmd.PrintErrln("coldtrace: waiting:", err)
			}
		}
		select {
		case <-cmd.Context().Done():
			return nil
		case <-look.C:
		}
	}
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
