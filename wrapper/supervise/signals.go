// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// signals collects what is to be forwarded. Those that the wrapper was started with ignored (by nohup, by a shell) stay
// ignored until the command has inherited that; Go's runtime leaves SIGHUP, SIGINT and job control's so, and no other.
type signals struct {
	forward  chan os.Signal
	children chan os.Signal // capacity 1: somebody may have ended
	ignored  []os.Signal
}

func catchSignals() *signals {
	s := &signals{forward: make(chan os.Signal, 256), children: make(chan os.Signal, 1)}
	inherited, _ := dispositionOf(os.Getpid()) // without /proc nothing is known to be
	var ours []os.Signal
	for n := syscall.Signal(1); n < 65; n++ {
		switch {
		case n == syscall.SIGKILL, n == syscall.SIGSTOP, n == syscall.SIGCHLD:
		case n == syscall.SIGURG: // the Go scheduler's
		case inherited.ignored&(1<<(n-1)) != 0:
			s.ignored = append(s.ignored, n)
		default:
			ours = append(ours, n)
		}
	}
	signal.Notify(s.children, syscall.SIGCHLD)
	signal.Notify(s.forward, ours...)
	return s
}

// started is called when the command runs.
func (s *signals) started() {
	if len(s.ignored) > 0 { // of none, Notify would make all
		signal.Notify(s.forward, s.ignored...)
	}
}

// swallow takes what the kernel is known to have just sent, unless it was ignored.
func (s *signals) swallow(sent ...os.Signal) {
	sent = slices.DeleteFunc(sent, func(n os.Signal) bool { return slices.Contains(s.ignored, n) })
	timeout := time.NewTimer(100 * time.Millisecond)
	defer timeout.Stop()
	var others []os.Signal
	for len(sent) > 0 {
		select {
		case got := <-s.forward:
			if i := slices.Index(sent, got); i >= 0 {
				sent = slices.Delete(sent, i, i+1)
			} else {
				others = append(others, got)
			}
		case <-timeout.C:
			sent = nil
		}
	}
	for _, n := range others {
		s.forward <- n
	}
}

// jobControl tells that a signal is one of a terminal's that stop who does not catch them.
func jobControl(n syscall.Signal) bool {
	return n == syscall.SIGTSTP || n == syscall.SIGTTIN || n == syscall.SIGTTOU
}

// ends tells that somebody asks for an end with it.
func ends(n os.Signal) bool {
	return n == syscall.SIGTERM || n == syscall.SIGINT || n == syscall.SIGQUIT || n == syscall.SIGHUP
}
