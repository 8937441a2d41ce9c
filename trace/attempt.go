// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"slices"
	"strconv"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// attempt is one run of the endpoint's container, as the spans beside each other tell it: the watcher's pod_ready, the
// wrapper's startup, and from the second on how its container was made.
type attempt struct {
	number  int
	nodes   []*Node
	failed  bool
	culprit *Node // nil unless it failed
}

// spanAttempt is the row over the spans of one, made up here.
const spanAttempt = "attempt"

// findAttempts sorts the spans of each attempt together, by number.
func (t *Trace) findAttempts() {
	target := t.target()
	byNumber := map[int]*attempt{}
	for _, root := range t.Roots {
		for _, n := range append([]*Node{root}, root.Children...) {
			number, ok := n.attemptOf(target)
			if !ok || n.Missing {
				continue
			}
			a := byNumber[number]
			if a == nil {
				a = &attempt{number: number}
				byNumber[number] = a
				t.attempts = append(t.attempts, a)
			}
			a.nodes = append(a.nodes, n)
		}
	}
	slices.SortFunc(t.attempts, func(a, b *attempt) int { return a.number - b.number })
	for _, a := range t.attempts {
		a.judge()
	}
}

// target is the name of the endpoint's container, which all spans' resources have.
func (t *Trace) target() (name string) {
	find(t.Roots, func(n *Node) bool {
		name = textIn(n.Resource, startup.AttrContainerName)
		return name != ""
	})
	return name
}

func (n *Node) attemptOf(target string) (number int, ok bool) {
	number = 1
	if v, ok := n.number(startup.AttrAttempt); ok {
		number = int(v)
	}
	switch n.Name {
	case startup.SpanPodReady, startup.SpanStartup:
		return number, true
	case startup.SpanContainerCreating, startup.SpanImagePull:
		return number, number > 1 && target != "" && n.own(startup.AttrContainerName) == target
	}
	return 0, false
}

// judge says whether the attempt failed, and what is to blame. A wrapper that waited in vain for a server that the
// kubelet has found ready did not see it.
func (a *attempt) judge() {
	ready := slices.ContainsFunc(a.nodes, func(n *Node) bool { return n.Name == startup.SpanPodReady && !n.Failed && !n.Open })
	a.failed = slices.ContainsFunc(a.nodes, func(n *Node) bool { return n.Failed && (!ready || n.Reason() != string(stateTimedOut)) })
	if a.failed {
		a.culprit = culprit(a.nodes)
	}
}

// culprit is the node of all under these that says most about why it failed: of several the innermost, of several of
// those the last.
func culprit(nodes []*Node) *Node {
	var most blame
	for _, n := range nodes {
		most = most.or(blamed(n, func(_, _ *Node) {}))
	}
	return most.Node
}

// blame is the culprit under a node, and how deep under it that is; nil: nothing failed.
type blame struct {
	*Node
	depth int
}

// blamed finds the culprit of n and what is under it, and calls visit with each of these and its own, the innermost first.
func blamed(n *Node, visit func(n, culprit *Node)) blame {
	var most blame
	for _, c := range n.Children {
		most = most.or(blamed(c, visit))
	}
	most.depth++
	if n.Failed {
		most = blame{n, 0}.or(most)
	}
	visit(n, most.Node)
	return most
}

// or is the one that tells more; what c is the culprit of comes after what b is.
func (b blame) or(c blame) blame {
	if c.Node == nil || b.Node != nil && (b.telling() > c.telling() || b.telling() == c.telling() && b.depth > c.depth) {
		return b
	}
	return c
}

// telling is how much a node's reason tells; 0: it has none. A description that is no typed reason, of an engine's own span,
// tells nothing that could be counted.
func (n *Node) telling() startup.Tells {
	reason := startup.Reason(n.own(startup.AttrReason))
	if reason == "" {
		return 0
	}
	meaning, _ := reason.Meaning()
	return meaning.Tells
}

// groupAttempts puts a row over the spans of each attempt, and one between them, where there are several.
func (t *Trace) groupAttempts() {
	if len(t.attempts) < 2 {
		return
	}
	for _, a := range t.attempts {
		for _, n := range a.nodes {
			n.mark(a.number)
		}
	}
	backoff := find(t.Roots, func(n *Node) bool { return n.Name == startup.SpanRestartBackoff }) == nil // made up where no watcher told it
	for _, root := range t.Roots {
		if root.Name != startup.SpanPodStartup {
			continue
		}
		var last *Node
		for _, a := range t.attempts {
			var members []*Node
			root.Children = slices.DeleteFunc(root.Children, func(n *Node) bool {
				if slices.Contains(a.nodes, n) {
					members = append(members, n)
					return true
				}
				return false
			})
			if len(members) == 0 {
				continue
			}
			group := groupOf(a, members)
			if last != nil && backoff {
				root.waits(last, group.Start, a.number)
			}
			root.Children = append(root.Children, group)
			last = group
		}
		if s := root.state(); last != nil && last.Failed && backoff && !root.Missing && !s.well() && s != stateFailed {
			root.waits(last, root.End, t.attempts[len(t.attempts)-1].number+1).Open = root.Open
		}
		slices.SortStableFunc(root.Children, earlier)
	}
}

func (n *Node) mark(attempt int) {
	n.attempt = attempt
	for _, c := range n.Children {
		c.mark(attempt)
	}
}

// groupOf is the row over the members of an attempt.
func groupOf(a *attempt, members []*Node) *Node {
	slices.SortStableFunc(members, earlier)
	group := &Node{Group: true, Children: members, Span: &Span{
		TraceID: members[0].TraceID, Name: spanAttempt + " " + strconv.Itoa(a.number),
		Start: members[0].Start, End: members[0].End, Failed: a.failed,
	}}
	for _, n := range members {
		if n.End.After(group.End) {
			group.End = n.End
		}
		group.Open = group.Open || n.Open
	}
	return group
}

// waits adds the phase after an attempt, in which the kubelet lets the next one wait.
func (n *Node) waits(after *Node, to time.Time, next int) *Node {
	wait := &Node{attempt: next, Span: &Span{
		TraceID: n.TraceID, Name: startup.SpanRestartBackoff, Start: after.End, End: to, Resource: n.Resource,
	}}
	if wait.End.After(wait.Start) {
		n.Children = append(n.Children, wait)
	}
	return wait
}

// silence quiets what failed along with what is to blame: its parents, and what else tells the same attempt.
func (t *Trace) silence() {
	grouped := map[*Node]bool{}
	for _, a := range t.attempts {
		to := culprit(a.nodes)
		for _, n := range a.nodes {
			grouped[n] = true
			blamed(n, func(n, _ *Node) { n.quietFor(to) })
		}
	}
	for _, root := range t.Roots {
		blamed(root, func(n, to *Node) {
			if !grouped[n] {
				n.quietFor(to)
			}
		})
	}
}

// quietFor quiets n, which failed, where another says better why.
func (n *Node) quietFor(to *Node) {
	if n.Failed && n != to && (n.telling() < startup.TellsWhat || n.Reason() == to.Reason()) {
		n.quiet = true
	}
}
