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
// ignored until the command has inherited that.
type signals struct {
	forward  chan caught
	children chan struct{} // capacity 1: somebody may have ended
	ignored  []syscall.Signal
	catch    func(...syscall.Signal)
	running  func()
}

// caught is one signal.
type caught struct {
	syscall.Signal
	kernel bool // no process sent it, and the command ran already
}

// toGroup tells that the whole process group was sent it: keys of a terminal, its hang-up, its new size, a touch of it
// from the background, and what the kernel tells a group that nobody can continue any more.
func (c caught) toGroup() bool {
	switch c.Signal {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGWINCH, syscall.SIGCONT:
		return c.kernel
	}
	return c.kernel && jobControl(c.Signal)
}

// jobControl tells that a signal is one of a terminal's that stop who does not catch them.
func jobControl(n syscall.Signal) bool {
	return n == syscall.SIGTSTP || n == syscall.SIGTTIN || n == syscall.SIGTTOU
}

// ends tells that somebody asks for an end with it.
func (c caught) ends() bool {
	switch c.Signal {
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP:
		return true
	}
	return false
}

func catchSignals() *signals {
	s := &signals{forward: make(chan caught, 256), children: make(chan struct{}, 1), ignored: ignoreInherited()}
	s.catch, s.running = newCatcher(s)
	var ours, faults []syscall.Signal
	for n := syscall.Signal(1); n < 65; n++ {
		switch n {
		case syscall.SIGURG: // the Go scheduler's
		case syscall.SIGKILL, syscall.SIGSTOP:
		case syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGTRAP:
			// The runtime must see these first: they may be faults of our own.
			faults = append(faults, n)
		default:
			if !slices.Contains(s.ignored, n) {
				ours = append(ours, n)
			}
		}
	}
	s.notify(faults...)
	s.catch(ours...)
	return s
}

// notify catches signals with os/signal.
func (s *signals) notify(numbers ...syscall.Signal) {
	received := make(chan os.Signal, 256)
	for _, n := range numbers {
		signal.Notify(received, n)
	}
	go func() {
		for sig := range received {
			if n, ok := sig.(syscall.Signal); ok {
				s.got(caught{Signal: n})
			}
		}
	}()
}

// started is called when the command runs.
func (s *signals) started() {
	s.running()
	s.catch(s.ignored...)
}

// swallow takes what the kernel is known to have just sent, unless it was ignored.
func (s *signals) swallow(sent ...syscall.Signal) {
	sent = slices.DeleteFunc(sent, func(n syscall.Signal) bool { return slices.Contains(s.ignored, n) })
	timeout := time.NewTimer(100 * time.Millisecond)
	defer timeout.Stop()
	var others []caught
	for len(sent) > 0 {
		select {
		case got := <-s.forward:
			if i := slices.Index(sent, got.Signal); i >= 0 {
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
func (s *signals) got(c caught) {
	if c.Signal != syscall.SIGCHLD {
		s.forward <- c
		return
	}
	select {
	case s.children <- struct{}{}:
	default:
	}
}
