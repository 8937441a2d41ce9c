// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// leakLines is how many lines a second the command says meanwhile.
const leakLines = 10_000

// TestNothingLeaks watches the supervisor and the observer from outside during a start that goes on and on: thousands of
// lines a second, processes that come and go, a server that does not answer. COLDTRACE_LEAK_MINUTES makes it longer.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	length := 20 * time.Second
	if m, err := strconv.Atoi(os.Getenv("COLDTRACE_LEAK_MINUTES")); err == nil {
		length = time.Duration(m) * time.Minute
	}
	s := hold(t, wrapped(), starting("COLDTRACE_TIMEOUT=24h"), "chatter", strconv.Itoa(leakLines))
	observer := s.observing()
	s.begin()
	const looks = 4
	var history [looks + 1][2]footprint
	for i := range looks + 1 {
		wait := length / looks
		if i == 0 {
			wait = length / 8 // until all that is made once has been made
		}
		<-time.After(wait)
		history[i] = [2]footprint{footprintOf(s.pid), footprintOf(observer)}
		t.Logf("%v: supervisor %+v, observer %+v", wait*time.Duration(max(i, 1)), history[i][0], history[i][1])
	}
	s.stop()
	if n := s.end(); float64(n) < leakLines*50*length.Seconds() {
		t.Errorf("%d bytes in %v: it was not that busy", n, length)
	}
	for i, name := range []string{"supervisor", "observer"} {
		first, last := history[0][i], history[looks][i]
		if last.rss == 0 {
			t.Errorf("the %s has ended", name)
		}
		// A thread more or a connection under way is no leak; one for each of 20 births or 4 questions a second would be.
		if last.fds > first.fds+4 || last.threads > first.threads+4 || last.rss > first.rss+4 {
			t.Errorf("the %s has grown: %+v, at first %+v", name, last, first)
		}
	}
}
