// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// console is a terminal and the command that leads its session.
type console struct {
	*exec.Cmd
	t      *testing.T
	master *os.File
	text   string
}

// open starts a command with a terminal, as a container with `tty: true` has one.
func open(t *testing.T, env, argv []string) *console {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skip("no terminals here")
	}
	master := os.NewFile(uintptr(fd), "ptmx")
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	c := &console{Cmd: exec.Command(argv[0], argv[1:]...), t: t, master: master}
	c.Env, c.Dir, c.Stdin, c.Stdout, c.Stderr = env, t.TempDir(), slave, slave, slave
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = master.Close()
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	return c
}

// until reads what is shown until it ends in a text, and returns what came before.
func (c *console) until(text string) string {
	c.t.Helper()
	_ = c.master.SetReadDeadline(time.Now().Add(20 * time.Second))
	for buf := make([]byte, 4096); ; {
		if before, after, ok := strings.Cut(c.text, text); ok {
			c.text = after
			return before
		}
		n, err := c.master.Read(buf)
		c.text += strings.ReplaceAll(string(buf[:n]), "\r", "")
		if err != nil {
			c.t.Fatalf("%v before %q: %q", err, text, c.text)
		}
	}
}

func (c *console) enter(keys string) {
	c.t.Helper()
	if _, err := c.master.WriteString(keys); err != nil {
		c.t.Fatal(err)
	}
}

// bothWays runs a script with a terminal, without and with the wrapper, and compares what f makes of it.
func bothWays(t *testing.T, script string, f func(*console) string) {
	t.Helper()
	argv := []string{"bash", "-c", script}
	bare := f(open(t, quiet(), argv))
	with := f(open(t, quiet(), wrapped(argv...)))
	if bare != with {
		t.Errorf("bare %q\nwith %q", bare, with)
	}
}

func TestATerminalIsTheCommandsOwn(t *testing.T) {
	t.Parallel()
	bothWays(t, `[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo terminal; set -- $(ps -o pid=,pgid=,sid=,tpgid= -p $$);
		[ $1 = $2 ] && [ $1 = $3 ] && [ $1 = $4 ] && echo leader; echo through > /dev/tty; stty size; stty -a | grep -c isig; echo fin; exit 7`, func(c *console) string {
		return c.until("fin")
	})
}

func TestATerminalsExitCodeComesThrough(t *testing.T) {
	t.Parallel()
	bothWays(t, "read line; exit $line", func(c *console) string {
		c.enter("9\n")
		_ = c.Wait()
		return strconv.Itoa(status(c.ProcessState))
	})
}

// keys is a script that shows signals of a terminal as it gets them. It does not wait for anything: a signal that comes
// between bash's last look for one and the wait would be handled after it, with the wrapper or without.
const keys = `trap 'echo int; n=$((n+1))' INT; trap 'echo quit' QUIT; trap 'echo winch; w=1' WINCH; stty -echo; echo ready
	until [ "$w" ]; do :; done; echo "end $n"`

// press presses keys for that script and returns what is shown.
func press(c *console) string {
	c.until("ready\n")
	c.enter("\x03")
	out := c.until("int\n")
	c.enter("\x1c")
	out += c.until("quit\n")
	if err := unix.IoctlSetWinsize(int(c.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 7, Col: 70}); err != nil { //nolint:gosec // fds are small
		c.t.Fatal(err)
	}
	return strings.Join(strings.Fields(out+c.until("end 1\n")), " ")
}

func TestKeysOfATerminalReachTheCommandOnce(t *testing.T) {
	t.Parallel()
	bothWays(t, keys, press)
}

func TestNobodyCouldContinueTheFirstProcessOfATerminal(t *testing.T) {
	t.Parallel()
	bothWays(t, `echo ready; read line; echo "<$line>"`, func(c *console) string {
		c.until("ready")
		c.enter("\x1a") // the kernel discards the stop of a group that is orphaned
		c.enter("on\n")
		c.until("<on>")
		_ = c.Wait()
		return strconv.Itoa(status(c.ProcessState))
	})
}

func TestAHangupReachesTheCommand(t *testing.T) {
	t.Parallel()
	bothWays(t, `trap 'echo hangup > f; exit 5' HUP; echo ready; while :; do read -r line || sleep 0.01; done`, func(c *console) string {
		c.until("ready")
		_ = c.master.Close()
		_ = c.Wait()
		b, err := os.ReadFile(filepath.Join(c.Dir, "f"))
		return fmt.Sprintf("%s %v %d", b, err, status(c.ProcessState))
	})
}
