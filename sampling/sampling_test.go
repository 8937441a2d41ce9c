// SPDX-License-Identifier: Apache-2.0

package sampling

import (
	"math"
	"strings"
	"testing"
	"time"
)

// incident is the documented one. By hand: 2,500 tasks, each polled every 3 s, are 2500/3 = 833.33 polls a second, times
// 86,400 s are 72,000,000 a day. 10 failing calls a second, tried 9 times each, are 90 a second, 7,776,000 a day.
var incident = Load{Tasks: 2500, PollInterval: 3 * time.Second, Failing: 10, Attempts: 9, Requests: 50, StartsPerDay: 200}

func TestTheIncidentIsWhatOneCalculatesByHand(t *testing.T) {
	all := Sampling{Root: 100, RootPolls: 100, Collector: 100, CollectorPolls: 100}
	for name, test := range map[string]struct {
		sampling Sampling
		perDay   map[string]float64
		dropped  float64 // percent of all
	}{
		"everything is traced and kept": {
			sampling: all,
			// 50 a second are 4,320,000 a day; in all 72,000,000 + 4,320,000 + 7,776,000 + 200.
			perDay: map[string]float64{Polls: 72_000_000, Requests: 4_320_000, Failures: 7_776_000, Starts: 200, Total: 84_096_200},
		},
		"the gateway traces one poll in a hundred": {
			sampling: Sampling{Root: 100, RootPolls: 1, Collector: 100, CollectorPolls: 100},
			// 71,280,000 of 84,096,200 are gone.
			perDay:  map[string]float64{Polls: 720_000, Requests: 4_320_000, Failures: 7_776_000, Starts: 200, Total: 12_816_200},
			dropped: 84.7601,
		},
		"the chart's defaults: no polls, a tenth of the rest, every error": {
			sampling: Sampling{Root: 100, RootPolls: 100, Collector: 10, CollectorPolls: 0, KeepErrors: true},
			perDay:   map[string]float64{Polls: 0, Requests: 432_000, Failures: 7_776_000, Starts: 200, Total: 8_208_200},
			dropped:  90.2395,
		},
		"a root that samples loses errors before the collector can keep them": {
			sampling: Sampling{Root: 1, RootPolls: 1, Collector: 10, CollectorPolls: 0, KeepErrors: true},
			perDay:   map[string]float64{Polls: 0, Requests: 4_320, Failures: 77_760, Starts: 200, Total: 82_280},
			dropped:  99.9022,
		},
	} {
		t.Run(name, func(t *testing.T) {
			classes := Of(incident, test.sampling)
			for _, c := range classes {
				if got := c.PerDay(); got != test.perDay[c.Name] {
					t.Errorf("%s: %.0f a day, want %.0f", c.Name, got, test.perDay[c.Name])
				}
			}
			if total := classes[len(classes)-1]; math.Abs(total.Dropped()-test.dropped) > 0.0001 {
				t.Errorf("dropped %.4f %%, want %.4f", total.Dropped(), test.dropped)
			}
		})
	}
}

func TestWhatMakesNoSenseIsNamed(t *testing.T) {
	for name, test := range map[string]struct {
		load     func(*Load)
		sampling func(*Sampling)
		want     string
	}{
		"no load":                     {load: func(l *Load) { *l = Load{Attempts: 1} }, want: "no load"},
		"tasks that are never polled": {load: func(l *Load) { l.PollInterval = 0 }, want: "poll-interval"},
		"a call without an attempt":   {load: func(l *Load) { l.Attempts = 0 }, want: "attempts"},
		"fewer than no tasks":         {load: func(l *Load) { l.Tasks = -1 }, want: "tasks"},
		"a rate that is not a number": {load: func(l *Load) { l.Requests = math.NaN() }, want: "requests"},
		"an infinite rate":            {load: func(l *Load) { l.Failing = math.Inf(1) }, want: "failing"},
		"fewer than no starts":        {load: func(l *Load) { l.StartsPerDay = -1 }, want: "starts"},
		"more than everything":        {sampling: func(s *Sampling) { s.Collector = 101 }, want: "keep"},
		"less than nothing":           {sampling: func(s *Sampling) { s.RootPolls = -1 }, want: "root-polls"},
	} {
		t.Run(name, func(t *testing.T) {
			load, sampling := incident, Sampling{}
			if test.load != nil {
				test.load(&load)
			}
			if test.sampling != nil {
				test.sampling(&sampling)
			}
			err := load.Validate()
			if err == nil {
				err = sampling.Validate()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want one about %s", err, test.want)
			}
		})
	}
	if err := incident.Validate(); err != nil {
		t.Error(err)
	}
}
