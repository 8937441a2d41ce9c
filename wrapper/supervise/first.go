// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The first process of a PID namespace, which a container's command is without us, gets no signal that it does not ask
// for: the kernel drops what would be handled in the default way, whatever that is. `bash -c "server; true"` lives on
// while SIGTERM goes by, and with it its server, until the grace period is over. In front of such a command we are the
// first process, so it is for us to drop.

// wants tells whether a signal would have reached the command as the first process.
func (s *supervisor) wants(n syscall.Signal) bool {
	switch {
	case s.outlived:
		return false
	case !s.first, n == syscall.SIGCONT: // that continues whoever was stopped, asked for or not
		return true
	}
	for until := time.Now().Add(blockedFor); ; time.Sleep(time.Millisecond) {
		d, ok := dispositionOf(s.pid)
		late := time.Now().After(until)
		switch bit := uint64(1) << (n - 1); {
		case !ok: // this kernel does not tell (gVisor)
			return true
		case d.blocked&bit != 0 && !d.asleep && !late:
			continue // most likely it forks: nobody handles signals half-way through that
		case d.blocked&bit != 0, d.caught&bit != 0:
			return true
		}
		switch awaits(s.pid, n) {
		case yes:
			return true
		case maybe:
			if !late {
				continue
			}
		}
		return false
	}
}

// blockedFor is how long a command that works is given to unblock a signal. Blocked by who waits for something else, it
// stays pending and is most likely read from there (signalfd, sigpending): the kernel keeps it for anybody.
const blockedFor = 50 * time.Millisecond

// disposition is what a process does with signals, as sets: signal n is bit n-1.
type disposition struct {
	asleep                   bool
	blocked, ignored, caught uint64 // blocked: by its first thread, the one that the kernel looks at
}

func dispositionOf(pid int) (d disposition, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return d, false
	}
	sets := map[string]*uint64{"SigBlk": &d.blocked, "SigIgn": &d.ignored, "SigCgt": &d.caught}
	for line := range bytes.Lines(b) {
		name, value, _ := bytes.Cut(line, []byte(":\t"))
		if string(name) == "State" {
			d.asleep = bytes.HasPrefix(value, []byte("S"))
		}
		set := sets[string(name)]
		if set == nil {
			continue
		}
		if *set, err = strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64); err == nil {
			delete(sets, string(name))
		}
	}
	return d, len(sets) == 0
}

type answer int

const (
	no answer = iota
	yes
	maybe
)

// awaits tells whether a process sits in sigwait(3) for a signal, as tini and dumb-init do: meanwhile its status calls
// the signal neither blocked nor caught. Where we may not look into the process (Yama), the kernel's function that it
// waits in says as much; old kernels know that as little, and then it is taken for one that does.
func awaits(pid int, n syscall.Signal) answer {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
	if err != nil {
		if b, err = os.ReadFile(fmt.Sprintf("/proc/%d/wchan", pid)); err != nil || string(b) == "0" || bytes.Contains(b, []byte("sigtimedwait")) {
			return yes
		}
		return no
	}
	// 128 0x7ffc2b8b5a10 0x7ffc2b8b5990 0x7ffc2b8b5980 0x8 …, or "running"
	f := bytes.Fields(b)
	if len(f) < 2 {
		return maybe // it may be on its way into it
	}
	if number, err := strconv.Atoi(string(f[0])); err != nil || number != unix.SYS_RT_SIGTIMEDWAIT {
		return no
	}
	address, err := strconv.ParseUint(string(f[1]), 0, 64)
	if err != nil {
		return yes
	}
	set := make([]byte, 8)
	there := []unix.RemoteIovec{{Base: uintptr(address), Len: len(set)}}
	here := []unix.Iovec{{Base: &set[0]}}
	here[0].SetLen(len(set))
	if m, err := unix.ProcessVMReadv(pid, here, there, 0); err != nil || m != len(set) {
		return yes
	}
	if binary.NativeEndian.Uint64(set)&(1<<(n-1)) == 0 {
		return no
	}
	return yes
}
