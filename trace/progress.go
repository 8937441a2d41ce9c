// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"slices"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// withOpen takes the spans that tell of a phase that goes on for what they stand for: the phase itself, open, unless the
// span that takes their place has come.
func withOpen(spans []*Span) []*Span {
	has, newest := map[string]bool{}, map[string]*Span{}
	for _, s := range spans {
		if s.Name != startup.SpanInProgress {
			has[s.ID] = true
		} else if old := newest[s.ParentID]; old == nil || s.End.After(old.End) {
			newest[s.ParentID] = s
		}
	}
	out := make([]*Span, 0, len(spans))
	for _, s := range spans {
		switch {
		case s.Name != startup.SpanInProgress:
			out = append(out, s)
		case newest[s.ParentID] == s && !has[s.ParentID]:
			out = append(out, s.phase())
		}
	}
	return out
}

// phase is the phase that the span says goes on. Its id is the parent's; whose child it is follows from its name.
func (s *Span) phase() *Span {
	open := *s
	open.ID, open.ParentID, open.Open, open.Name = s.ParentID, "", true, s.own(startup.AttrPhase)
	open.Attributes = slices.DeleteFunc(slices.Clone(s.Attributes), func(a Attribute) bool { return a.Key == startup.AttrPhase })
	parent := startup.SpanPodStartup
	switch open.Name {
	case startup.SpanPodStartup:
		return &open
	case startup.SpanSchedulingGated, startup.SpanNodeProvisioning:
		parent = startup.SpanPodPending
	}
	uid := s.attribute(startup.ResourcePodUID)
	for _, hash := range []startup.Hash{startup.MD5, startup.SHA256} {
		if hash.TraceID(uid).String() == s.TraceID {
			open.ParentID = hash.SpanID(uid, startup.Key(parent, "", 1)).String()
		}
	}
	return &open
}

// SpanReadinessWait is the time for which the kubelet did not yet know that the server answers, made up here: the watcher
// does not know when it first did.
const SpanReadinessWait = "readiness_wait"

// readinessFloor is more than the second that status cuts off explains.
const readinessFloor = 2 * time.Second

// findReadinessWait tells the end of pod_ready by what it was: the server had answered the wrapper, and no readiness probe
// had seen it.
func (t *Trace) findReadinessWait() {
	for _, a := range t.attempts {
		var ready, served *Node
		for _, n := range a.nodes {
			switch n.Name {
			case startup.SpanPodReady:
				ready = n
			case startup.SpanStartup:
				served = n
			}
		}
		if ready == nil || served == nil || served.Failed || served.Open || ready.Failed || ready.End.Sub(served.End) < readinessFloor {
			continue
		}
		ready.Children = append(ready.Children, &Node{attempt: ready.attempt, Span: &Span{
			TraceID: ready.TraceID, Name: SpanReadinessWait, Start: served.End, End: ready.End, Open: ready.Open, Resource: ready.Resource,
		}})
	}
}

// coverServing draws the start of a pod that nothing probes up to where its server answered: Kubernetes called it ready
// when its container ran.
func (t *Trace) coverServing() {
	root := t.root()
	if root.state() != stateStarted {
		return
	}
	longer := *root.Span
	for _, c := range root.Children {
		if c.Name == startup.SpanStartup && !c.Failed && c.End.After(longer.End) {
			longer.End = c.End
		}
	}
	root.Span = &longer
}
