// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"os"
	"os/signal"
	"syscall"
)

// signals collects what is to be forwarded. Those that the wrapper was started with ignored (nohup) stay ignored until
// the command has inherited that.
type signals struct {
	forward  chan os.Signal
	children chan os.Signal
	ignored  []os.Signal
}

func catchSignals() *signals {
	s := &signals{forward: make(chan os.Signal, 256), children: make(chan os.Signal, 1)}
	var caught []os.Signal
	for n := syscall.Signal(1); n < 65; n++ {
		switch n {
		case syscall.SIGCHLD, syscall.SIGURG: // ours and the Go scheduler's
		case syscall.SIGKILL, syscall.SIGSTOP:
		default:
			if signal.Ignored(n) {
				s.ignored = append(s.ignored, n)
				continue
			}
			caught = append(caught, n)
		}
	}
	signal.Notify(s.children, syscall.SIGCHLD)
	signal.Notify(s.forward, caught...)
	catchHidden(s.forward)
	return s
}

// started is called when the command runs.
func (s *signals) started() {
	if len(s.ignored) > 0 {
		signal.Notify(s.forward, s.ignored...)
	}
}
