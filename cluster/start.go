// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/podlog"
	"github.com/coldtrace/coldtrace/startup"
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
		events = r.events(ctx, pods)
		nodes  = r.nodes(ctx, pods)
		limit  = make(chan struct{}, atATime)
		all    sync.WaitGroup
	)
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

// start reads the start of one pod.
func (r *Reader) start(ctx context.Context, p *corev1.Pod, events *events, nodes *nodes) Start {
	now := r.Now()
	id := r.identify(p)
	labels, missing := nodes.of(p.Spec.NodeName)
	s := Start{Subject: subject(p, id, labels)}
	if missing != (Missing{}) && s.Subject.GPUType == "" && id.GPU {
		s.lacks(missing)
	}
	facts := &pod.Facts{Target: id.Container}
	facts.Pod(p, now)
	of, failed := events.of(p)
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
	r.inside(ctx, p, id, facts, &s)
	return s
}

// identify tells what the pod is. Of one that is no endpoint it is the container that kubectl logs would take.
func (r *Reader) identify(p *corev1.Pod) endpoint.Identity {
	read := endpoint.FromPod(p)
	s := inject.Selected(inject.Request{Pod: read, Namespace: p.Namespace, Policy: config.Default()})
	if s.Identity.Container != "" && r.Container == "" {
		return s.Identity
	}
	name := cmp.Or(r.Container, p.Annotations["kubectl.kubernetes.io/default-container"], p.Spec.Containers[0].Name)
	told := s.Settings.Told
	told.Container = name
	return endpoint.Identify(read, endpoint.Options{Namespace: p.Namespace, Region: s.Settings.Region, Told: told})
}

// subject is what the spans say of the pod: what the webhook told the wrapper where it did.
func subject(p *corev1.Pod, id endpoint.Identity, node map[string]string) startup.Subject {
	env := func(string) string { return "" }
	if c := podlog.ContainerOf(p, id.Container); c != nil {
		env = func(name string) string {
			for i := len(c.Env) - 1; i >= 0; i-- {
				if e := &c.Env[i]; e.Name == name && !strings.Contains(e.Value, "$(") {
					return e.Value
				}
			}
			return ""
		}
	}
	hash, err := startup.ParseHash(env(startup.EnvTraceIDHash))
	if err != nil {
		hash = startup.MD5
	}
	s := id.WithNode(node).Subject(string(p.UID), p.Name, p.Spec.NodeName, env(startup.EnvClusterName), hash)
	s.InstanceType = endpoint.Identity{}.WithNode(node).InstanceType
	for name, text := range s.Variables() {
		*text = cmp.Or(env(name), *text)
	}
	s.GPUType = cmp.Or(env(startup.EnvGPUType), s.GPUType)
	return s
}

// nodes are the labels of nodes, each asked for once.
type nodes struct {
	labels  map[string]map[string]string
	missing Missing
}

func (n *nodes) of(name string) (map[string]string, Missing) {
	labels, ok := n.labels[name]
	if ok || name == "" {
		return labels, Missing{}
	}
	return nil, n.missing
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
