// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/coldtrace/coldtrace/startup"
)

// state is how far a start is: one of the watcher's outcomes, or that it goes on.
type state string

const (
	stateGoing     state = ""
	stateReady     state = startup.OutcomeReady
	stateStarted   state = startup.OutcomeStarted
	stateCompleted state = startup.OutcomeCompleted
	stateFailed    state = startup.OutcomeFailed
	stateDeleted   state = startup.OutcomeDeleted
	stateTimedOut  state = startup.OutcomeTimedOut
)

// words are what a person calls a state.
var words = map[state]string{
	stateGoing: "still starting", stateReady: "ready", stateStarted: "running", stateCompleted: "completed", stateFailed: "failed",
	stateDeleted: "deleted", stateTimedOut: "timed out",
}

// Outcome is how a start went, as far as all of its spans tell together.
type Outcome struct {
	state    state
	attempts int       // of the container; 0: none is known of
	failed   int       // of these
	reasons  []counted // of what failed, the most telling ones
	waiting  string    // for what, where it did not end by itself
}

type counted struct {
	reason string
	times  int
}

// Failed says whether the start did not succeed, and will not.
func (o Outcome) Failed() bool {
	return o.state == stateFailed || o.state == stateDeleted || o.state == stateTimedOut
}

// InProgress says whether the start goes on, as far as the spans tell.
func (o Outcome) InProgress() bool { return o.state == stateGoing }

// Reasons are the most telling ones of what failed, each once.
func (o Outcome) Reasons() []string {
	var out []string
	for _, r := range o.reasons {
		out = append(out, r.reason)
	}
	return out
}

// Word is the state in a word: ready, failed, still starting.
func (o Outcome) Word() string { return words[o.state] }

func (o Outcome) String() string { return o.text("") }

// text is the outcome in words: "failed after 3m 10s: cuda_out_of_memory ×4, then deleted".
func (o Outcome) text(after string) string {
	switch {
	case o.state == stateGoing && o.failed > 0:
		next := max(o.attempts, o.failed+1)
		return fmt.Sprintf("attempt %d, after %d failed (%s)", next, o.failed, o.why(false))
	case o.state == stateGoing:
		return joinedBy(": ", words[o.state], o.waiting)
	case !o.Failed():
		text := words[o.state] + after
		if o.state == stateStarted {
			text += "; no probe tells when it serves"
		}
		if o.attempts > 1 {
			text += fmt.Sprintf(", %d attempts", o.attempts)
		}
		return text
	case o.failed > 0 && o.state != stateFailed:
		return fmt.Sprintf("failed%s: %s, then %s", after, o.why(true), words[o.state])
	case len(o.reasons) > 0:
		return fmt.Sprintf("%s%s: %s", words[o.state], after, o.why(true))
	}
	return joinedBy(": ", words[o.state]+after, o.waiting)
}

// why lists the reasons; how often each, where that is not told otherwise.
func (o Outcome) why(times bool) string {
	var (
		out   []string
		total int
	)
	for _, r := range o.reasons {
		text := r.reason
		if times && r.times > 1 || len(o.reasons) > 1 && r.times > 1 {
			text += fmt.Sprintf(" ×%d", r.times)
		}
		out = append(out, text)
		total += r.times
	}
	if times && o.attempts > 1 && total != o.attempts {
		out = append(out, fmt.Sprintf("%d attempts", o.attempts))
	}
	return strings.Join(out, ", ")
}

func (o Outcome) style() style {
	switch {
	case o.Failed():
		return red
	case o.InProgress():
		return yellow
	}
	return plain
}

// root is the span of the whole start, or what stands for it.
func (t *Trace) root() *Node {
	var root *Node
	for _, n := range t.Roots {
		if n.Name == startup.SpanPodStartup && (root == nil || root.Missing) {
			root = n
		}
	}
	if root == nil {
		return t.Roots[0]
	}
	return root
}

// Outcome of the trace: what its root says, and why by the whole of it. The root alone says "exit_code=1" where the
// phase in the container says that the GPU's memory was in use; and it says "ready" of a pod that nothing probes.
func (t *Trace) Outcome() Outcome {
	if t.group != nil {
		return t.group.outcome()
	}
	root := t.root()
	o := Outcome{state: cmp.Or(root.state(), t.settled())}
	var blamed []*Node
	for i, a := range t.attempts {
		o.attempts = max(o.attempts, a.number)
		switch {
		case !a.failed || o.endedIt(a.culprit, root):
			continue
		case i == len(t.attempts)-1 && o.state.well():
			o.state = stateFailed
		}
		o.failed = max(o.failed+1, a.number) // of those before, a cluster that is asked afterwards knows no more than that they were
		blamed = append(blamed, a.culprit)
	}
	if o.state == stateStarted && t.served() {
		o.state = stateReady
	}
	if c := culprit(t.Roots); o.Failed() && c != nil && !o.endedIt(c, root) && !slices.ContainsFunc(blamed, func(n *Node) bool { return n.telling() >= c.telling() }) {
		blamed = []*Node{c}
	}
	o.reasons = count(blamed)
	if o.Failed() && len(o.reasons) == 0 && root.telling() == startup.TellsWhat {
		o.reasons = count([]*Node{root}) // PreemptionByScheduler
	}
	if o.failed == 0 && len(o.reasons) == 0 {
		o.waiting = t.waiting(o.state)
	}
	return o
}

