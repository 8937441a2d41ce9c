// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

func sameFile(a, b int) bool {
	var x, y unix.Stat_t
	if unix.Fstat(a, &x) != nil || unix.Fstat(b, &y) != nil {
		return false
	}
	return x.Dev == y.Dev && x.Ino == y.Ino && x.Rdev == y.Rdev
}

// group says which process group the command belongs to.
//
// A wrapper that leads its session, as a container's first process does, stands where the command would have led its
// group: the command leads one, so that `kill 0` in it does not reach us and come back as a second signal. Any other
// wrapper leaves groups alone: a shell's job stays one job.
func (s *supervisor) group() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: s.leads()}
}

func (s *supervisor) leads() bool {
	pid := unix.Getpid()
	sid, err := unix.Getsid(0)
	if err == nil && sid == pid {
		return true
	}
	return unix.Getpgrp() == pid && !hasTerminal()
}

func hasTerminal() bool {
	fd, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	closeAll(fd)
	return true
}

// foreground gives the terminal to the command's group where it was ours. A command quick enough to be stopped for
// reading before that goes on.
func (s *supervisor) foreground() {
	if !s.leads() {
		return
	}
	for fd := range 3 {
		group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		if err != nil || group != unix.Getpgrp() {
			continue
		}
		if unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, s.pid) == nil {
			_ = syscall.Kill(-s.pid, syscall.SIGCONT)
		}
		return
	}
}

// release lets go of one of our standard files, so that who is at its other end learns when the command has.
func release(fd int) {
	if null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0); err == nil {
		_ = unix.Dup3(null, fd, unix.O_CLOEXEC)
		closeAll(null)
	}
}
