// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"bytes"
	"time"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/wrapper/process"
)

// rayPhase is the setting up of a Ray cluster, or joining one.
type rayPhase struct {
	proc   *process.Process
	member bool
	start  time.Time
	end    time.Time // zero until it is complete
	told   bool
}

// rayLine is what `ray start` says when this node has joined.
var rayLine = []byte("Ray runtime started.")

func (s *story) rayJoined(at time.Time, text []byte) {
	if s.ray != nil && s.ray.end.IsZero() && s.ray.member && bytes.Contains(text, rayLine) {
		s.rayComplete(at)
	}
}

func (s *story) sayRay(failure string) {
	s.ray.told = true
	s.say(s.span(startup.SpanRayClusterInit, s.ray.start, s.ray.end, failure))
}

func (s *story) rayComplete(at time.Time) {
	s.ray.end = at
	s.sayRay("")
	if s.role == startup.RoleWorker {
		s.ready(at)
	}
}
