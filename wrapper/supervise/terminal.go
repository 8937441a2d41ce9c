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
// wrapper leaves groups alone: a shell's job stays one job.
func (s *supervisor) place() *syscall.SysProcAttr {
	pid := unix.Getpid()
	sid, err := unix.Getsid(0)
	switch {
	case err == nil && sid == pid:
		s.leads = true
		if fd := s.giveUpTerminal(); fd >= 0 {
			return &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: fd}
		}
		return &syscall.SysProcAttr{Setsid: true}
	case unix.Getpgrp() == pid && !hasTerminal():
		s.leads = true
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
		group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		if err != nil || unix.IoctlSetInt(fd, unix.TIOCNOTTY, 0) != nil {
			return -1
		}
		if group == unix.Getpgrp() {
			s.signals.swallow(syscall.SIGHUP, syscall.SIGCONT)
		}
		return fd
	}
	return -1
}

// suspend stops us with the command where a shell looks at us to see its job stopped. A stop that no terminal caused is
// the command's own matter: who continues it might not know of us.
func (s *supervisor) suspend(n syscall.Signal) {
	if s.leads || !jobControl(n) || !hasTerminal() {
		return
	}
	s.suspended = true
	_ = syscall.Kill(unix.Getpid(), syscall.SIGSTOP)
}

// keyed tells that a signal was most likely made by a key (or the size) of our terminal, which sends it to the whole
// foreground group: as a shell's job the command is in it with us, and has had it. os/signal does not tell who sent one.
func (s *supervisor) keyed(n syscall.Signal) bool {
	switch n {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGWINCH:
		return !s.leads && foreground() == unix.Getpgrp()
	}
	return false
}

// foreground is the group that our terminal sends signals to, negative if we have no terminal.
func foreground() int {
	fd, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	defer closeAll(fd)
	group, _ := unix.IoctlGetInt(fd, unix.TIOCGPGRP) // 0: none, or none of ours
	return group
}

func hasTerminal() bool { return foreground() >= 0 }

// release lets go of one of our standard files, so that who is at its other end learns when the command has.
func release(fd int) {
	if null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0); err == nil {
		_ = unix.Dup3(null, fd, unix.O_CLOEXEC)
		closeAll(null)
	}
}
