// SPDX-License-Identifier: Apache-2.0

package observe

import "time"

// clock tells the time as it would be had nobody set the machine's clock since the wrapper started: a start lies on one
// time line, whatever NTP does to the other one meanwhile.
type clock struct{ anchor time.Time }

// newClock anchors a clock at the wrapper's start, of which only the wall time is known, at most now.
func newClock(began, now time.Time) (clock, time.Time) {
	return clock{now}, now.Add(-max(0, now.Round(0).Sub(began.Round(0))))
}

// now is the time.
func (c clock) now() time.Time { return c.at(time.Now()) }

// at is the time of something that happened in this process.
func (c clock) at(t time.Time) time.Time { return c.anchor.Add(t.Sub(c.anchor)) }
