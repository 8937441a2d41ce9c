// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal: what is written to it can be read from the other end.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

func TestFollowLeavesTheTerminalAsItWasAndTheLastDrawingOnIt(t *testing.T) {
	master, slave := terminal(t)
	file := filepath.Join(t.TempDir(), "traces.jsonl")
	lines, err := os.ReadFile(traceFixtures + "ready.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithTimeout(t.Context(), time.Minute)
	defer interrupt()
	cmd := newTraceCommand()
	cmd.SetArgs([]string{"--follow", file, "--no-color", "--width", "100"})
	cmd.SetOut(slave)
	cmd.SetErr(slave)
	done := make(chan error, 1)
	go func() {
		done <- cmd.ExecuteContext(ctx)
		slave.Close()
	}()

	var seen bytes.Buffer
	await := func(what string) {
		t.Helper()
		chunk := make([]byte, 4096)
		for !strings.Contains(seen.String(), what) {
			n, err := master.Read(chunk)
			seen.Write(chunk[:n])
			if err != nil {
				t.Fatalf("%v before %q:\n%s", err, what, seen.String())
			}
		}
	}
	await("waiting:")
	if err := os.WriteFile(file, lines, 0o600); err != nil {
		t.Fatal(err)
	}
	await("ready after 1m 59s")
	interrupt()
	rest, _ := io.ReadAll(master) // the end of a terminal is an error
	seen.Write(rest)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	screens := strings.Split(seen.String(), firstScreen)
	if len(screens) != 2 || !strings.HasPrefix(screens[0], otherScreen) || strings.Contains(seen.String(), "\x1b[3J") {
		t.Fatalf("the drawings are not on a screen of their own:\n%q", seen.String())
	}
	if !strings.Contains(screens[1], "ready after 1m 59s") {
		t.Errorf("the last drawing is not left:\n%q", screens[1])
	}
}
