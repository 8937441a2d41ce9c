// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"strings"

	"github.com/coldtrace/coldtrace/startup"
)

// Selection narrows traces down. Empty fields select everything.
type Selection struct {
	TraceID string // or the beginning of one
	PodUID  string
	Pod     string // its name, or namespace/name
}

// Apply returns the traces that match all of the selection, in their order.
// With nothing selected these are the starts of pods: other traces are counted instead of returned, unless there is
// nothing else.
func (s Selection) Apply(traces []*Trace) (selected []*Trace, others int) {
	for _, t := range traces {
		if s.matches(t) {
			selected = append(selected, t)
		} else {
			others++
		}
	}
	if len(selected) == 0 && s == (Selection{}) {
		return traces, 0
	}
	return selected, others
}

func (s Selection) matches(t *Trace) bool {
	if s == (Selection{}) {
		return t.isStart()
	}
	if !strings.HasPrefix(t.ID, strings.ToLower(s.TraceID)) {
		return false
	}
	if s.PodUID != "" {
		uid := strings.ToLower(s.PodUID)
		if !t.ofPod(uid) && !t.has(attrPodUID, uid) {
			return false
		}
	}
	if namespace, name, ok := strings.Cut(s.Pod, "/"); ok {
		return t.has(attrPodName, name) && t.has(attrPodNamespace, namespace)
	}
	return s.Pod == "" || t.has(attrPodName, s.Pod)
}

// isStart says whether the trace tells the start of a pod.
func (t *Trace) isStart() bool {
	start := false
	t.Walk(func(n *Node) {
		start = start || n.Name == startup.SpanPodStartup || n.Name == startup.SpanStartup
	})
	return start || t.ofPod(t.first(attrPodUID))
}

// ofPod says whether the trace's id is the one that follows from a pod's UID.
func (t *Trace) ofPod(uid string) bool {
	return uid != "" && (t.ID == startup.MD5.TraceID(uid).String() || t.ID == startup.SHA256.TraceID(uid).String())
}

func (t *Trace) has(key, value string) bool {
	found := false
	t.Walk(func(n *Node) { found = found || n.attribute(key) == value })
	return found
}

// first is the first value of any of the keys, over all spans.
func (t *Trace) first(keys ...string) string {
	for _, key := range keys {
		value := ""
		t.Walk(func(n *Node) {
			if value == "" {
				value = n.attribute(key)
			}
		})
		if value != "" {
			return value
		}
	}
	return ""
}
