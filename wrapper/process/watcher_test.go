// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAProcessIsSeenFromItsStartToItsEnd(t *testing.T) {
	for name, argv := range map[string][]string{
		"by a relative path":     {"./s5cmd", "hold"},
		"by an absolute path":    {bin + "/s5cmd", "hold"},
		"with an odd name":       {bin + "/" + oddName, "hold"},
		"with odd arguments":     {"./s5cmd", "", "a b", "c\nd", ""},
		"with one of many words": append([]string{"./s5cmd"}, slices.Repeat([]string{"s3://bucket/key"}, 500)...),
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, -1, argv...)
			s := c.await(became, argv...)
			if s.PID != c.Process.Pid || s.Parent != os.Getpid() || !slices.Equal(s.Argv, argv) || !s.End.IsZero() {
				t.Errorf("%+v", s)
			}
			if s.Start.After(c.after) {
				t.Errorf("it started %v after it had", s.Start.Sub(c.after))
			}
			within(t, "the start", s.Start, c.before, c.after)
			closing := time.Now()
			if err := c.stdin.Close(); err != nil {
				t.Fatal(err)
			}
			s = c.await(ended, argv...)
			within(t, "the end", s.End, closing, time.Now())
			if err := c.Wait(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestAChildOfAChildIsSeen(t *testing.T) {
	c := start(t, -1, "sh", "-c", "sh -c './s5cmd hold; true'; true")
	inner := c.await(became, "sh", "-c", "./s5cmd hold; true")
	s := c.await(became, "./s5cmd", "hold")
	if inner.Parent != c.Process.Pid || s.Parent != inner.PID {
		t.Errorf("%+v %+v", inner, s)
	}
	within(t, "the start", s.Start, c.before, time.Now())
	closing := time.Now()
	_ = c.stdin.Close()
	s = c.await(ended, "./s5cmd", "hold")
	within(t, "the end", s.End, closing, time.Now())
	within(t, "the end", c.await(ended, "sh").End, closing, time.Now())
}

func TestBytesAreCounted(t *testing.T) {
	const moved, slack = 123_456_789, 64 << 10 // the program also reads its libraries and writes a line
	for name, argv := range map[string][]string{
		"of a process":                  {"./s5cmd", "copy", "123456789"},
		"of a child that is reaped":     {"sh", "-c", "./s5cmd copy 123456789; true"},
		"of a child of a child":         {"sh", "-c", "sh -c './s5cmd copy 123456789; true'; true"},
		"of one that became the copier": {"sh", "-c", "exec ./s5cmd copy 123456789"},
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, os.Getpid(), argv...)
			if line, err := c.stdout.ReadString('\n'); err != nil {
				t.Fatal(line, err)
			}
			c.await(became, "./s5cmd")
			// Two births after the last byte: at the first of them the counters were read.
			for _, word := range []string{"one", "two"} {
				look := start(t, -1, "./s5cmd", word)
				c.await(became, "./s5cmd", word)
				_ = look.stdin.Close()
			}
			_ = c.stdin.Close()
			s := c.await(ended, "./s5cmd", "copy")
			for what, n := range map[string]int64{"read": s.IO.Read, "written": s.IO.Written} {
				if n < moved || n > moved+slack {
					t.Errorf("%d bytes %s, want %d", n, what, moved)
				}
			}
		})
	}
}

func TestAShellThatBecomesAProgramStartsItThen(t *testing.T) {
	c := start(t, -1, "sh", "-c", "read line; exec ./s5cmd hold")
	c.await(became, "sh")
	telling := time.Now()
	if _, err := c.stdin.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	s := c.await(became, "./s5cmd", "hold")
	if s.PID != c.Process.Pid {
		t.Errorf("%+v", s)
	}
	within(t, "the start", s.Start, telling, telling)
}

func TestWhatASignalEndedIsTold(t *testing.T) {
	for name, signal := range map[string]unix.Signal{"killed": unix.SIGKILL, "told to end": unix.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			c := start(t, -1, "./s5cmd", "hold")
			c.await(became, "./s5cmd", "hold")
			if err := c.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if s := c.await(ended, "./s5cmd", "hold"); s.Signal != int(signal) { // nobody has asked for its status yet
				t.Errorf("ended by %d", s.Signal)
			}
			_ = c.Wait()
		})
	}
}

