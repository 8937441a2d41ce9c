// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"strconv"

	"github.com/coldtrace/coldtrace/startup"
)

// Outcome is how a start ended.
type Outcome string

// Outcomes.
const (
	Open      Outcome = ""                       // it has not ended
	Ready     Outcome = startup.OutcomeReady     // the Ready condition became true
	Completed Outcome = startup.OutcomeCompleted // all containers ended well before the pod was ever Ready: a short job
	Failed    Outcome = startup.OutcomeFailed    // the pod failed: Evicted, rejected by the kubelet, a container that may not restart
	Deleted   Outcome = startup.OutcomeDeleted   // it was deleted, preempted or drained before it was Ready
	TimedOut  Outcome = startup.OutcomeTimedOut  // it took longer than anybody waits
)

// ending is when and how a start ended.
type ending struct {
	at      nanos
	outcome Outcome
	reason  string // of the root span; empty for a start that did well
	// witnessed: the time is the observer's own.
	witnessed bool
}

// ending finds the first thing that ended the start.
func (f *Facts) ending(now, timeout nanos) ending {
	limit := f.created + timeout
	end := ending{at: limit, outcome: TimedOut, reason: startup.ReasonTimedOut}
	ended := now >= limit
	consider := func(at nanos, o Outcome, reason string) {
		if at != 0 && at < end.at {
			end, ended = ending{at: at, outcome: o, reason: reason}, true
		}
	}
	consider(f.gone, Deleted, f.whyDeleted())
	end.witnessed = ended
	consider(f.deleted, Deleted, f.whyDeleted())
	if f.failed {
		consider(f.terminal, Failed, f.whyFailed())
	} else {
		consider(f.terminal, Completed, "")
	}
	// A pod that was Ready was Ready, whatever the other clocks say: deletion and failure may carry an earlier second.
	if f.ready != 0 && f.ready < limit {
		end, ended = ending{at: f.ready, outcome: Ready}, true
	}
	if !ended {
		return ending{}
	}
	return end
}

func (f *Facts) whyDeleted() string {
	if f.disruption != "" {
		return f.disruption
	}
	if f.has(kindPreempted) {
		return "PreemptionByScheduler"
	}
	return string(Deleted)
}

// whyFailed is the pod's own reason, else that of the container that ended it: the last one to fail.
func (f *Facts) whyFailed() string {
	if f.reason != "" {
		return f.reason
	}
	var last attempt
	for i := range f.containers {
		for _, a := range f.containers[i].attempts {
			if a.failure() != "" && a.finished >= last.finished {
				last = a
			}
		}
	}
	if reason := last.failure(); reason != "" {
		return reason
	}
	return string(Failed)
}

// failure is the typed reason of an attempt that ended badly. "Error" says no more than its exit code does.
func (a attempt) failure() string {
	switch {
	case !a.ended, a.exit == 0 && (a.reason == "" || a.reason == "Completed"):
		return ""
	case a.reason == "" || a.reason == "Error":
		return "exit_code=" + strconv.Itoa(int(a.exit))
	}
	return a.reason
}

func (f *Facts) has(k kind) bool {
	for i := range f.events {
		if f.events[i].kind == k {
			return true
		}
	}
	return false
}
