// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/group"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// Start is the start of one pod, as far as the cluster tells.
type Start struct {
	Subject startup.Subject
	Outcome pod.Outcome
	Outside []pod.Span // what the watcher would tell
	Inside  []pod.Span // what the wrapper would tell
	Missing []Missing
}

// Reader reads starts.
type Reader struct {
	Client      kubernetes.Interface
	Container   string // whose log is read; empty: the one that serves
	Previous    bool   // read the log of the attempt before the last one, too
	MaxLogBytes int64  // of one log; what matters is at its begin
	Now         func() time.Time
	// Progress is for Starts being called again and again: of a log it then reads what is new. nil: all.
	Progress *Progress
}

// DefaultMaxLogBytes is more than a start ever wrote, and about what a kubelet keeps of a log (containerLogMaxSize: 10Mi).
const DefaultMaxLogBytes = 16 << 20

// atATime is of how many pods logs are read at a time.
const atATime = 32

// fewPods is up to how many pods of a namespace are asked for their events by name.
const fewPods = 4

// Starts reads the starts of some pods, in their order.
func (r *Reader) Starts(ctx context.Context, pods []corev1.Pod) []Start {
	var (
		out    = make([]Start, len(pods))
		events *events
		nodes  *nodes
		limit  = make(chan struct{}, atATime)
		all    sync.WaitGroup
	)
	all.Go(func() { events = r.events(ctx, pods) })
	nodes = r.nodes(ctx, pods)
	all.Wait()
	for i := range pods {
		limit <- struct{}{}
		all.Go(func() {
			defer func() { <-limit }()
			out[i] = r.start(ctx, &pods[i], events, nodes)
		})
	}
	all.Wait()
	link(out, r.Now())
	return out
}

// link leads from the start of each pod of a group to those of the others that were read, as the watcher does.
func link(starts []Start, now time.Time) {
	var t group.Table
	for i := range starts {
		if s := &starts[i]; s.Subject.Group.Is() && len(s.Outside) > 0 {
			t.Put(group.Of(s.Subject, s.Outside[0].Start))
		}
	}
	for i := range starts {
		if s := &starts[i]; s.Subject.Group.Is() && len(s.Outside) > 0 {
			s.Outside[0].Links = t.Links(s.Subject, now)
		}
	}
}

// start reads the start of one pod.
func (r *Reader) start(ctx context.Context, p *corev1.Pod, events *events, nodes *nodes) Start {
	now := r.Now()
	read := endpoint.FromPod(p)
	id := identify(p, read)
	labels, known := nodes.labels[p.Spec.NodeName]
	s := Start{Subject: subject(p, read, id, labels)}
	if !known && nodes.missing != (Missing{}) && p.Spec.NodeName != "" && s.Subject.GPUType == "" && id.GPU {
		s.lacks(nodes.missing)
	}
	facts := &pod.Facts{Target: id.Container}
	facts.Pod(p, now)
	of, failed := events.byPod[p.UID], events.missing[p.Namespace]
	for _, e := range of {
		facts.Event(e)
	}
	switch {
	case failed != (Missing{}):
		s.lacks(failed)
	case len(of) == 0 && p.Spec.NodeName != "":
		s.lacks(ofEvents(p, now))
	}
	t := facts.Build(now, 0)
	s.Outcome, s.Outside = t.Outcome, t.Spans
	if t.Outcome != pod.Ready && t.Outcome != pod.Started && isReady(p) {
		s.lacks(Missing{p.Name + " is ready, and since when it first was is no longer known: it was started again since", "the watcher tells starts as they happen"})
	}
	switch c := r.Container; c {
	case "", id.Container:
		r.inside(ctx, p, id, facts, &s)
	default:
		other := *facts
		other.Target = c
		r.beside(ctx, p, identified(p, read, c), &other, &s)
	}
	return s
}

// identify tells what the pod is. Of one that is no endpoint it is the container that kubectl logs would take.
func identify(p *corev1.Pod, read *endpoint.Pod) endpoint.Identity {
	s := inject.Selected(inject.Request{Pod: read, Namespace: p.Namespace, Policy: config.Default()})
	if s.Identity.Container != "" {
		return s.Identity
	}
	return identified(p, read, cmp.Or(p.Annotations["kubectl.kubernetes.io/default-container"], p.Spec.Containers[0].Name))
}

// identified tells what the pod would be if that container served.
func identified(p *corev1.Pod, read *endpoint.Pod, name string) endpoint.Identity {
	s := inject.Selected(inject.Request{Pod: read, Namespace: p.Namespace, Policy: config.Default()})
	declared := s.Settings.Declared
	declared.Container = name
	return endpoint.Identify(read, endpoint.Options{Namespace: p.Namespace, Region: s.Settings.Region, Declared: declared})
}

// subject is what the spans say of the pod: what the webhook told the wrapper where it did.
func subject(p *corev1.Pod, read *endpoint.Pod, id endpoint.Identity, node map[string]string) startup.Subject {
	c := &endpoint.Container{}
	if id.Index >= 0 {
		c = read.Spec.Container(id.Position)
	}
	s := id.WithNode(node).Subject(string(p.UID), p.Name, p.Spec.NodeName, c.Literal(startup.EnvClusterName), startup.HashOf(c.Literal(startup.EnvTraceIDHash)))
	s.InstanceType = endpoint.Identity{}.WithNode(node).InstanceType
	for name, text := range s.Variables() {
		*text = cmp.Or(c.Literal(name), *text)
	}
	s.GPUType = cmp.Or(c.Literal(startup.EnvGPUType), s.GPUType)
	return s
}

// nodes are the labels of nodes, each asked for once.
type nodes struct {
	labels  map[string]map[string]string
	missing Missing
}

func (r *Reader) nodes(ctx context.Context, pods []corev1.Pod) *nodes {
	n := &nodes{labels: map[string]map[string]string{}}
	for i := range pods {
		name := pods[i].Spec.NodeName
		if _, known := n.labels[name]; known || name == "" || n.missing != (Missing{}) {
			continue
		}
		node, err := r.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			n.missing = unread("the labels of nodes, which tell the GPU's type", err)
			continue
		}
		n.labels[name] = node.Labels
	}
	return n
}
