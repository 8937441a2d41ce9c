// SPDX-License-Identifier: Apache-2.0

package breaker

import (
	"slices"
	"time"

	"github.com/coldtrace/coldtrace/endpoint"
)

// The breaker opens within three failed pods, for all at five owners, and tries again after an hour.
const (
	crashingPods = 3         // of one owner, until it opens for the owner
	openFor      = 5         // owners, until it opens for all
	reset        = time.Hour // after this it closes and the wrapper is tried again
)

// maxOwners bounds what is remembered; an object of the API has 1 MiB.
const maxOwners = 1000

// State is what the ConfigMap holds.
type State struct {
	Owners map[string]Owner `json:"owners,omitempty"` // by NameOf
	All    time.Time        `json:"all,omitzero"`     // since when it is open for all
	// Refused are the namespaces in which a pod was refused for a volume, since when. They stay: a policy does, and to try
	// again would cost a pod.
	Refused map[string]time.Time `json:"refused,omitempty"`
}

// Refuse notes that pods of a namespace can't have an image volume, and tells if that is news.
func (s *State) Refuse(namespace string, now time.Time) bool {
	if _, known := s.Refused[namespace]; known || len(s.Refused) >= maxOwners {
		return false
	}
	if s.Refused == nil {
		s.Refused = map[string]time.Time{}
	}
	s.Refused[namespace] = now
	return true
}

// IsRefused tells if pods of a namespace can't have an image volume.
func (s *State) IsRefused(namespace string) bool { return !s.Refused[namespace].IsZero() }

// NameOf names a workload, as the owner of its pods, the same through all rollouts: namespace/Kind/name. Empty for a bare pod.
func NameOf(namespace string, labels map[string]string, kind, name string) string {
	if name == "" {
		return ""
	}
	kind, name = endpoint.Workload(labels, kind, name)
	return namespace + "/" + kind + "/" + name
}

// Owner is what is known of one owner.
type Owner struct {
	Verdict Verdict   `json:"verdict"`
	Pods    []string  `json:"pods,omitempty"` // that crashed, by UID
	Seen    time.Time `json:"seen"`           // last
	Open    time.Time `json:"open,omitzero"`  // since when
	Cleared bool      `json:"cleared,omitempty"`
}

// Report is one pod's verdict.
type Report struct {
	Owner   string // see NameOf
	PodUID  string
	Verdict Verdict
}

// Observe takes a report in and tells whether the state changed, and whether it opened for the owner and for all.
func (s *State) Observe(r Report, now time.Time) (changed, opened, openedAll bool) {
	if s.Owners == nil {
		s.Owners = map[string]Owner{}
	}
	o, known := s.Owners[r.Owner]
	switch {
	case r.Verdict == Fine, r.Owner == "":
		return false, false, false
	case r.Verdict == SameBare:
		// Only of interest where crashes made us suspect ourselves: they go on without us, so it was not us.
		if !known || o.Verdict != Crashing || o.Cleared {
			return false, false, false
		}
		o.Cleared, o.Open, o.Seen = true, time.Time{}, now
		s.Owners[r.Owner] = o
		return true, false, false
	case r.Verdict == Crashing && o.Cleared, slices.Contains(o.Pods, r.PodUID), !o.Open.IsZero():
		return false, false, false
	}
	o.Verdict, o.Seen = r.Verdict, now
	o.Pods = append(o.Pods, r.PodUID)
	if r.Verdict != Crashing || len(o.Pods) >= crashingPods {
		o.Open, opened = now, true
	}
	s.Owners[r.Owner] = o
	s.bound()
	if opened && r.Verdict != Refused && s.All.IsZero() && s.open() >= openFor {
		s.All, openedAll = now, true
	}
	return true, opened, openedAll
}

// expire closes what has been open for long enough, and forgets.
func (s *State) expire(now time.Time) (changed bool) {
	for name, o := range s.Owners {
		if now.Sub(o.Seen) >= reset {
			delete(s.Owners, name)
			changed = true
		}
	}
	if !s.All.IsZero() && now.Sub(s.All) >= reset {
		s.All, changed = time.Time{}, true
	}
	return changed
}

// IsOpen tells if pods of the owner must go without the wrapper.
func (s *State) IsOpen(owner string) bool {
	return !s.All.IsZero() || !s.Owners[owner].Open.IsZero()
}

func (s *State) open() int {
	n := 0
	for _, o := range s.Owners {
		if !o.Open.IsZero() && o.Verdict != Refused { // who refuses pods refuses some of them only
			n++
		}
	}
	return n
}

// bound forgets who was seen longest ago.
func (s *State) bound() {
	for len(s.Owners) > maxOwners {
		oldest, at := "", time.Time{}
		for name, o := range s.Owners {
			if oldest == "" || o.Seen.Before(at) {
				oldest, at = name, o.Seen
			}
		}
		delete(s.Owners, oldest)
	}
}
