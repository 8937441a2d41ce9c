// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// sameFile tells whether two descriptors are one file, so that what is written to both has one order. Two that were
// opened apart, and neither for appending, each have a position of their own in a file on disk.
func sameFile(a, b int) bool {
	var x, y unix.Stat_t
	if unix.Fstat(a, &x) != nil || unix.Fstat(b, &y) != nil || x.Dev != y.Dev || x.Ino != y.Ino || x.Rdev != y.Rdev {
		return false
	}
	if x.Mode&unix.S_IFMT != unix.S_IFREG || appends(a) && appends(b) {
		return true
	}
	pid := uintptr(unix.Getpid())
	const kcmpFile = 0
	differ, _, errno := unix.Syscall6(unix.SYS_KCMP, pid, pid, kcmpFile, uintptr(a), uintptr(b), 0)
	return errno != 0 || differ == 0
}

func appends(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_APPEND != 0
}

// place says where the command belongs among sessions, process groups and terminals: where it would be without us.
//
// A wrapper that leads its session, as a container's first process does, stands where the command would have: the
// command leads a session, and gets the terminal if there is one. In a group of our session it could be stopped by
// SIGTSTP, which the kernel discards where nobody could continue it. A wrapper that leads a group without a terminal
// lets the command lead one, so that `kill 0` in it does not reach us and come back as a second signal. Any other
// wrapper leaves groups alone.
func (s *supervisor) place() *syscall.SysProcAttr {
	pid := unix.Getpid()
	sid, err := unix.Getsid(0)
	switch {
	case err == nil && sid == pid:
		if fd := s.giveUpTerminal(); fd >= 0 {
			return &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: fd}
		}
		return &syscall.SysProcAttr{Setsid: true}
	case unix.Getpgrp() == pid && !hasTerminal():
		return &syscall.SysProcAttr{Setpgid: true}
	}
	return &syscall.SysProcAttr{}
}

// giveUpTerminal lets go of the session's terminal, so that the command can have it, and returns a descriptor of it, or
// a negative number if there is none. The kernel tells the group that had it with two signals, not meant for the command.
func (s *supervisor) giveUpTerminal() int {
	for fd := range 3 {
		if sid, err := unix.IoctlGetInt(fd, unix.TIOCGSID); err != nil || sid != unix.Getpid() {
			continue
		}
		signal.Ignore(syscall.SIGHUP, syscall.SIGCONT)
		defer signal.Notify(s.signals.forward, s.signals.ours...)
		if unix.IoctlSetInt(fd, unix.TIOCNOTTY, 0) != nil {
			return -1
		}
		return fd
	}
	return -1
}

func hasTerminal() bool {
	fd, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err == nil {
		closeAll(fd)
	}
	return err == nil
}

// release lets go of one of our standard files, so that who is at its other end learns when the command has.
func release(fd int) {
	if null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0); err == nil {
		_ = unix.Dup3(null, fd, unix.O_CLOEXEC)
		closeAll(null)
	}
}
