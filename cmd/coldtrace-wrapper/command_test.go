// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/test/otlptest"
)

// roleEnv makes this test program one of the commands below, which the benchmarks run.
const roleEnv = "COLDTRACE_TEST_COMMAND"

// command is what the benchmarks run: it waits for a line on standard input, then
//
//	bytes N    writes N bytes without a line's end
//	lines N    writes N bytes of log lines, many at once
//	chatter R  writes R log lines a second, each by itself, and starts a process now and then, until standard input ends
func command(args []string) error {
	if listen := os.Getenv(listenEnv); listen != "" { // an engine by its name, whatever its arguments
		return serve("http", listen, os.Getenv("READY"))
	}
	if args[0] == "serve" {
		return serve(args[1], args[2], args[3])
	}
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadBytes('\n'); err != nil {
		return nil //nolint:nilerr // its end says that nothing is wanted
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	if args[0] == "chatter" {
		return chatter(in, n)
	}
	block := make([]byte, 64<<10)
	if args[0] == "lines" {
		block = bytes.Repeat([]byte(strings.Join(startLines, "\n")+"\n"), 48)
	}
	for n > 0 {
		m, err := os.Stdout.Write(block[:min(n, len(block))])
		if err != nil {
			return err
		}
		n -= m
	}
	return nil
}

// startLines are lines as engines write them while they start; none says that it is ready.
var startLines = []string{
	"INFO 03-01 12:00:00 [__init__.py:239] Automatically detected platform cuda.",
	"(EngineCore_DP0 pid=272) INFO 03-01 12:00:01 [core.py:76] Initializing a V1 LLM engine with config: model='/model', dtype=torch.bfloat16, max_seq_len=8192",
	"(EngineCore_DP0 pid=272) INFO 03-01 12:00:02 [cuda.py:351] Using FLASH_ATTN attention backend out of potential backends",
	"Loading safetensors checkpoint shards:  50% Completed | 2/4 [00:10<00:10,  5.01s/it]",
	"(Worker_TP1 pid=398) WARNING 03-01 12:00:03 [custom_all_reduce.py:137] Custom allreduce is disabled on this hardware",
	"/usr/local/lib/python3.12/site-packages/torch/cuda/__init__.py:61: FutureWarning: The package is deprecated",
	"DEBUG 03-01 12:00:04 [linear.py:912] layer 17: quantised 128 experts, group size 64, scale 0.0078125",
}

func chatter(in *bufio.Reader, rate int) error {
	over := make(chan error, 1)
	go func() {
		_, err := in.ReadBytes('\n')
		over <- err
	}()
	const ticks = 500
	tick := time.NewTicker(time.Second / ticks)
	defer tick.Stop()
	began := time.Now()
	for said, turn := 0, 0; ; turn++ {
		select {
		case err := <-over:
			if !errors.Is(err, io.EOF) {
				return err
			}
			return nil
		case <-tick.C:
		}
		for due := int(time.Since(began).Seconds() * float64(rate)); said < due; said++ {
			if _, err := os.Stdout.WriteString(startLines[said%len(startLines)] + "\n"); err != nil {
				return err
			}
		}
		if turn%(ticks/2) == 0 {
			if err := exec.Command("true").Run(); err != nil {
				return err
			}
		}
	}
}

// supervised is a command behind a prefix of arguments, held at its beginning.
type supervised struct {
	*exec.Cmd
	tb    testing.TB
	hold  *os.File      // its standard input
	moved chan int64    // how much it wrote, when it has ended
	buf   []byte        // what reads it
	pid   int           // the prefix's process, or the command's if there is none
	look  time.Duration // how long to wait for what should happen
}

// hold starts a command of this test program. It has its output read as a container's runtime reads it.
func hold(tb testing.TB, prefix, env []string, args ...string) *supervised {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	argv := append(slices.Clone(prefix), append([]string{self}, args...)...)
	s := &supervised{Cmd: exec.Command(argv[0], argv[1:]...), tb: tb, moved: make(chan int64, 1), buf: make([]byte, 64<<10), look: 30 * time.Second}
	s.Env = append(slices.Clone(env), roleEnv+"=1")
	s.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, hold, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	s.hold, s.Stdin = hold, in
	out, err := s.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.Start(); err != nil {
		tb.Fatal(err)
	}
	_ = in.Close()
	s.pid = s.Process.Pid
	go func() {
		var total int64
		for {
			n, err := out.Read(s.buf)
			total += int64(n)
			if err != nil {
				s.moved <- total
				return
			}
		}
	}()
	return s
}

// begin lets the command go.
func (s *supervised) begin() {
	s.tb.Helper()
	if _, err := s.hold.WriteString("\n"); err != nil {
		s.tb.Fatal(err)
	}
}

// stop ends a command that goes on until it is told.
func (s *supervised) stop() { s.begin() }

// end waits until all output is read, and returns how much it was.
func (s *supervised) end() int64 {
	s.tb.Helper()
	n := <-s.moved
	_ = s.hold.Close()
	if err := s.Wait(); err != nil {
		s.tb.Fatal(err)
	}
	return n
}

// observer is the PID of the wrapper's observer, 0 if there is none.
func (s *supervised) observer() int {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		s.tb.Fatal(err)
	}
	for _, stat := range stats {
		b, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		_, after, _ := bytes.Cut(b, []byte(") "))
		if f := bytes.Fields(after); len(f) < 2 || string(f[1]) != strconv.Itoa(s.pid) {
			continue
		}
		argv, err := os.ReadFile(filepath.Dir(stat) + "/cmdline")
		if err == nil && bytes.HasSuffix(argv, []byte("\x00observe\x00")) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
			if err != nil {
				s.tb.Fatal(err)
			}
			return pid
		}
	}
	return 0
}

