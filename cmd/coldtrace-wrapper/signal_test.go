// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestEverySignalReachesTheCommand(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{false, true} {
		t.Run(fmt.Sprintf("as PID 1 %v", first), func(t *testing.T) {
			t.Parallel()
			script := `for n in {1..64}; do [ $n -eq 17 ] || trap "echo $n" $n 2>/dev/null; done; echo ready; while :; do sleep 0.01; done`
			argv := wrapped("bash", "-c", script)
			if first {
				argv = firstProcess(t, argv)
			}
			cmd := exec.Command(argv[0], argv[1:]...)
			cmd.Env = quiet()
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := make(chan string, 256)
			go func() {
				defer close(lines)
				for s := bufio.NewScanner(out); s.Scan(); {
					lines <- s.Text()
				}
			}()
			expect(t, lines, "ready")
			target := cmd.Process.Pid
			if first {
				target = childOf(t, target)
			}
			for _, n := range forwarded() {
				if err := syscall.Kill(target, syscall.Signal(n)); err != nil {
					t.Fatalf("send %d: %v", n, err)
				}
				expect(t, lines, strconv.Itoa(n))
			}
			_ = syscall.Kill(childOf(t, target), syscall.SIGKILL)
			for range lines {
			}
			_ = cmd.Wait()
		})
	}
}

func expect(t *testing.T, lines <-chan string, want string) {
	t.Helper()
	select {
	case got, ok := <-lines:
		if got != want || !ok {
			t.Fatalf("got %q, want %q", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("no answer, want %q", want)
	}
}

// childOf is the first child of a process, the observer not counted. Go forks from any of its threads, the one and the other
// child from two of them.
func childOf(t *testing.T, pid int) int {
	t.Helper()
	for _, n := range childrenOf(pid) {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", n)) // it has ended
		if !strings.Contains(string(line), "\x00observe") {
			return n
		}
	}
	t.Fatalf("process %d has no child", pid)
	return 0
}

func TestOrphansAreReaped(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{false, true} {
		// Children of children that end after their parents belong to the wrapper; none may stay a zombie.
		script := `for i in $(seq 1 50); do (sleep 0.0$i &) ; done; sleep 0.5; ps -eo stat,ppid | awk -v p=$PPID '$1 ~ /Z/ && $2 == p' | wc -l`
		argv := wrapped("bash", "-c", script)
		if first {
			argv = firstProcess(t, argv)
		}
		if o := run(t, quiet(), argv, ""); o.code != 0 || strings.TrimSpace(o.stdout) != "0" {
			t.Errorf("as PID 1 %v: %+v", first, o)
		}
	}
}

func TestHangupAndInterruptStayIgnored(t *testing.T) {
	t.Parallel()
	argv := []string{"bash", "-c", "trap '' HUP INT; exec \"$@\"", "x", wrapper, "run", "--", "grep", "SigIgn", "/proc/self/status"}
	o := run(t, quiet(), argv, "")
	mask, err := strconv.ParseUint(strings.TrimSpace(strings.TrimPrefix(o.stdout, "SigIgn:")), 16, 64)
	if err != nil || mask&3 != 3 {
		t.Errorf("%+v", o)
	}
}

func TestTermination(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(wrapper, "run", "--", "bash", "-c", "trap 'echo stopping; exit 0' TERM; echo ready; while :; do sleep 0.01; done")
	cmd.Env = quiet()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	if line, _ := r.ReadString('\n'); line != "ready\n" {
		t.Fatal(line)
	}
	began := time.Now()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if line, _ := r.ReadString('\n'); line != "stopping\n" {
		t.Error(line)
	}
	if err := cmd.Wait(); err != nil || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}
