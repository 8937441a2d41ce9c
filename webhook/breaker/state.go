// SPDX-License-Identifier: Apache-2.0

package breaker

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/inject"
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
	Owners map[string]Owner `json:"owners,omitempty"` // by nameOf
	All    time.Time        `json:"all,omitzero"`     // since when it is open for all
	// Refused are the namespaces in which a pod was refused for a volume, since when. They stay: a policy does, and to try
	// again would cost a pod.
	Refused map[string]time.Time `json:"refused,omitempty"`
}

// refuse notes that pods of a namespace can't have an image volume, and tells if that is news.
func (s *State) refuse(namespace string, now time.Time) bool {
	if _, known := s.Refused[namespace]; known || len(s.Refused) >= maxOwners {
		return false
	}
	if s.Refused == nil {
		s.Refused = map[string]time.Time{}
	}
	s.Refused[namespace] = now
	return true
}

// NoImageVolume is the reason for which a pod of the namespace can't have an image volume; empty: none.
func (s *State) NoImageVolume(namespace string) inject.Reason {
	if s.Refused[namespace].IsZero() {
		return ""
	}
	return inject.ReasonRefused
}

// NoWrapper is the reason for which a controller's pod goes without: because of its workload, or of the controller, of whom alone
// an event speaks; empty: none.
func (s *State) NoWrapper(namespace string, labels map[string]string, kind, name string) inject.Reason {
	if s.isOpen(nameOf(namespace, labels, kind, name)) || s.isOpen(nameOf(namespace, nil, kind, name)) {
		return inject.ReasonBreaker
	}
	return ""
}

// nameOf names a workload, as the owner of its pods, the same through all rollouts: namespace/Kind/name. Empty for a bare pod.
func nameOf(namespace string, labels map[string]string, kind, name string) string {
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

// report is one pod's verdict. The same twice counts once.
type report struct {
	workload string // see nameOf
	pod      string // its UID, or what stands for it
	verdict  Verdict
	owner    corev1.ObjectReference
	volume   bool // it was refused for its volume
}

func (r *report) id() string { return r.pod + string(r.verdict) }

// observe takes a report in and tells whether the state changed, and whether it opened for the owner and for all.
func (s *State) observe(r *report, now time.Time) (changed, opened, openedAll bool) {
	if s.Owners == nil {
		s.Owners = map[string]Owner{}
	}
	o, known := s.Owners[r.workload]
	switch {
	case r.verdict == Fine, r.workload == "":
		return false, false, false
	case r.verdict == SameBare:
		// Only of interest where crashes made us suspect ourselves: they go on without us, so it was not us.
		if !known || o.Verdict != Crashing || o.Cleared {
			return false, false, false
		}
		o.Cleared, o.Open, o.Seen = true, time.Time{}, now
		s.Owners[r.workload] = o
		return true, false, false
	case r.verdict == Crashing && o.Cleared, slices.Contains(o.Pods, r.pod), !o.Open.IsZero():
		return false, false, false
	}
	o.Verdict, o.Seen = r.verdict, now
	o.Pods = append(o.Pods, r.pod)
	if r.verdict != Crashing || len(o.Pods) >= crashingPods {
		o.Open, opened = now, true
	}
	s.Owners[r.workload] = o
	if len(s.Owners) > maxOwners { // who was seen longest ago is forgotten
		delete(s.Owners, slices.MinFunc(slices.Collect(maps.Keys(s.Owners)), func(a, b string) int { return s.Owners[a].Seen.Compare(s.Owners[b].Seen) }))
	}
	if opened && r.verdict != Refused && s.All.IsZero() && s.open() >= openFor {
		s.All, openedAll = now, true
	}
	return true, opened, openedAll
}

// expire closes what has been open for long enough, and forgets.
func (s *State) expire(now time.Time) (changed bool) {
	before := len(s.Owners)
	maps.DeleteFunc(s.Owners, func(_ string, o Owner) bool { return now.Sub(o.Seen) >= reset })
	changed = len(s.Owners) < before
	if !s.All.IsZero() && now.Sub(s.All) >= reset {
		s.All, changed = time.Time{}, true
	}
	return changed
}

// isOpen tells if pods of the owner must go without the wrapper.
func (s *State) isOpen(owner string) bool {
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
