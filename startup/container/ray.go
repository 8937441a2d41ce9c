// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bytes"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// rayPhase is the setting up of a Ray cluster, or joining one.
type rayPhase struct {
	proc   *Process
	member bool
	start  time.Time
	end    time.Time // zero until it is complete
	told   bool
}

// rayLine is what `ray start` says when this node has joined.
var rayLine = []byte("Ray runtime started.")

func (s *Story) rayJoined(at time.Time, text []byte) {
	if s.ray != nil && s.ray.end.IsZero() && s.ray.member && bytes.Contains(text, rayLine) {
		s.rayComplete(at)
	}
}

// rayOver tells of a cluster that is set up: something follows it.
func (s *Story) rayOver() {
	if s.ray != nil && !s.ray.end.IsZero() && !s.ray.told {
		s.sayRay("")
	}
}

func (s *Story) sayRay(failure startup.Reason) {
	s.ray.told = true
	s.say(s.span(startup.SpanRayClusterInit, s.ray.start, s.ray.end, failure))
}

func (s *Story) rayComplete(at time.Time) {
	s.ray.end = at
	s.sayRay("")
	if s.begin.Role == startup.RoleWorker {
		s.Ready(at)
	}
}
