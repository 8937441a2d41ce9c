// SPDX-License-Identifier: Apache-2.0

//go:build !amd64

package supervise

import "syscall"

// newCatcher makes a function that catches signals with os/signal, which does not know SIGPROF and 32 to 34, and not
// who sent a signal.
func newCatcher(s *signals) (catch func(...syscall.Signal), running func()) {
	return s.notify, func() {}
}
