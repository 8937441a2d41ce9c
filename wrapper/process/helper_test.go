// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coldtrace/coldtrace/startup/container"
)

// bin is a folder that every user may look into. In it is this test program, under names that are looked for.
var bin string

// roleEnv makes this test program one of the helpers below.
const roleEnv = "COLDTRACE_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		if err := help(role, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	dir, err := install()
	if err == nil {
		err = os.Setenv("GORACE", "atexit_sleep_ms=0") // or each helper of a -race build stays a second longer
	}
	if err == nil {
		err = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) // as the wrapper is
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	bin = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// oddName is a program's name that reads like the fields after it.
const oddName = "a) R 1 (b"

func install() (string, error) {
	dir, err := os.MkdirTemp("", "coldtrace-process-*")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return "", err
	}
	for _, name := range []string{"s5cmd", oddName} {
		if err := os.WriteFile(filepath.Join(dir, name), self, 0o755); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// help is what the helpers do: hold until standard input ends; copy so many bytes first; watch a
// command; watch a process.
func help(role string, args []string) error {
	switch {
	case role == "watch":
		return helpWatch(args)
	case role == "follow":
		pid, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		return helpFollow(pid)
	case role == "listen" && len(args) > 0:
		return helpListen(args[0], args[1], len(args) > 2)
	case role == "ask":
		return helpAsk(args[0], args[1], args[2:])
	case len(args) == 2 && args[0] == "copy":
		n, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil {
			return err
		}
		zero, err := os.Open("/dev/zero")
		if err != nil {
			return err
		}
		null, err := os.OpenFile("/dev/null", os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		buf := make([]byte, 1<<20)
		for n > 0 {
			b := buf[:min(n, int64(len(buf)))]
			if _, err := io.ReadFull(zero, b); err != nil {
				return err
			}
			if _, err := null.Write(b); err != nil {
				return err
			}
			n -= int64(len(b))
		}
		fmt.Println("copied")
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// helpWatch prints what a watcher sees of a command that it starts.
func helpWatch(argv []string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), roleEnv+"=hold")
	cmd.Stdin = os.Stdin
	if err := cmd.Start(); err != nil {
		return err
	}
	return errors.Join(helpFollow(cmd.Process.Pid), cmd.Wait())
}

// helpFollow prints what a watcher sees of a process until it ends.
func helpFollow(pid int) error {
	out := json.NewEncoder(os.Stdout)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var failed error
	err := watch(ctx, pid, os.Getpid(), func(s sight) {
		failed = errors.Join(failed, out.Encode(s))
		if s.Kind == ended && s.PID == pid {
			stop()
		}
	})
	if err != nil {
		failed = errors.Join(failed, out.Encode(sight{Kind: err.Error()}))
	}
	return failed
}

const (
	became = "became"
	ended  = "ended"
)

// sight is one call of a watcher. Kind is its error if it could not watch.
type sight struct {
	Kind        string
	PID, Parent int
	Argv        []string
	Start, End  time.Time
	IO          container.IO
	Signal      int
}

func watch(ctx context.Context, pid, reaper int, tell func(sight)) error {
	w := New(pid, reaper)
	say := func(kind string) func(*Process) {
		return func(p *Process) {
			p.Watched = true
			tell(sight{kind, p.PID, p.Parent, p.Argv, p.Start, p.End, p.IO, p.Signal})
		}
	}
	w.Became, w.Ended = say(became), say(ended)
	return w.Run(ctx)
}

// command is a started command and what a watcher in this process sees of it.
type command struct {
	*exec.Cmd
	t       *testing.T
	stdin   io.WriteCloser
	stdout  *bufio.Reader
	before  time.Time // it was started after this
	after   time.Time // and before this
	sights  chan sight
	history []sight
	met     map[int]bool // those of history that were awaited
}

// start starts a command in the folder of helpers and watches it.
func start(t *testing.T, reaper int, argv ...string) *command {
	t.Helper()
	c := &command{Cmd: exec.Command(argv[0], argv[1:]...), t: t, sights: make(chan sight, 1000), met: map[int]bool{}}
	c.Dir, c.Env, c.Stderr = bin, append(os.Environ(), roleEnv+"=hold"), os.Stderr
	var err error
	if c.stdin, err = c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.stdout = bufio.NewReader(out)
	c.before = time.Now()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	c.after = time.Now()
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- watch(ctx, c.Process.Pid, reaper, func(s sight) { c.sights <- s }) }()
	t.Cleanup(func() {
		_ = c.stdin.Close()
		_ = c.Wait()
		stop()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	return c
}

// await returns the next sight of a kind of a program with these first arguments.
func (c *command) await(kind string, argv ...string) sight {
	c.t.Helper()
	timeout := time.NewTimer(20 * time.Second)
	defer timeout.Stop()
	for next := 0; ; {
		for ; next < len(c.history); next++ {
			s := c.history[next]
			if !c.met[next] && s.Kind == kind && len(s.Argv) >= len(argv) && slices.Equal(s.Argv[:len(argv)], argv) {
				c.met[next] = true
				return s
			}
		}
		select {
		case s := <-c.sights:
			c.history = append(c.history, s)
		case <-timeout.C:
			c.t.Fatalf("%q was not seen to have %s, only, at last, %+v", argv, kind, c.history[max(0, len(c.history)-5):])
		}
	}
}

// within fails unless a time lies between two others, give or take what the watcher promises.
func within(t *testing.T, what string, got, from, to time.Time) {
	t.Helper()
	const early, late = clockTick + time.Millisecond, 100 * time.Millisecond
	if got.Before(from.Add(-early)) || got.After(to.Add(late)) {
		t.Errorf("%s is %v from its beginning and %v from its end", what, got.Sub(from), got.Sub(to))
	}
}