func TestWhatASignalEndedIsToldAfterItsParentHasAsked(t *testing.T) {
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(c.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if s := reapedBy(fd); s != 0 {
		t.Errorf("ended by %d while it lives", s)
	}
	_ = c.Process.Kill()
	_ = c.Wait()
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	if err := unix.IoctlPidfdInfo(fd, &info); err != nil {
		t.Skipf("a kernel before 6.15 does not say: %v", err)
	}
	if s := reapedBy(fd); s != int(unix.SIGKILL) {
		t.Errorf("ended by %d", s)
	}
}

func TestAnOrphanStaysOurs(t *testing.T) {
	c := start(t, os.Getpid(), "sh", "-c", "exec 3<&0; ./s5cmd hold <&3 3<&- & wait")
	s := c.await(became, "./s5cmd", "hold")
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.await(ended, "sh")
	closing := time.Now()
	_ = c.stdin.Close()
	end := c.await(ended, "./s5cmd", "hold")
	if end.PID != s.PID {
		t.Errorf("%+v", end)
	}
	within(t, "the end", end.End, closing, time.Now())
	if _, err := unix.Wait4(s.PID, nil, 0, nil); err != nil {
		t.Error(err)
	}
}

func TestAStrangerInASharedNamespaceIsNotOurs(t *testing.T) {
	stranger := start(t, -1, "./s5cmd", "stranger")
	stranger.await(became, "./s5cmd", "stranger")
	c := start(t, -1, "sh", "-c", "./s5cmd ours; true")
	c.await(became, "./s5cmd", "ours")
	later := start(t, -1, "./s5cmd", "later")
	later.await(became, "./s5cmd", "later")
	_ = c.stdin.Close()
	c.await(ended, "sh")
	for _, s := range c.history {
		if len(s.Argv) > 1 && (s.Argv[1] == "stranger" || s.Argv[1] == "later") {
			t.Errorf("%+v", s)
		}
	}
}

func TestMoreProcessesThanArePolled(t *testing.T) {
	c := start(t, -1, "sh", "-c", "exec 3<&0; for i in $(seq 80); do ./s5cmd $i <&3 & done; wait")
	pids := map[int]bool{}
	for len(pids) < 80 {
		pids[c.await(became, "./s5cmd").PID] = true
	}
	closing := time.Now()
	_ = c.stdin.Close()
	for len(pids) > 0 {
		s := c.await(ended, "./s5cmd")
		delete(pids, s.PID)
		within(t, "an end", s.End, closing, time.Now())
	}
}

func TestNoDescriptorsAreLeft(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := 0
	for i := range 4 {
		t.Run("once", func(t *testing.T) {
			c := start(t, -1, "sh", "-c", "./s5cmd a & ./s5cmd b; wait")
			c.await(became, "./s5cmd", "b")
			_ = c.stdin.Close()
			c.await(ended, "sh")
		})
		if i == 0 {
			before = count()
		}
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors, then %d", before, after)
	}
}

func TestTheLineOfAProcessIsRead(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		want stat
		ok   bool
	}{
		"plain":                    {"12 (sh) S 7 5 5 0 -1 1 1 2 3 4 5 6 7 8 20 0 1 0 987 1", stat{"sh", 'S', 7, 987, 0, 0}, true},
		"a name like the fields":   {"12 (a) R 1 (b) Z 7 5 5 0 -1 1 1 2 3 4 5 6 7 8 20 0 1 0 987 1", stat{"a) R 1 (b", 'Z', 7, 987, 0, 0}, true},
		"a name with a new line":   {"12 (a\nb) S 7 5 5 0 -1 1 1 2 3 4 5 6 7 8 20 0 1 0 987 1", stat{"a\nb", 'S', 7, 987, 0, 0}, true},
		"no name":                  {"12 () S 7 5 5 0 -1 1 1 2 3 4 5 6 7 8 20 0 1 0 987 1", stat{"", 'S', 7, 987, 0, 0}, true},
		"with a stack":             {"12 (sh) S 7 5 5 0 -1 1 1 2 3 4 5 6 7 8 20 0 1 0 987 1 2 3 4 5 6789 7", stat{"sh", 'S', 7, 987, 6789, 0}, true},
		"a zombie that was killed": {"12 (sh) Z 7 5 5 0 -1 1 1 2 3 4 5 6 7 8 20 0 1 0 987 1 2 3 4 5 0 7 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 9", stat{"sh", 'Z', 7, 987, 0, 9}, true},
		"cut off":                  {"12 (sh) S 7 5", stat{}, false},
		"without a name":           {"12 S 7 5 5 0 -1", stat{}, false},
		"empty":                    {"", stat{}, false},
		"a start that is no time":  {"12 (sh) S 7 5 5 0 -1 1 1 2 3 4 5 6 7 8 20 0 1 0 x 1", stat{}, false},
		"parentheses in disorder":  {"12 )sh( S 7 ", stat{}, false},
	} {
		got, ok := parseStat([]byte(c.line))
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s: %+v %v", name, got, ok)
		}
	}
}
