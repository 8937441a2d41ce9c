// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// signals collects what is to be forwarded. Those that the wrapper was started with ignored (nohup, trap ” TERM) stay
// ignored until the command has inherited that.
type signals struct {
	forward  chan os.Signal
	children chan os.Signal // capacity 1: somebody may have ended
	ignored  []syscall.Signal
	catch    func(...syscall.Signal)
}

func catchSignals() *signals {
	s := &signals{forward: make(chan os.Signal, 256), children: make(chan os.Signal, 1), ignored: ignoreInherited()}
	s.catch = newCatcher(s)
	var caught []syscall.Signal
	for n := syscall.Signal(1); n < 65; n++ {
		switch n {
		case syscall.SIGURG: // the Go scheduler's
		case syscall.SIGKILL, syscall.SIGSTOP:
		case syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGTRAP:
			// The runtime must see these first: they may be faults of our own.
			signal.Notify(s.forward, n)
		default:
			if !slices.Contains(s.ignored, n) {
				caught = append(caught, n)
			}
		}
	}
	s.catch(caught...)
	return s
}

// started is called when the command runs.
func (s *signals) started() { s.catch(s.ignored...) }

// swallow takes what the kernel is known to have just sent, unless it was ignored.
func (s *signals) swallow(sent ...syscall.Signal) {
	sent = slices.DeleteFunc(sent, func(n syscall.Signal) bool { return slices.Contains(s.ignored, n) })
	timeout := time.NewTimer(100 * time.Millisecond)
	defer timeout.Stop()
	var others []os.Signal
	for len(sent) > 0 {
		select {
		case got := <-s.forward:
			if i := slices.IndexFunc(sent, func(n syscall.Signal) bool { return n == got }); i >= 0 {
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

// got takes one signal that is not the runtime's business.
func (s *signals) got(n syscall.Signal) {
	if n != syscall.SIGCHLD {
		s.forward <- n
		return
	}
	select {
	case s.children <- n:
	default:
	}
}
