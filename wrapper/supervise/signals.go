// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"os"
	"os/signal"
	"syscall"
)

// signals collects what is to be forwarded. Those that the wrapper was started with ignored (by nohup, by a shell) stay
// ignored until the command has inherited that; Go's runtime leaves SIGHUP, SIGINT and job control's so, and no other.
type signals struct {
	forward  chan os.Signal
	children chan os.Signal // capacity 1: somebody may have ended
	ours     []os.Signal
	ignored  []os.Signal
}

func catchSignals() *signals {
	s := &signals{forward: make(chan os.Signal, 256), children: make(chan os.Signal, 1)}
	inherited, _ := dispositionOf(os.Getpid()) // without /proc nothing is known to be
	for n := syscall.Signal(1); n < 65; n++ {
		switch {
		case n == syscall.SIGKILL, n == syscall.SIGSTOP, n == syscall.SIGCHLD:
		case n == syscall.SIGURG: // the Go scheduler's
		case inherited.ignored&(1<<(n-1)) != 0:
			s.ignored = append(s.ignored, n)
		default:
			s.ours = append(s.ours, n)
		}
	}
	signal.Notify(s.children, syscall.SIGCHLD)
	signal.Notify(s.forward, s.ours...)
	return s
}

// started is called when the command runs.
func (s *signals) started() {
	if len(s.ignored) > 0 { // of none, Notify would make all
		signal.Notify(s.forward, s.ignored...)
	}
}

// ends tells that somebody asks for an end with it.
func ends(n os.Signal) bool {
	return n == syscall.SIGTERM || n == syscall.SIGINT || n == syscall.SIGQUIT || n == syscall.SIGHUP
}
