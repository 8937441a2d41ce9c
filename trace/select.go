// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"cmp"
	"slices"
	"strings"

	"github.com/coldtrace/coldtrace/startup"
)

// Selection narrows traces down. Empty fields select everything.
type Selection struct {
	TraceID string // or the beginning of one
	PodUID  string
	Pod     string // NAME or NAMESPACE/NAME: of the pod, the beginning of that, or of its owner or endpoint
}

// Apply returns the traces that match all of the selection, in their order. A pod of the very name that is asked for
// goes before those whose names only begin with it.
// With nothing selected these are the starts of pods: other traces are counted instead of returned, unless there is
// nothing else.
func (s Selection) Apply(traces []*Trace) (selected []*Trace, others int) {
	for _, likePod := range []func(*Trace) bool{s.isPod, s.beginsPod} {
		if len(selected) > 0 {
			break
		}
		for _, t := range traces {
			if s.matches(t) && likePod(t) {
				selected = append(selected, t)
			}
		}
	}
	if len(selected) == 0 && s == (Selection{}) {
		return traces, 0
	}
	return selected, len(traces) - len(selected)
}

func (s Selection) matches(t *Trace) bool {
	if s == (Selection{}) {
		return t.IsStart()
	}
	if !strings.HasPrefix(t.ID, strings.ToLower(s.TraceID)) {
		return false
	}
	uid := strings.ToLower(s.PodUID)
	return uid == "" || t.ofPod(uid) || t.has(startup.ResourcePodUID, uid)
}

func (s Selection) isPod(t *Trace) bool {
	if namespace, name, ok := strings.Cut(s.Pod, "/"); ok {
		return t.has(startup.ResourcePodName, name) && t.has(startup.ResourceNamespace, namespace)
	}
	return s.Pod == "" || t.has(startup.ResourcePodName, s.Pod)
}

// beginsPod says whether the pod's name begins with what is asked for, as those of an owner's pods do, or whether that
// is its endpoint.
func (s Selection) beginsPod(t *Trace) bool {
	namespace, name, ok := strings.Cut(s.Pod, "/")
	if !ok {
		name = namespace
	}
	f := t.Facts()
	if ok && f.Namespace != namespace {
		return false
	}
	return name != "" && (strings.HasPrefix(f.Pod, name) || f.Endpoint == name)
}

// Pods are the pods of the traces, NAMESPACE/NAME, the newest first, each once.
func Pods(traces []*Trace) (pods []string) {
	for _, t := range traces {
		if name := t.Name(); t.Facts().Pod != "" && !slices.Contains(pods, name) {
			pods = append(pods, name)
		}
	}
	return pods
}

// PodOfCheck is the name under which coldtrace check sends its span, to see it arrive.
const PodOfCheck = "coldtrace-check"

// IsStart says whether the trace tells the start of a pod.
func (t *Trace) IsStart() bool {
	if t.has(startup.ResourcePodName, PodOfCheck) {
		return false
	}
	begins := func(n *Node) bool { return n.Name == startup.SpanPodStartup || n.Name == startup.SpanStartup }
	return find(t.Roots, begins) != nil || t.ofPod(t.Value(startup.ResourcePodUID))
}

// ofPod says whether the trace's id is the one that follows from a pod's UID.
func (t *Trace) ofPod(uid string) bool {
	return uid != "" && (t.ID == startup.MD5.TraceID(uid).String() || t.ID == startup.SHA256.TraceID(uid).String())
}

func (t *Trace) has(key, value string) bool {
	return find(t.Roots, func(n *Node) bool { return n.attribute(key) == value }) != nil
}

// Value is the first value that any span has for one of the keys, the first key that has any; empty if there is none.
func (t *Trace) Value(keys ...string) string {
	for _, key := range keys {
		if n := find(t.Roots, func(n *Node) bool { return n.attribute(key) != "" }); n != nil {
			return n.attribute(key)
		}
	}
	return ""
}

// Facts are what the header says of a trace; unknown ones are empty.
type Facts struct {
	Endpoint, Model, GPU, Engine, Pod, Namespace, Node, Image, Region, Cluster string
}

// Facts of the trace: the first value that any of its spans has.
func (t *Trace) Facts() Facts {
	f := Facts{
		Endpoint:  t.Value(startup.AttrEndpointName),
		Model:     t.Value(startup.AttrModelName),
		GPU:       t.Value(startup.AttrGPUType),
		Engine:    strings.TrimSpace(t.Value(startup.AttrEngine) + " " + t.Value(startup.AttrEngineVersion)),
		Pod:       t.Value(startup.ResourcePodName),
		Namespace: t.Value(startup.ResourceNamespace, startup.AttrNamespace),
		Node:      t.Value(startup.ResourceNodeName, startup.AttrNodeName),
		Image:     t.Value(startup.AttrImageTag),
		Region:    t.Value(startup.AttrRegion),
		Cluster:   t.Value(startup.ResourceCluster),
	}
	if n := t.Value(startup.AttrNumGPUs); n != "" {
		f.GPU = n + " × " + cmp.Or(f.GPU, "GPU")
	}
	return f
}

// find is the first node of the trees of which something is true, parents first; nil if there is none.
func find(nodes []*Node, is func(*Node) bool) *Node {
	for _, n := range nodes {
		if is(n) {
			return n
		}
		if found := find(n.Children, is); found != nil {
			return found
		}
	}
	return nil
}