// well says whether the start succeeded, as far as Kubernetes knows.
func (s state) well() bool { return s == stateReady || s == stateStarted || s == stateCompleted }

// settled is what the watcher's span of the last attempt says where the root's is still to come: it ends well when the pod is Ready,
// or when its container is through and is not started again, as a Job's.
func (t *Trace) settled() state {
	for _, n := range t.lastAttempt() {
		if n.Name == startup.SpanPodReady && !n.Failed && !n.Open {
			if n.own(startup.AttrExitCode) != "" {
				return stateCompleted
			}
			return stateReady
		}
	}
	return stateGoing
}

// served says whether the wrapper saw the last attempt's server answer, or its batch job's engine get ready.
func (t *Trace) served() bool {
	return slices.ContainsFunc(t.lastAttempt(), func(n *Node) bool { return n.Name == startup.SpanStartup && !n.Failed && !n.Open })
}

func (t *Trace) lastAttempt() []*Node {
	if len(t.attempts) == 0 {
		return nil
	}
	return t.attempts[len(t.attempts)-1].nodes
}

func (n *Node) state() state {
	said := state(cmp.Or(n.own(startup.AttrEndedBy), n.own(startup.AttrOutcome)))
	_, known := words[said]
	switch {
	case n.Missing || n.Open:
		return stateGoing
	case said != "" && known:
		return said
	case n.Failed:
		return stateFailed
	}
	return stateReady
}

// endedIt says whether n failed because the start was ended, and not the other way round.
func (o Outcome) endedIt(n, root *Node) bool {
	switch o.state {
	case stateDeleted:
		return n.telling() < startup.TellsExit || n.Reason() == startup.ReasonTerminated || n != root && n.Reason() == root.Reason() && root.own(startup.AttrEndedBy) == ""
	case stateTimedOut:
		return n.telling() < startup.TellsExit
	}
	return false
}

// count are the most telling reasons, in the order they came up.
func count(blamed []*Node) (reasons []counted) {
	most := startup.Tells(0)
	for _, n := range blamed {
		most = max(most, n.telling())
	}
	for _, n := range blamed {
		if n.telling() < most {
			continue
		}
		at := slices.IndexFunc(reasons, func(c counted) bool { return c.reason == n.Reason() })
		if at < 0 {
			reasons = append(reasons, counted{n.Reason(), 1})
			continue
		}
		reasons[at].times++
	}
	return reasons
}

// waiting is what a start that did not come to an end of its own was at, and why, as far as that is told.
func (t *Trace) waiting(s state) string {
	var at []string
	failed := map[string][]*Node{}
	t.Walk(func(n *Node) {
		switch {
		case n.Name == startup.SpanInitContainer && n.Failed && s == stateGoing:
			of := n.Name + " " + n.own(startup.AttrContainerName)
			if failed[of] = append(failed[of], n); len(failed[of]) == 1 {
				at = append(at, of)
			}
		case s == stateGoing && !n.Open, s != stateGoing && !n.Failed, n == t.root(), n.hasOpen():
		case s == stateGoing, s == stateDeleted, s == stateTimedOut:
			if why := n.why(); why != "" {
				at = append(at, n.Label()+" ("+why+")")
			} else if s != stateDeleted {
				at = append(at, n.Label())
			}
		}
	})
	for i, of := range at {
		if nodes := failed[of]; nodes != nil {
			at[i] += " (" + Outcome{reasons: count(nodes)}.why(true) + ")"
		}
	}
	return strings.Join(at, ", ")
}

func (n *Node) hasOpen() bool {
	return slices.ContainsFunc(n.Children, func(c *Node) bool { return c.Open || c.hasOpen() })
}

// why is what the cluster says a phase waits for.
func (n *Node) why() string {
	reasons := n.own(startup.AttrReasons)
	for _, e := range n.Events {
		if e.Name == startup.EventFailedSchedule {
			reasons = cmp.Or(textIn(e.Attributes, startup.AttrReasons), reasons)
		}
	}
	why := cmp.Or(strings.Trim(reasons, "[]"), n.own(startup.AttrWaitingReason))
	if cause := n.own(startup.AttrCause); cause != "" {
		why = joinedBy(": ", cmp.Or(why, n.own(startup.AttrReason)), cause)
	}
	if holders := strings.Trim(n.own(startup.AttrWaitingFor), "[]"); holders != "" {
		why = joinedBy(", ", why, "waits for "+holders)
	}
	return strings.TrimPrefix(why, ", ")
}

func joinedBy(separator, a, b string) string {
	if b == "" {
		return a
	}
	return a + separator + b
}
