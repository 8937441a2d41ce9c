// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// wanted is what flags take, by their type.
var wanted = map[string]string{
	"int": "a whole number, such as 3", "int64": "a number of bytes, such as 16777216", "float64": "a number, such as 2.5", "bool": "true or false",
	"duration": "a duration, such as 90s, 20m or 2h", "stringToString": "KEY=VALUE", columnsType: "a number of columns, such as 120",
}

// mistyped says which flag was mistyped, and what it takes.
func mistyped(cmd *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		alone   *pflag.ValueRequiredError
		bad     *pflag.InvalidValueError
	)
	switch {
	case !cmd.HasParent() && cmd.Flags().NArg() > 0: // the flag is that of a command which is mistyped itself
		return noCommand(cmd, cmd.Flags().Args())
	case errors.As(err, &unknown):
		var flags []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { flags = append(flags, f.Name) })
		name, dash := unknown.GetSpecifiedName(), "--"
		if unknown.GetSpecifiedShortnames() != "" {
			dash = "-"
		}
		return fmt.Errorf("%s has no flag %s%s%s; %s --help lists those it has", cmd.CommandPath(), dash, name, isMeant("--", name, "", flags), cmd.CommandPath())
	case errors.As(err, &alone):
		f := alone.GetFlag()
		return fmt.Errorf("--%s wants %s: %s", f.Name, cmp.Or(wanted[f.Value.Type()], "a value"), cmp.Or(alsoOurs[f.Name], f.Usage))
	case errors.As(err, &bad) && wanted[bad.GetFlag().Value.Type()] != "":
		return fmt.Errorf("--%s %s: want %s", bad.GetFlag().Name, bad.GetValue(), wanted[bad.GetFlag().Value.Type()])
	}
	return err
}

// isMeant asks whether one of the words there are was meant by another, between what stands before and behind it; empty if none is
// like it.
func isMeant(before, word, behind string, words []string) string {
	known := &cobra.Command{SuggestionsMinimumDistance: 1 + len(word)/5} // which knows how to guess
	for _, w := range words {
		known.AddCommand(&cobra.Command{Use: w, Run: func(*cobra.Command, []string) {}})
	}
	if like := known.SuggestionsFor(word); len(like) > 0 {
		return fmt.Sprintf("; is %s%s%s meant?", before, like[0], behind)
	}
	return ""
}

// nothing refuses arguments.
func nothing(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, and %q is one; %s --help says what it takes", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}

// one refuses all but one argument out of some words; wanted says what they are.
func one(wanted string, words ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) != 1:
			return errors.New(wanted)
		case len(words) > 0 && cobra.OnlyValidArgs(cmd, args) != nil:
			return fmt.Errorf("there is no %s %q%s; %s", cmd.Name(), args[0], isMeant("", args[0], "", words), wanted)
		}
		return nil
	}
}

// open opens a file that somebody named.
func open(name string) (*os.File, error) {
	f, err := os.Open(name) //nolint:gosec // the user names it
	if err != nil {
		return nil, unopened(name, err)
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		f.Close()
		return nil, unopened(name, syscall.EISDIR)
	}
	return f, nil
}

// input is a file that somebody named, or standard input, whose name is -.
func input(stdin io.Reader, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(stdin), nil
	}
	return open(name)
}

// unopened says why a file can't be read or written, and what to do.
func unopened(name string, err error) error {
	switch folder := filepath.Dir(name); {
	case errors.Is(err, syscall.EISDIR):
		return fmt.Errorf("%s is a folder: name a file in it", name)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no right to open %s; ls -l %s shows whose it is", name, name)
	case errors.Is(err, fs.ErrNotExist) && !isFile(folder):
		return fmt.Errorf("there is no folder %s, and so no file %s in it", folder, filepath.Base(name))
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no file %s", name)
	}
	return err
}

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
