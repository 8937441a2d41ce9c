// SPDX-License-Identifier: Apache-2.0

// Package sampling is the arithmetic of trace volume: how many traces a load makes, how many are left after each sampler,
// and what share is dropped. It is pure.
package sampling

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Load is what makes traces. Every attempt of a call is a trace of its own, as every HTTP request is at a gateway.
type Load struct {
	Requests     float64       // calls per second that succeed at once
	Failing      float64       // calls per second that fail
	Attempts     int           // attempts of a failing call, the first one included
	Tasks        int           // tasks waiting for their result at a time
	PollInterval time.Duration // between two looks of a task at its result
	StartsPerDay float64       // pods that start in a day: one startup trace each
}

// Sampling is what is kept, in percent: first at the root of the trace (the gateway's proxy, the SDK), which knows no
// outcome, then in the collector, which does.
type Sampling struct {
	Root           float64 // of all requests but polls
	RootPolls      float64
	Collector      float64
	CollectorPolls float64
	KeepErrors     bool // the collector keeps every trace with an error
}

// Class is one kind of trace, in traces per second.
type Class struct {
	Name     string
	Requests float64 // that could become a trace
	Traced   float64 // after the root's sampling
	Kept     float64 // after the collector's
}

// PerDay is how many traces are kept in a day.
func (c Class) PerDay() float64 { return math.Round(c.Kept * day) }

// Dropped is the share that is not kept, in percent of what could become a trace.
func (c Class) Dropped() float64 {
	if c.Requests == 0 {
		return 0
	}
	return 100 * max(0, c.Requests-c.Kept) / c.Requests // rounding leaves less than nothing, at times
}

const day = 24 * 60 * 60 // seconds

// Names of the classes, in the order of Of.
const (
	Polls    = "polls"
	Requests = "requests"
	Failures = "failed attempts"
	Starts   = "startups"
	Total    = "total"
)

// Of is the volume of a load by class, and in all: the last element.
func Of(l Load, s Sampling) []Class {
	polls := 0.0
	if l.Tasks > 0 {
		polls = float64(l.Tasks) / l.PollInterval.Seconds()
	}
	errors := s.Collector
	if s.KeepErrors {
		errors = 100
	}
	classes := []Class{
		class(Polls, polls, s.RootPolls, s.CollectorPolls),
		class(Requests, l.Requests, s.Root, s.Collector),
		class(Failures, l.Failing*float64(l.Attempts), s.Root, errors),
		class(Starts, l.StartsPerDay/day, 100, 100), // kept by sampling.priority, whatever the samplers say
	}
	total := Class{Name: Total}
	for _, c := range classes {
		total.Requests += c.Requests
		total.Traced += c.Traced
		total.Kept += c.Kept
	}
	return append(classes, total)
}

func class(name string, requests, root, collector float64) Class {
	traced := requests * root / 100
	return Class{Name: name, Requests: requests, Traced: traced, Kept: traced * collector / 100}
}

// Validate names the first value that makes no sense.
func (l Load) Validate() error {
	switch {
	case !natural(l.Requests):
		return fmt.Errorf("--requests %v: want a rate per second", l.Requests)
	case !natural(l.Failing):
		return fmt.Errorf("--failing %v: want a rate per second", l.Failing)
	case !natural(l.StartsPerDay):
		return fmt.Errorf("--starts %v: want a number of pods per day", l.StartsPerDay)
	case l.Attempts < 1:
		return fmt.Errorf("--attempts %d: want 1 or more, the first one included", l.Attempts)
	case l.Tasks < 0:
		return fmt.Errorf("--tasks %d: want a number of tasks, 0 or more", l.Tasks)
	case l.Tasks > 0 && l.PollInterval <= 0:
		return fmt.Errorf("--poll-interval %v: want an interval above 0, such as 3s", l.PollInterval)
	case l.Requests == 0 && l.Failing == 0 && l.Tasks == 0 && l.StartsPerDay == 0:
		return errors.New("there is no load: give at least one of --requests, --failing, --tasks and --starts")
	}
	return nil
}

// Validate names the first share that is not a percentage.
func (s Sampling) Validate() error {
	for _, share := range []struct {
		name  string
		value float64
	}{{"root", s.Root}, {"root-polls", s.RootPolls}, {"keep", s.Collector}, {"keep-polls", s.CollectorPolls}} {
		if !natural(share.value) || share.value > 100 {
			return fmt.Errorf("--%s %v: want a percentage from 0 to 100", share.name, share.value)
		}
	}
	return nil
}

// natural tells a number that counts something from the rest: NaN, infinities, less than nothing.
func natural(f float64) bool { return f >= 0 && !math.IsInf(f, 0) }
