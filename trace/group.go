// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/group"
)

// several are starts of pods that start as one, drawn as one: those of one making of a group.
type several struct {
	group.Start
	first     *Trace           // its leader's, which is drawn in full
	straggler *group.Straggler // nil: none was late enough to tell
}

// Collapse puts one trace in the place of those of a group's pods, the newest first: the leader's phases in full, and of each
// other pod a line. A pod of which no other of its group is there stays as it is, and so do those that may go on with pods of an
// earlier making, as in a rollout of one of two workloads.
func Collapse(traces []*Trace) []*Trace {
	var (
		table group.Table
		of    = map[string]*Trace{} // by the pod's UID
		asked = map[[2]string]bool{}
		out   []*Trace
		now   time.Time
	)
	for _, t := range traces {
		m, ok := t.Member()
		if !ok || of[m.UID] != nil {
			out = append(out, t)
			continue
		}
		now = startup.Later(now, t.End)
		of[m.UID] = t
		table.Put(m)
		asked[[2]string{m.Namespace, m.Group.Key}] = true
	}
	for a := range asked {
		for _, s := range table.Starts(a[0], a[1], now) {
			if len(s.Members) > 1 && !s.Partial {
				out = append(out, together(s, of))
				for _, m := range s.Members {
					delete(of, m.UID)
				}
			}
		}
	}
	for _, t := range of { // alone, or replaced by another pod
		out = append(out, t)
	}
	slices.SortStableFunc(out, func(a, b *Trace) int { return cmp.Or(b.Start.Compare(a.Start), cmp.Compare(a.ID, b.ID)) })
	return out
}

// Member is what the trace tells of a pod of a group.
func (t *Trace) Member() (group.Member, bool) {
	key, uid := t.Value(startup.AttrGroupKey), t.Value(startup.ResourcePodUID)
	if key == "" || uid == "" {
		return group.Member{}, false
	}
	g := startup.Group{
		Key: key, Generation: t.Value(startup.AttrGroupGeneration), Part: t.Value(startup.AttrGroupPart),
		Role: startup.GroupRole(t.Value(startup.AttrGroupRole)),
	}
	t.Walk(func(n *Node) {
		if size, ok := n.number(startup.AttrGroupSize); ok {
			g.Size = int(size)
		}
		if index, ok := n.number(startup.AttrGroupIndex); ok {
			i := int(index)
			g.Index = &i
		}
	})
	f, root := t.Facts(), t.root()
	m := group.Of(startup.Subject{PodUID: uid, PodName: f.Pod, Endpoint: startup.Endpoint{Namespace: f.Namespace, Group: g}}, root.Start)
	m.Timeout = 100 * 365 * 24 * time.Hour // what was given up says so
	t.Walk(func(n *Node) {
		if !n.made() {
			m.Add(n.Name, n.Start, n.End, n.Failed)
		}
	})
	if s := root.state(); s != stateGoing {
		m.Outcome, m.Ended, m.Failure = string(s), root.End, startup.Reason(root.Reason())
	}
	return m, true
}

// together draws the starts of a group on one axis.
func together(s group.Start, of map[string]*Trace) *Trace {
	first := of[s.Members[0].UID]
	t := &Trace{ID: first.ID, Start: s.Begin, End: first.End, attempts: first.attempts, Conflicts: first.Conflicts, group: &several{Start: s, first: first}}
	if late, ok := s.HeldUp(); ok {
		t.group.straggler = &late
	}
	t.Roots = slices.Clone(first.Roots)
	for _, m := range s.Members {
		its := of[m.UID]
		t.Spans += its.Spans
		t.Start, t.End = startup.Earlier(t.Start, its.Start), startup.Later(t.End, its.End)
		if its != first {
			t.Roots = append(t.Roots, t.group.row(m, its))
		}
	}
	t.group.waitedFor(first)
	return t
}

