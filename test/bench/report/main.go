// SPDX-License-Identifier: Apache-2.0

// Command report makes docs/benchmarks.md of what `go test -bench` printed.
//
//	report bench.txt            the tables on standard output
//	report -o FILE bench.txt    in a file
//
// What is measured, and how to read it, stands in sections.go: a new benchmark is a table more there.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
)

func main() {
	out := flag.String("o", "", "file to write, instead of standard output")
	flag.Parse()
	if err := run(flag.Args(), *out); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(files []string, out string) error {
	if len(files) == 0 {
		return errors.New("read benchmarks: name a file that `go test -bench` wrote")
	}
	results, err := read(files)
	if err != nil {
		return err
	}
	text := render(results)
	if out == "" {
		_, err = os.Stdout.WriteString(text)
		return err
	}
	if err := os.WriteFile(out, []byte(text), 0o644); err != nil { //nolint:gosec // a document
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
