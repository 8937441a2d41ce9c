// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
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
	width    columns
	noColour bool
	ascii    bool
}

func (d *display) displayFlags(cmd *cobra.Command) {
	d.widthFlag(cmd)
	f := cmd.Flags()
	f.BoolVar(&d.noColour, "no-color", false, "no colours (default: colours on a terminal, unless NO_COLOR is set)")
	f.BoolVar(&d.ascii, "ascii", false, "no box-drawing characters")
}

func (d *display) widthFlag(cmd *cobra.Command) {
	cmd.Flags().Var(&d.width, "width", "columns to draw on (default: the terminal's, else $COLUMNS)")
}

// columns are those for what is read rather than drawn.
func (d *display) columns(out io.Writer) int {
	return cmp.Or(d.terminal(out).Width, helpWidth)
}

// columns is how wide to draw; 0: as wide as the terminal.
type columns int

func (c *columns) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return errors.New(wanted[columnsType])
	}
	*c = columns(n)
	return nil
}

func (c *columns) String() string { return strconv.Itoa(int(*c)) }

func (c *columns) Type() string { return columnsType }

const columnsType = "columns"

// terminal is how to draw on out: in colours and as wide as the terminal is, if it is one.
func (d display) terminal(out io.Writer) trace.Options {
	o := trace.Options{Width: int(d.width), ASCII: d.ascii}
	if file := screen(out); file != nil {
		_, noColour := os.LookupEnv("NO_COLOR")
		o.Colour = !d.noColour && !noColour && os.Getenv("TERM") != "dumb"
		if width, _, err := term.GetSize(int(file.Fd())); err == nil {
			o.Width = cmp.Or(o.Width, width)
		}
	}
	if width, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && width > 0 { // else a shell does not export it
		o.Width = cmp.Or(o.Width, width)
	}
	return o
}

// screen is the terminal that out is; nil: it is none.
func screen(out io.Writer) *os.File {
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return file
	}
	return nil
}

// writePage writes an HTML page to a file, or to out in place of anything else: then that is done. Without a file there is no page.
func writePage(out io.Writer, file string, render func() ([]byte, error)) (done bool, err error) {
	if file == "" {
		return false, nil
	}
	page, err := render()
	if err != nil {
		return false, fmt.Errorf("render HTML page: %w", err)
	}
	if file == "-" {
		_, err = out.Write(page)
	} else {
		err = os.WriteFile(file, page, 0o644) //nolint:gosec // a report, to be opened by others too
	}
	if err != nil {
		return false, fmt.Errorf("--html %s: %w", file, unopened(file, err))
	}
	return file == "-", nil
}
