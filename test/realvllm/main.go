// SPDX-License-Identifier: Apache-2.0

// Command realvllm holds coldtrace against real engines: see README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cell is one thing that is tried.
type cell struct {
	name   string
	short  bool
	engine engine
	run    func(ctx context.Context, b *bench) outcome
}

// outcome is what a cell showed. A cell is right if it has no fault.
type outcome struct {
	own, told time.Duration // since the command was started; 0: not asked
	note      string
	faults    []string
}

func (o *outcome) fault(format string, args ...any) {
	o.faults = append(o.faults, fmt.Sprintf(format, args...))
}

func failed(err error) outcome { return outcome{faults: []string{err.Error()}} }

// bench is what cells share.
type bench struct {
	place
	bin string   // where make build put coldtrace
	own sync.Map // process ids that somebody waits for
}

func main() {
	pattern := flag.String("cells", "", "regular expression of the cells to run; empty: all")
	short := flag.Bool("short", false, "only a fair picture")
	list := flag.Bool("list", false, "print the cells' names and end")
	dir := flag.String("dir", ".cluster/real-vllm", "folder for all that is installed and written")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := realvllm(ctx, *dir, *pattern, *short, *list)
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "realvllm:", err)
		os.Exit(1)
	}
}

func realvllm(ctx context.Context, dir, pattern string, short, list bool) error {
	wanted, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	var chosen []cell
	for _, c := range cells() {
		if wanted.MatchString(c.name) && (c.short || !short) {
			chosen = append(chosen, c)
		}
	}
	if list {
		for _, c := range chosen {
			fmt.Println(c.name)
		}
		return nil
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no cell is called %s", pattern)
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return err
	}
	bin, err := filepath.Abs("bin")
	if err != nil {
		return err
	}
	b := &bench{place: place(dir), bin: bin}
	defer b.sweep()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the subreaper: %w", err)
	}
	if err := b.prepare(ctx, chosen); err != nil {
		return err
	}
	return b.all(ctx, chosen)
}

// prepare installs what the cells run.
func (b *bench) prepare(ctx context.Context, chosen []cell) error {
	var wanted []engine
	for _, e := range engines {
		for _, c := range chosen {
			if c.engine.version == e.version {
				wanted = append(wanted, e)
				break
			}
		}
	}
	for _, name := range []string{"log", "work/tmp"} {
		if err := os.MkdirAll(b.at(name), 0o755); err != nil { //nolint:gosec // nothing secret
			return err
		}
	}
	if err := b.install(ctx, wanted); err != nil {
		return err
	}
	return os.WriteFile(b.at("work", "logging.json"), []byte(jsonLogging), 0o600)
}

// all runs cells one after the other, since each is a clock, and prints a row for each.
func (b *bench) all(ctx context.Context, chosen []cell) error {
	fmt.Printf("%d cells. Seconds since the command was started: our own clock's, coldtrace's, the difference; the load.\n\n", len(chosen))
	fmt.Printf("%-38s %8s %8s %8s %5s\n", "", "own", "told", "diff", "load")
	var wrong []string
	for _, c := range chosen {
		o := c.run(ctx, b)
		b.sweep()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		verdict := "ok"
		if len(o.faults) > 0 {
			verdict = "WRONG: " + strings.Join(o.faults, "; ")
			wrong = append(wrong, c.name)
		}
		fmt.Printf("%-38s %8s %8s %8s %5s %s\n", c.name, seconds(o.own, o.own), seconds(o.told, o.told), seconds(o.told-o.own, min(o.told, o.own)), load(),
			strings.Join(strings.Fields(verdict+" "+o.note), " "))
	}
	fmt.Printf("\n%d of %d cells are right. What the servers wrote is in %s.\n", len(chosen)-len(wrong), len(chosen), b.at("log"))
	if len(wrong) > 0 {
		return errors.New("wrong: " + strings.Join(wrong, ", "))
	}
	return nil
}

// seconds writes a time where there is one.
func seconds(d, there time.Duration) string {
	if there == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f", d.Seconds())
}

func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
