// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"slices"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// Stub is as much of Facts as is needed to tell a start to its end when the pod itself has gone in the meantime. The
// events that are still there fill in the rest.
type Stub struct {
	Namespace string `json:"ns"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	Node      string `json:"node,omitempty"`
	Target    string `json:"target,omitempty"`
	Created   int64  `json:"created"`             // unix nanoseconds
	Scheduled int64  `json:"scheduled,omitempty"` // likewise
	Gated     bool   `json:"gated,omitempty"`
	Said
	Witness
	Containers []string  `json:"containers,omitempty"` // in the order of the spec
	Classes    []uint8   `json:"roles,omitempty"`      // of Containers
	Waits      []uint16  `json:"waits,omitempty"`      // of Containers: what each was seen to wait for
	Causes     []uint32  `json:"causes,omitempty"`     // of Waits
	WaitsOf    []int32   `json:"waitsOf,omitempty"`    // the run of Waits
	Traits     []uint8   `json:"traits,omitempty"`     // of Containers
	Policy     uint8     `json:"policy,omitempty"`     // what becomes of a container that ended
	Grace      int64     `json:"grace,omitempty"`      // nanoseconds
	Runs       []StubRun `json:"runs,omitempty"`       // those that ended: status tells of the last one alone
}

// Witness is what no object tells but whoever was watching when it happened. Another observer would tell another time.
type Witness struct {
	Ungated int64          `json:"ungated,omitempty"` // unix nanoseconds
	Gone    int64          `json:"gone,omitempty"`    // likewise
	Heard   startup.Reason `json:"-"`                 // Said.Why
}

// Said is what the target's log said. It may be gone when somebody else reads it.
type Said struct {
	Served int64          `json:"served,omitempty"` // when it serves, in unix nanoseconds
	Unsaid bool           `json:"unsaid,omitempty"` // it will not say, or nobody will hear it
	Why    startup.Reason `json:"why,omitempty"`    // the run WhyOf failed
	WhyOf  int            `json:"whyOf,omitempty"`  // from 1
}

// StubRun is a run of a container that ended.
type StubRun struct {
	Container int    `json:"c,omitempty"` // index
	Number    int32  `json:"n"`
	Exit      int32  `json:"x,omitempty"`
	Reason    string `json:"r,omitempty"`
	Started   int64  `json:"s,omitempty"` // unix seconds
	Finished  int64  `json:"f,omitempty"` // likewise
}

// Witnessed is what the facts have from the observer's clock.
func (f *Facts) Witnessed() Witness {
	w := Witness{Gone: int64(f.gone), Heard: f.why}
	if f.gated {
		w.Ungated = int64(f.ungated)
	}
	return w
}

// Stub is what is kept of the facts across a restart.
func (f *Facts) Stub() Stub {
	s := Stub{
		Namespace: f.Namespace, Name: f.Name, UID: f.UID, Node: f.Node, Target: f.Target,
		Created: int64(f.created), Scheduled: int64(f.scheduled), Gated: f.gated, Said: f.Said(), Witness: f.Witnessed(),
	}
	s.Policy, s.Grace = uint8(f.policy), int64(f.grace)
	for i := range f.containers {
		c := &f.containers[i]
		s.Containers = append(s.Containers, c.name)
		s.Classes, s.Traits = append(s.Classes, uint8(c.class)), append(s.Traits, uint8(c.traits))
		s.Waits, s.Causes, s.WaitsOf = append(s.Waits, uint16(c.waits.reasons)), append(s.Causes, uint32(c.waits.causes)), append(s.WaitsOf, c.waits.run)
		for _, a := range c.attempts {
			if a.ended {
				s.Runs = append(s.Runs, StubRun{i, a.number, a.exit, a.reason, int64(a.started / second), int64(a.finished / second)})
			}
		}
	}
	return s
}

// FromStub are the facts of a stub.
func FromStub(s Stub) *Facts {
	f := &Facts{
		Namespace: s.Namespace, Name: s.Name, UID: s.UID, Node: s.Node, Target: s.Target,
		created: nanos(s.Created), scheduled: nanos(s.Scheduled), gated: s.Gated, ungated: nanos(s.Ungated), served: nanos(s.Served),
		unsaid: s.Unsaid, why: s.Why, whyOf: s.WhyOf, gone: nanos(s.Gone), policy: restartPolicy(s.Policy), grace: nanos(s.Grace),
	}
	for i, name := range s.Containers {
		c := container{name: intern(name), traits: traitProbed} // what a stub of an older version does not have
		if i < len(s.Classes) {
			c.class = class(s.Classes[i])
		}
		if i < len(s.Waits) && i < len(s.Causes) && i < len(s.WaitsOf) && i < len(s.Traits) {
			c.waits = waits{run: s.WaitsOf[i], reasons: waiting(s.Waits[i]), causes: causes(s.Causes[i])}
			c.traits = traits(s.Traits[i])
		}
		f.containers = append(f.containers, c)
	}
	for _, r := range s.Runs {
		if r.Container < 0 || r.Container >= len(f.containers) {
			continue
		}
		a := f.containers[r.Container].attempt(r.Number)
		a.ended, a.exit, a.reason = true, r.Exit, intern(r.Reason)
		a.started, a.finished = nanos(r.Started)*second, nanos(r.Finished)*second
	}
	return f
}

// Created is when the pod was created, zero if no version of it is known.
func (f *Facts) Created() time.Time {
	if f.created == 0 {
		return time.Time{}
	}
	return f.created.time()
}

// Ended is how a run of a container ended, by its exit code and the runtime's clock; false: it did not, or nobody knows.
func (f *Facts) Ended(name string, run int) (exit int, at time.Time, ok bool) {
	i := f.container(name)
	if i < 0 {
		return 0, time.Time{}, false
	}
	n := slices.IndexFunc(f.containers[i].attempts, func(a attempt) bool { return a.ended && int(a.number) == run })
	if n < 0 {
		return 0, time.Time{}, false
	}
	a := &f.containers[i].attempts[n]
	return int(a.exit), a.finished.time(), true
}
