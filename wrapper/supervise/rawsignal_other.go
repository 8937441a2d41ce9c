// SPDX-License-Identifier: Apache-2.0

//go:build !amd64

package supervise

import (
	"os"
	"os/signal"
	"syscall"
)

// newCatcher makes a function that catches signals with os/signal, which does not know SIGPROF and 32 to 34.
func newCatcher(s *signals) func(...syscall.Signal) {
	all := make(chan os.Signal, 256)
	go func() {
		for sig := range all {
			if n, ok := sig.(syscall.Signal); ok {
				s.got(n)
			}
		}
	}()
	return func(caught ...syscall.Signal) {
		for _, n := range caught {
			signal.Notify(all, n)
		}
	}
}
