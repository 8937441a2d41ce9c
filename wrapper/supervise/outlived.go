// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A signal that somebody in the container sends to the command itself does not pass us, as that of a preStop hook that
// says `pkill -f vllm`: it means the server, but the text of a shell that waits for the server matches, too. The kernel
// spares such a shell as the first process. It does not behind us, but then the server is still there, and we wait for
// it as the shell would have.

// shells are the files of programs that mostly wait.
var shells = []string{"bash", "bash-static", "sh", "dash", "ash", "busybox", "ksh", "ksh93", "mksh", "zsh"}

// shellName is the name that the command goes by if it is a shell now. Later, when it is dead, only its name can be read,
// which becomes another when it executes something else.
func (s *supervisor) shellName() string {
	if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", s.pid)); err != nil || !slices.Contains(shells, path.Base(exe)) {
		return ""
	}
	return s.name()
}

func (s *supervisor) name() string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", s.pid))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// spares tells that the command, which may be dead and is not reaped, is a shell that leaves to the kernel what it
// gets. It is none that executed something else, which has another name. One with a trap for its exit, as in
// `trap cleanup EXIT; server; true`, catches all that could end it, and ends itself by the same signal: it means that.
func (s *supervisor) spares() bool {
	if !s.first || s.shell == "" || s.shell != s.name() {
		return false
	}
	d, ok := dispositionOf(s.pid)
	return ok && d.caught&(1<<(syscall.SIGVTALRM-1)) == 0 // for which nobody sets a trap
}

// spared tells that a command which died would not have, had it been the first process, and what it was good for goes
// on without it.
func spared(status syscall.WaitStatus) bool {
	if !status.Signaled() {
		return false
	}
	n := status.Signal()
	return ends(n) || n == syscall.SIGUSR1 || n == syscall.SIGUSR2
}

// outlive goes on without the command until the last of its children has ended. The story ends here.
func (s *supervisor) outlive() {
	s.outlived = true
	if s.observer != nil {
		s.dismiss()
		s.overdue = time.After(s.patience())
	}
}
