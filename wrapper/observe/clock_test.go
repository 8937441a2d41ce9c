// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"testing"
	"time"
	"unsafe"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/container"
)

// stepped is what time.Now would have returned had somebody set the clock by d before: the wall time moves, the
// monotonic reading beside it does not. In the runtime's representation the seconds of the wall time are the 33 bits
// above 30 bits of nanoseconds.
func stepped(t time.Time, d time.Duration) time.Time {
	*(*uint64)(unsafe.Pointer(&t)) += uint64(int64(d/time.Second)) << 30 //nolint:gosec // see above
	return t
}

func TestTheTestsOwnStepIsOne(t *testing.T) {
	now := time.Now()
	later := stepped(now, time.Hour)
	if later.Sub(now) != 0 || later.Round(0).Sub(now.Round(0)) != time.Hour {
		t.Fatalf("%v became %v", now, later)
	}
}

func TestAClockThatIsSetDoesNotBendAStart(t *testing.T) {
	for name, step := range map[string]time.Duration{"forward": time.Hour, "back": -time.Hour, "not at all": 0} {
		t.Run(name, func(t *testing.T) {
			base := time.Now()
			c, began := newClock(base.Add(-20*time.Millisecond).Round(0), base)
			after := func(d time.Duration) time.Time { return c.at(stepped(base.Add(d), step)) } // the step is right after the anchor
			var told []startup.Span
			s := container.New(container.Begin{At: began, Role: startup.RoleServer, Attempt: 1}, func(spans []startup.Span) { told = append(told, spans...) })
			p := &container.Process{PID: 7, Argv: []string{"s5cmd", "cp", "s3://b/*", "m"}, Start: after(time.Second)}
			s.Became(p)
			p.End = after(31 * time.Second)
			s.Exited(p)
			s.Ready(after(60 * time.Second))
			if len(told) != 2 {
				t.Fatalf("%+v", told)
			}
			for i, want := range []struct{ from, to time.Duration }{{time.Second, 31 * time.Second}, {-20 * time.Millisecond, 60 * time.Second}} {
				for edge, off := range map[string]time.Duration{
					"start": told[i].Start.Round(0).Sub(base.Add(want.from).Round(0)), "end": told[i].End.Round(0).Sub(base.Add(want.to).Round(0)),
				} {
					if off != 0 {
						t.Errorf("the %s of %s is off by %v", edge, told[i].Name, off)
					}
				}
				for _, a := range told[i].Attributes {
					if a.Key == startup.AttrClockSkewSeconds {
						t.Errorf("%s: %v", told[i].Name, a)
					}
				}
			}
		})
	}
}

func TestAStartFromTheFutureIsNow(t *testing.T) {
	now := time.Now()
	if _, began := newClock(now.Add(time.Hour).Round(0), now); !began.Equal(now) {
		t.Errorf("%v", began.Sub(now))
	}
}
