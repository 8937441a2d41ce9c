// SPDX-License-Identifier: Apache-2.0

// Package process watches the descendants of a process through /proc: who they are, when they started and ended, what
// they read and wrote. It needs no privileges; what it may not see, it does without.
package process

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coldtrace/coldtrace/startup/container"
)

// clockTick is the unit of times in /proc: USER_HZ, 100 on every Linux that Go runs on.
const clockTick = time.Second / 100

// stat is the part of /proc/PID/stat that is looked at.
type stat struct {
	comm  string
	state byte
	ppid  int
	start uint64 // in clock ticks since boot
	stack uint64 // where it begins: elsewhere after each exec. 0: it may not be known

	status int // of a zombie: what wait(2) will tell its parent. 0: it may not be known
}

func (w *Watcher) path(pid int, file string) string { return w.root + "/" + strconv.Itoa(pid) + file }

// read is a file of /proc, as far as the buffer goes, which the next one takes. Not ok: nothing of it can be read.
func (w *Watcher) read(path string) (b []byte, ok bool) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, false
	}
	defer unix.Close(fd)
	total := 0
	for total < len(w.buf) {
		n, err := unix.Read(fd, w.buf[total:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			break
		}
		total += n
	}
	return w.buf[:total], total > 0
}

func (w *Watcher) stat(pid int) (stat, bool) {
	b, ok := w.read(w.path(pid, "/stat"))
	if !ok {
		return stat{}, false
	}
	return parseStat(b)
}

// thread tells whether a number is that of a thread other than the one that its process is named after. Those are not
// listed, but found by who asks for them.
func (w *Watcher) thread(pid int) bool {
	b, ok := w.read(w.path(pid, "/status"))
	if !ok {
		return true // it is gone
	}
	_, b, _ = bytes.Cut(b, []byte("\nTgid:"))
	b, _, _ = bytes.Cut(b, []byte{'\n'})
	group, err := strconv.Atoi(string(bytes.TrimSpace(b)))
	return err == nil && group != pid
}

// parseStat reads a line of /proc/PID/stat. The command's name may hold anything, so fields count from its last
// parenthesis.
func parseStat(b []byte) (stat, bool) {
	open, shut := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || shut < open {
		return stat{}, false
	}
	s := stat{comm: string(b[open+1 : shut])}
	field, complete := 3, false
	for f := range bytes.FieldsSeq(b[shut+1:]) {
		switch field {
		case 3:
			s.state = f[0]
		case 4:
			s.ppid, _ = strconv.Atoi(string(f))
		case 22:
			n, err := strconv.ParseUint(string(f), 10, 64)
			if err != nil {
				return stat{}, false
			}
			s.start, complete = n, true
		case 28:
			s.stack, _ = strconv.ParseUint(string(f), 10, 64)
			if s.state != 'Z' {
				return s, true
			}
		case 52:
			s.status, _ = strconv.Atoi(string(f))
		}
		field++
	}
	return s, complete
}

// argv reads a command line; a process that is between fork and exec, or a zombie, has its parent's or none.
func (w *Watcher) argv(pid int) []string {
	b, ok := w.read(w.path(pid, "/cmdline"))
	if !ok {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}

// io reads the counters.
func (w *Watcher) io(p *Process) (container.IO, bool) {
	b, ok := w.read(w.path(p.PID, "/io"))
	if !ok {
		return container.IO{}, false
	}
	var out container.IO
	for line := range bytes.SplitSeq(b, []byte{'\n'}) {
		name, value, ok := bytes.Cut(line, []byte(": "))
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			continue
		}
		switch string(name) {
		case "rchar":
			out.Read = n
		case "wchar":
			out.Written = n
		}
	}
	return out, true
}

// started converts a start in ticks since boot, at this moment. Boot itself is where the two clocks say it is now, to
// the nanosecond and whatever steps the clock has made; /proc/stat's btime is whole seconds.
func started(ticks uint64, now time.Time) time.Time {
	var up unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &up) != nil {
		return time.Time{}
	}
	since := time.Duration(up.Nano()) - time.Duration(ticks)*clockTick //nolint:gosec // years of ticks fit
	return now.Add(-since)
}

// lastPID is the number given last in our PID namespace: while it stays, nobody was born.
func (w *Watcher) lastPID() (int, bool) {
	b, ok := w.read(w.root + "/loadavg")
	if !ok {
		return 0, false
	}
	b = bytes.TrimSpace(b)
	i := bytes.LastIndexByte(b, ' ')
	if i < 0 {
		return 0, false
	}
	n, err := strconv.Atoi(string(b[i+1:]))
	return n, err == nil
}

// list calls f for each process there is.
func (w *Watcher) list(f func(pid int)) error {
	dir, err := os.Open(w.root)
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			f(pid)
		}
	}
	return err
}
