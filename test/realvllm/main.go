// SPDX-License-Identifier: Apache-2.0

// Command realvllm holds coldtrace against real engines: see README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
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

// errWrong is of a cell that its row has told of.
var errWrong = errors.New("wrong")

func failed(err error) outcome { return outcome{faults: []string{err.Error()}} }

// bench is what cells share.
type bench struct {
	place
	bin     string   // where make build put coldtrace
	scratch string   // a folder of this process's
	own     sync.Map // process ids that somebody waits for
}

func main() {
	pattern := flag.String("cells", "", "regular expression of the cells to run; empty: all")
	short := flag.Bool("short", false, "only a fair picture")
	list := flag.Bool("list", false, "print the cells' names and end")
	one := flag.Bool("one", false, "run the cells here, one after the other; what is installed is not looked at")
	jobs := flag.Int("jobs", runtime.NumCPU(), "how many cells run at a time; those that are wrong run again, alone")
	dir := flag.String("dir", ".cluster/real-vllm", "folder for all that is installed and written")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	chosen, err := choose(*pattern, *short)
	switch {
	case err != nil:
	case *list:
		for _, c := range chosen {
			fmt.Println(c.name)
		}
	default:
		err = realvllm(ctx, *dir, chosen, *one, *jobs)
	}
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	stop()
	if err != nil {
		if !errors.Is(err, errWrong) {
			fmt.Fprintln(os.Stderr, "realvllm:", err)
		}
		os.Exit(1)
	}
}

func choose(pattern string, short bool) (chosen []cell, err error) {
	wanted, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	for _, c := range cells() {
		if wanted.MatchString(c.name) && (c.short || !short) {
			chosen = append(chosen, c)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no cell is called %s", pattern)
	}
	return chosen, nil
}

func realvllm(ctx context.Context, dir string, chosen []cell, one bool, jobs int) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	bin, err := filepath.Abs("bin")
	if err != nil {
		return err
	}
	b := &bench{place: place(dir), bin: bin}
	if one {
		return b.here(ctx, chosen)
	}
	if err := b.prepare(ctx, chosen); err != nil {
		return err
	}
	return b.all(ctx, chosen, jobs)
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

// all prints a row for each cell. Each runs in a process of its own, so that what it leaves is found among its descendants.
func (b *bench) all(ctx context.Context, chosen []cell, jobs int) error {
	fmt.Printf("%d cells. Seconds since the command was started: our own clock's, coldtrace's, the difference; the load.\n\n", len(chosen))
	fmt.Printf("%-38s %8s %8s %8s %5s\n", "", "own", "told", "diff", "load")
	suspects, err := b.away(ctx, chosen, jobs)
	if err != nil {
		return err
	}
	var wrong []cell
	if len(suspects) > 0 {
		fmt.Printf("\nAgain, alone:\n")
		// A server that is killed as it compiles leaves half a library in the cache of all, and every later one dies of it.
		if err := os.RemoveAll(b.at("work", "tmp")); err != nil {
			return err
		}
		if err := os.MkdirAll(b.at("work", "tmp"), 0o755); err != nil { //nolint:gosec // nothing secret
			return err
		}
		if wrong, err = b.away(ctx, suspects, 1); err != nil {
			return err
		}
	}
	fmt.Printf("\n%d of %d cells are right. What the servers wrote is in %s.\n", len(chosen)-len(wrong), len(chosen), b.at("log"))
	if len(wrong) > 0 {
		return fmt.Errorf("%d cells are wrong", len(wrong))
	}
	return nil
}

// away runs cells in processes of their own and returns those that are wrong.
func (b *bench) away(ctx context.Context, chosen []cell, jobs int) (wrong []cell, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	todo := make(chan cell, len(chosen))
	for _, c := range chosen {
		todo <- c
	}
	close(todo)
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range max(1, jobs) {
		workers.Go(func() {
			for c := range todo {
				cmd := exec.CommandContext(ctx, self, "-one", "-dir", b.at(), "-cells", "^"+regexp.QuoteMeta(c.name)+"$")
				cmd.Stderr = os.Stderr
				cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
				cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
				row, e := cmd.Output()
				mu.Lock()
				fmt.Print(string(row))
				if e != nil {
					wrong = append(wrong, c)
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return wrong, ctx.Err()
}

// here runs cells in this process, which all orphans of theirs come to.
func (b *bench) here(ctx context.Context, chosen []cell) (err error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the subreaper: %w", err)
	}
	b.scratch = b.at("work", strconv.Itoa(os.Getpid()))
	if err := os.MkdirAll(b.scratch, 0o755); err != nil { //nolint:gosec // nothing secret
		return err
	}
	defer os.RemoveAll(b.scratch)
	for _, c := range chosen {
		o := c.run(ctx, b)
		b.sweep()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fmt.Println(o.row(c.name))
		if len(o.faults) > 0 {
			err = errWrong
		}
	}
	return err
}

// row is a line of the table.
func (o *outcome) row(name string) string {
	verdict := "ok"
	if len(o.faults) > 0 {
		verdict = "WRONG: " + strings.Join(o.faults, "; ")
	}
	return fmt.Sprintf("%-38s %8s %8s %8s %5s %s", name, seconds(o.own, o.own), seconds(o.told, o.told), seconds(o.told-o.own, min(o.told, o.own)), load(),
		strings.Join(strings.Fields(verdict+" "+o.note), " "))
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
