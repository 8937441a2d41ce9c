// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// ignoreInherited lets signals be ignored again that were when we started, so that the command inherits that, and
// returns them.
func ignoreInherited() (ignored []syscall.Signal) {
	for n := syscall.Signal(1); n < 65; n++ {
		switch n {
		case syscall.SIGCHLD, syscall.SIGURG, // without them we don't work
			syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGTRAP: // may be faults of our own
			continue
		}
		if signal.Ignored(n) {
			ignored = append(ignored, n)
		} else if entryIgnored&(1<<(n-1)) != 0 {
			signal.Ignore(n)
			ignored = append(ignored, n)
		}
	}
	return ignored
}

// asInherited starts a command with the mask of signals that we were started with.
func asInherited(start func() error) error {
	if entered == 0 {
		return start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var set, was unix.Sigset_t
	set.Val[0] = entryBlocked
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &set, &was); err != nil {
		return start()
	}
	defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &was, nil) }()
	return start()
}
