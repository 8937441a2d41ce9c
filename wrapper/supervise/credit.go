// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"time"

	"golang.org/x/sys/unix"
)

// credit bounds the time that the command's output waits for the observer: 150 ms at once, an eighth of the time in the
// long run. A burst that fits is read to its last line; a flood is not slowed down by more.
type credit struct {
	left time.Duration
	last time.Time
}

const (
	creditMax   = 150 * time.Millisecond
	creditShare = 8
)

func newCredit() credit { return credit{left: creditMax, last: time.Now()} }

// wait blocks until the observer has room, and reports whether it has.
func (c *credit) wait(tap int) bool {
	now := time.Now()
	c.left = min(creditMax, c.left+now.Sub(c.last)/creditShare)
	c.last = now
	if c.left < time.Millisecond {
		return false
	}
	fds := []unix.PollFd{{Fd: int32(tap), Events: unix.POLLOUT}} //nolint:gosec // fds are small
	n, err := unix.Poll(fds, int(c.left.Milliseconds()))
	c.left -= time.Since(now)
	c.last = time.Now()
	return err == nil && n > 0
}
