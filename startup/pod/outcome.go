// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/coldtrace/coldtrace/startup"
)

// Outcome is how a start ended.
type Outcome string

// Outcomes.
const (
	Open      Outcome = ""                       // it has not ended
	Ready     Outcome = startup.OutcomeReady     // the Ready condition became true
	Started   Outcome = startup.OutcomeStarted   // likewise, but nothing probes the pod: all that is known is that it runs
	Completed Outcome = startup.OutcomeCompleted // all containers ended well before the pod was ever Ready: a short job
	Failed    Outcome = startup.OutcomeFailed    // the pod failed: Evicted, rejected by the kubelet, a container that may not restart
	Deleted   Outcome = startup.OutcomeDeleted   // it was deleted, preempted or drained before it was Ready
	TimedOut  Outcome = startup.OutcomeTimedOut  // it took longer than anybody waits
)

// ending is when and how a start ended.
type ending struct {
	at      nanos
	outcome Outcome
	reason  startup.Reason // of the root span; empty for a start that did well
	// witnessed: the time is the observer's own.
	witnessed bool
	asked     nanos // at, as the API server has it
	by        source
}

// ending finds the first thing that ended the start.
func (f *Facts) ending(now, timeout nanos) ending {
	limit := f.created + timeout
	end := ending{at: limit, outcome: TimedOut, reason: startup.ReasonTimedOut, by: byStatus}
	ended := now >= limit
	consider := func(at nanos, o Outcome, reason startup.Reason) {
		if at != 0 && at < end.at {
			end, ended = ending{at: at, outcome: o, reason: reason, by: byStatus}, true
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
	if at, failure := f.through(); at != 0 && at+f.explained() < min(now, end.at) {
		end, ended = ending{at: at, outcome: Completed, by: byStatus}, true
		if failure != "" {
			end.outcome, end.reason = Failed, failure
		}
	}
	// A pod that was Ready was Ready, whatever the other clocks say: deletion and failure may carry an earlier second.
	if ready := f.readiness(now >= limit); ready.known() && ready.at < limit {
		end, ended = ending{at: ready.at, outcome: Ready, by: ready.src}, true
	}
	if !ended {
		return ending{by: byStatus}
	}
	end.asked = end.at
	return end
}

// through is when the target ended for good, and why if it failed; 0 if it runs, or is started again. Such a pod is never Ready any
// more, though a container beside the target may keep it from being Succeeded for ever: a Job's proxy.
func (f *Facts) through() (at nanos, failure startup.Reason) {
	i := f.target()
	mains := func(c container) bool { return c.class == classMain }
	first := slices.IndexFunc(f.containers, mains)
	several := first >= 0 && slices.ContainsFunc(f.containers[first+1:], mains)
	if i >= len(f.containers) || len(f.containers[i].attempts) == 0 || several && f.container(f.Target) < 0 { // nobody said which it is
		return 0, ""
	}
	c := &f.containers[i]
	last := c.attempts[len(c.attempts)-1]
	// A container may have rules of its own (restartPolicyRules): one that waits will be started.
	if !last.ended || c.waits.of(&run{number: int(last.number) + 1}) != 0 || f.policy.restarts(c.class, last.failure() != "") {
		return 0, ""
	}
	return last.finished, last.failure()
}

// explained is how long after the target's end an eviction or a deletion that caused it is known.
func (f *Facts) explained() nanos { return f.grace + 2*second }

// Left is after how long the start is over if nothing else happens; it may be over already.
func (f *Facts) Left(now time.Time, timeout time.Duration) time.Duration {
	limit := f.created + nanos(timeout)
	if at, _ := f.through(); at != 0 {
		limit = min(limit, at+f.explained())
	}
	return time.Duration(limit - nanos(now.UnixNano()))
}

// readiness is when the pod was ready: by its Ready condition and, where nothing probes the target, by its log. Kubernetes calls
// such a pod ready when its containers run; if the log never says more that has to do.
func (f *Facts) readiness(over bool) edge {
	switch {
	case f.served > f.ready && (f.ready != 0 || !f.probed()):
		return edge{f.served, byLog}
	case f.Awaited() && !over:
		return edge{}
	}
	return status(f.ready)
}

// AwaitLog tells that the target's log will be read, so that it may say when a target that nothing probes serves. Until it has
// said so, or never will, a Ready condition ends no such start.
func (f *Facts) AwaitLog() { f.awaited = !f.targetProbed() }

// Awaited tells that the start goes on until the log has said more.
func (f *Facts) Awaited() bool { return f.awaited && f.served == 0 && !f.unsaid }

// Said is what the target's log has said.
func (f *Facts) Said() Said { return Said{int64(f.served), f.unsaid, f.why, f.whyOf} }

// Hear adds what the target's log has said.
func (f *Facts) Hear(s Said) {
	f.served.earliest(nanos(s.Served))
	f.unsaid = f.unsaid || s.Unsaid
	if s.WhyOf > f.whyOf {
		f.why, f.whyOf = s.Why, s.WhyOf
	}
}

// targetProbed says whether the kubelet asks the target itself.
func (f *Facts) targetProbed() bool {
	i := f.target()
	return i < len(f.containers) && f.containers[i].has(traitProbed)
}

// target is the index of the container whose start is traced.
func (f *Facts) target() int {
	if i := f.container(f.Target); i >= 0 {
		return i
	}
	return max(0, slices.IndexFunc(f.containers, func(c container) bool { return c.class == classMain }))
}

// verdict settles how the start ended by the whole of it, and says so on the root: one that had failed before it was deleted
// or given up has failed.
func (b *builder) verdict(root *Span) Outcome {
	attempts, failure, logged, why := b.targetFailed()
	outcome := b.end.outcome
	root.Failure = b.end.reason
	if attempts > 0 {
		root.Attributes = append(root.Attributes, attribute.Int(startup.AttrFailedAttempts, attempts))
	}
	if outcome == Deleted || outcome == TimedOut {
		if failure == "" {
			failure, why = b.down()
		}
		if failure == "" {
			failure, why = b.blocked, b.blockedBy
		}
		if failure != "" {
			root.Attributes = append(root.Attributes, attribute.String(startup.AttrEndedBy, string(outcome)))
			outcome, root.Failure = Failed, failure
		}
	}
	if logged != "" && root.Failure == failure { // the kubelet knows of the end, the log of its reason
		root.Failure, root.Witnessed = logged, true
	}
	if cause := why.first(); cause != "" && outcome == Failed {
		root.Attributes = append(root.Attributes, attribute.String(startup.AttrCause, cause))
	}
	if outcome == Ready && !b.f.probed() && b.end.by != byLog {
		outcome = Started
	}
	if outcome != Open {
		root.Attributes = append(root.Attributes, attribute.String(startup.AttrOutcome, string(outcome)))
	}
	return outcome
}

// targetFailed is how often the target failed, and why it did last: by the kubelet and, if that says more, by its log.
func (b *builder) targetFailed() (attempts int, failure, logged startup.Reason, why causes) {
	i := b.f.target()
	if i >= len(b.runs) {
		return 0, "", "", 0
	}
	last, failed := b.lastRuns(i)
	if last != nil {
		attempts = last.number - 1
	}
	if failed == nil {
		return attempts, "", "", 0
	}
	if failed == last {
		attempts++
	}
	if failed.number == b.f.whyOf && failed.failure.Kind() == startup.ReasonExitCode && b.f.why.Kind() != startup.ReasonExitCode {
		logged = b.f.why
	}
	return attempts, failed.failure, logged, failed.causes
}

// down is why another container than the endpoint's had ended last and was not running again when the start ended.
func (b *builder) down() (failure startup.Reason, why causes) {
	var at nanos
	for i := range b.runs {
		if last, failed := b.lastRuns(i); failed != nil && failed == last && failed.finished.at >= at {
			at, failure, why = failed.finished.at, failed.failure, failed.causes
		}
	}
	return failure, why
}

func (f *Facts) whyDeleted() startup.Reason {
	if f.disruption != "" {
		return startup.Reason(f.disruption)
	}
	if slices.ContainsFunc(f.events, func(e event) bool { return e.kind == kindPreempted }) {
		return "PreemptionByScheduler"
	}
	return startup.Reason(Deleted)
}

// whyFailed is the pod's own reason, else that of the container that ended it: the last one to fail.
func (f *Facts) whyFailed() startup.Reason {
	if f.reason != "" {
		return startup.Reason(f.reason)
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
	return startup.Reason(Failed)
}

// failure is the typed reason of an attempt that ended badly. "Error" says no more than its exit code does.
func (a attempt) failure() startup.Reason {
	switch {
	case !a.ended, a.exit == 0 && (a.reason == "" || a.reason == "Completed"):
		return ""
	case a.reason == "" || a.reason == "Error":
		return startup.Exited(int(a.exit), 0)
	}
	return startup.Reason(a.reason)
}

// probed says whether the Ready condition tells more than that the containers run.
func (f *Facts) probed() bool {
	return len(f.readyGates) > 0 || slices.ContainsFunc(f.containers, func(c container) bool { return c.has(traitProbed) })
}