// observing waits until the observer is at work.
func (s *supervised) observing() int {
	s.tb.Helper()
	pid := 0
	if !eventually(s.look, func() bool {
		pid = s.observer()
		return pid > 0 && len(pipes(pid)) > 0
	}) {
		s.tb.Fatal("nobody observes")
	}
	return pid
}

// told waits until the observer has ended or, if it stays, has let go of the output.
func (s *supervised) told(stays bool) {
	s.tb.Helper()
	if !eventually(s.look, func() bool {
		pid := s.observer()
		return pid == 0 && !stays || pid > 0 && stays && len(pipes(pid)) == 0
	}) {
		s.tb.Fatal("the start was never told")
	}
}

// pipes are the pipes that a process holds.
func pipes(pid int) (held []string) {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid)) // the pattern is well formed
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "pipe:") {
			held = append(held, to)
		}
	}
	return held
}

// footprint is what a process takes.
type footprint struct {
	cpu          time.Duration
	rss          float64 // MB, 0 if it is gone
	fds, threads int
}

func footprintOf(pid int) footprint {
	var u footprint
	stats, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, s := range stats {
		if b, err := os.ReadFile(s); err == nil {
			first, _, _ := strings.Cut(string(b), " ")
			if ns, err := strconv.ParseInt(first, 10, 64); err == nil {
				u.cpu += time.Duration(ns)
			}
		}
	}
	u.threads = len(stats)
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	u.fds = len(fds)
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err == nil {
		_, after, _ := strings.Cut(string(b), "VmRSS:")
		if f := strings.Fields(after); len(f) > 0 {
			kb, _ := strconv.ParseFloat(f[0], 64) // 0 if it is a zombie
			u.rss = kb / 1000
		}
	}
	return u
}

// starting is the environment of a start whose engine is known and asked for its health, and that nobody has told yet.
func starting(more ...string) []string {
	return append(quiet("COLDTRACE_ENGINE=vllm", "COLDTRACE_HEALTH_URL=http://localhost:1/health"), more...)
}

// started is that of one that is told at once.
func started(tb testing.TB) []string {
	tb.Helper()
	r := otlptest.New(tb)
	return starting("OTEL_EXPORTER_OTLP_ENDPOINT=http://"+r.GRPC, "COLDTRACE_TIMEOUT=50ms")
}
