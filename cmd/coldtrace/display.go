// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/coldtrace/coldtrace/trace"
)

// display is how to draw on a terminal.
type display struct {
	width    int
	noColour bool
	ascii    bool
}

func (d *display) displayFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVar(&d.width, "width", 0, "columns to draw on (default: the terminal's)")
	f.BoolVar(&d.noColour, "no-color", false, "no colours (default: colours on a terminal, unless NO_COLOR is set)")
	f.BoolVar(&d.ascii, "ascii", false, "no box-drawing characters")
}

// terminal is how to draw on out: in colours and as wide as the terminal is, if it is one.
func (d display) terminal(out io.Writer) trace.Options {
	o := trace.Options{Width: d.width, ASCII: d.ascii}
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return o
	}
	_, noColour := os.LookupEnv("NO_COLOR")
	o.Colour = !d.noColour && !noColour && os.Getenv("TERM") != "dumb"
	if o.Width == 0 {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
			o.Width = width
		} else if width, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil {
			o.Width = width
		}
	}
	return o
}

// writePage writes an HTML page to a file, or to out in place of anything else: then that is done.
func writePage(out io.Writer, file string, page []byte) (done bool, err error) {
	if file == "-" {
		_, err = out.Write(page)
	} else {
		err = os.WriteFile(file, page, 0o644) //nolint:gosec // a report, to be opened by others too
	}
	if err != nil {
		return false, fmt.Errorf("write HTML page: %w", err)
	}
	return file == "-", nil
}