// row is the line of a member: what it is, and its slowest phase.
func (g *several) row(m *group.Member, its *Trace) *Node {
	root := its.root()
	name := m.Label()
	if phase, took := m.Slowest(); phase != "" {
		name += "  " + phase + " " + seconds(took)
	}
	n := &Node{Member: true, last: g.straggler != nil && g.straggler.Member == m, Span: &Span{
		TraceID: its.ID, Name: name, Start: m.Created, End: root.End, Failed: its.Outcome().Failed(), Open: root.Open, Resource: root.Resource,
	}}
	if n.Failed {
		n.Message = its.Outcome().why(true)
	}
	return n
}

// gathering are phases in which a leader waits for the other pods.
var gathering = []string{startup.SpanRayClusterInit, startup.SpanDistributedInit}

// waitedFor says on the leader's phases for which pod they waited: the last whose container began to run while they did. Where
// all ran before, it was none that the pods would tell of.
func (g *several) waitedFor(leader *Trace) {
	leader.Walk(func(n *Node) {
		if !slices.Contains(gathering, n.Name) {
			return
		}
		var last *group.Member
		for _, m := range g.Members[1:] {
			if m.Running.After(n.Start) && (n.Open || m.Running.Before(n.End)) && (last == nil || m.Running.After(last.Running)) {
				last = m
			}
		}
		n.waitedFor = ""
		if last != nil {
			n.waitedFor = fmt.Sprintf("waited for %s, which ran after %s", last.Label(), seconds(last.Running.Sub(n.Start)))
		}
	})
}

// Waited says whether the phase waited for another pod of the group, as far as Collapse was asked.
func (n *Node) Waited() bool { return n.waitedFor != "" }

// outcome is the group's, in words of a start.
func (g *several) outcome() Outcome {
	o := Outcome{state: state(g.Outcome)}
	if o.state != stateGoing {
		for _, m := range g.Members {
			if !m.Well() && m.Failure != "" && len(o.reasons) < 3 {
				o.reasons = append(o.reasons, counted{m.Label() + " " + string(m.Failure), 1})
			}
		}
	}
	if len(g.Missing) > 0 {
		o.waiting = "no " + some(g.Missing, 3)
		if o.Failed() {
			o.reasons = append(o.reasons, counted{o.waiting, 1})
		}
	} else if o.InProgress() {
		var going []string
		for _, m := range g.Members {
			if !m.Well() {
				going = append(going, m.Label())
			}
		}
		if len(going) > 0 {
			o.waiting = "waiting for " + some(going, 3)
		}
	}
	return o
}

// about is the group in a line, and who held it up in another.
func (g *several) about() []Segment {
	well := 0
	for _, m := range g.Members {
		if m.Well() {
			well++
		}
	}
	text := fmt.Sprintf("group %s, %s", g.name(), plural(g.Size, "pod"))
	if len(g.Members) != g.Size {
		text += fmt.Sprintf(", %d of them there", len(g.Members))
	}
	if well != len(g.Members) {
		text += fmt.Sprintf(", %d up", well)
	}
	says := []Segment{{printable(text), plain}}
	if why := g.heldUp(); why != "" {
		says = append(says, Segment{printable(why), yellow})
	}
	return says
}

// name is the group's, with its namespace.
func (g *several) name() string {
	return strings.TrimPrefix(g.Namespace+"/"+g.Key, "/")
}

// heldUp says who the others waited for, and why: "worker 7: image_pull 5m 12s, others 14.0 s".
func (g *several) heldUp() string {
	s := g.straggler
	if s == nil {
		return ""
	}
	text := fmt.Sprintf("held up by %s, %s behind the others", s.Member.Label(), seconds(s.Behind))
	switch s.Phase {
	case "":
		return text
	case group.PhaseCreation:
		return fmt.Sprintf("%s: created after %s, others %s", text, seconds(s.Took), seconds(s.Others))
	}
	return fmt.Sprintf("%s: %s %s, others %s", text, s.Phase, seconds(s.Took), seconds(s.Others))
}
