// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/coldtrace/coldtrace/startup"
)

// Labels and annotations that tell which pods start as one, as their controllers write them.
const (
	lwsName       = "leaderworkerset.sigs.k8s.io/name"
	lwsGroupIndex = "leaderworkerset.sigs.k8s.io/group-index"
	lwsIndex      = "leaderworkerset.sigs.k8s.io/worker-index" // 0: the leader
	lwsSize       = "leaderworkerset.sigs.k8s.io/size"         // annotation
	lwsLeader     = "leaderworkerset.sigs.k8s.io/leader-name"  // annotation of workers
	rayCluster    = "ray.io/cluster"
	rayNodeType   = "ray.io/node-type" // head | worker
	groveScaling  = "grove.io/podcliquescalinggroup"
	groveReplica  = "grove.io/podcliquescalinggroup-replica-index"
	groveClique   = "grove.io/podclique"
	groveIndex    = "grove.io/podclique-pod-index"
	groveSize     = "GROVE_PCSG_TEMPLATE_NUM_PODS" // environment: the pods of one replica
	podIndex      = "apps.kubernetes.io/pod-index"
	podRevision   = "controller-revision-hash"
	jobIndex      = "batch.kubernetes.io/job-completion-index"
)

// groups are the kinds of groups, the most telling first. A kind that does not know the pod gives none.
var groups = [...]func(*Pod, *Launch, *Options) startup.Group{declaredGroup, lwsGroup, rayGroup, groveGroup, indexedGroup}

// group tells which pods the pod starts with. l is of the target, nil if there is none. A group of one is none.
func group(pod *Pod, l *Launch, opts *Options) startup.Group {
	if opts.Group == NoGroup {
		return startup.Group{}
	}
	for _, of := range groups {
		if g := of(pod, l, opts); g.Is() {
			if g.Size == 1 {
				return startup.Group{}
			}
			if o := pod.Metadata.Controller(); o != nil {
				switch o.Kind {
				case "StatefulSet":
					g.StatefulSet = o.Name
				case "Job":
					g.Job = o.Name
				}
			}
			return g
		}
	}
	return startup.Group{}
}

// NoGroup in place of a group's name: the pod starts alone, whatever its labels say.
const NoGroup = "none"

// declaredGroup is one that an annotation names. Its parts are the workloads that carry it. Without a size, and without a pod
// of index 0, nothing would tell when it is complete.
func declaredGroup(pod *Pod, _ *Launch, opts *Options) startup.Group {
	m := &pod.Metadata
	g := startup.Group{
		Size: number(opts.GroupSize), Generation: owner(m), Index: index(cmp.Or(opts.GroupIndex, m.Labels[podIndex], m.Labels[jobIndex])),
	}
	if o := m.Controller(); o != nil {
		_, g.Part = Workload(m.Labels, o.Kind, o.Name)
	}
	if opts.Group != "" && (g.Size > 0 || g.Index != nil) {
		g.Key = "group/" + opts.Group
	}
	return ranked(g)
}

// lwsGroup is a replica of a LeaderWorkerSet. The API server may ask about the pod before the labels of LWS's own webhook are
// there: both StatefulSets number their pods likewise, the workers' from 1 on.
func lwsGroup(pod *Pod, _ *Launch, _ *Options) startup.Group {
	m := &pod.Metadata
	name := m.Labels[lwsName]
	if name == "" {
		return startup.Group{}
	}
	_, worker := m.Annotations[lwsLeader]
	worker = worker || followsLeader(m.Labels[lwsIndex])
	g := startup.Group{Size: number(m.Annotations[lwsSize]), Part: "leader", Role: startup.GroupLeader, Generation: m.UID}
	of := cmp.Or(m.Labels[lwsGroupIndex], m.Labels[podIndex])
	g.Index = new(int)
	if worker {
		g.Role, g.Part, g.Generation = "", "worker", owner(m)
		g.Index = index(cmp.Or(m.Labels[lwsIndex], m.Labels[podIndex]))
		of = cmp.Or(m.Labels[lwsGroupIndex], strings.TrimPrefix(m.Annotations[lwsLeader], name+"-"))
	}
	if of == "" {
		return startup.Group{}
	}
	g.Key = "lws/" + name + "/" + of
	return g
}

// rayGroup is a RayCluster: a RayService or RayJob makes a new one for each of its own versions. How many workers there will be
// stands in no pod.
func rayGroup(pod *Pod, _ *Launch, _ *Options) startup.Group {
	m := &pod.Metadata
	g := startup.Group{Generation: owner(m)}
	switch m.Labels[rayNodeType] {
	case "head":
		g.Role, g.Index = startup.GroupLeader, new(int)
	case "worker":
	default:
		return startup.Group{}
	}
	if name := m.Labels[rayCluster]; name != "" {
		g.Key = "ray/" + name
	}
	return g
}

// groveGroup is a replica of a PodCliqueScalingGroup: cliques that serve one instance of a model together. Other cliques of a
// PodGang are scheduled together, and each of their pods may well serve alone.
func groveGroup(pod *Pod, _ *Launch, _ *Options) startup.Group {
	m := &pod.Metadata
	name, replica := m.Labels[groveScaling], m.Labels[groveReplica]
	if name == "" || replica == "" {
		return startup.Group{}
	}
	g := startup.Group{Key: "grove/" + name + "/" + replica, Part: m.Labels[groveClique], Generation: owner(m), Index: index(m.Labels[groveIndex])}
	for _, c := range pod.Spec.All() {
		if g.Size == 0 {
			g.Size = number(c.Literal(groveSize))
		}
	}
	if g.Size == 0 { // nothing would tell when it is complete
		return startup.Group{}
	}
	return g
}

// indexedGroup is a StatefulSet or an indexed Job whose pods say that they are one server: most of them are replicas that have
// nothing to do with each other.
func indexedGroup(pod *Pod, l *Launch, _ *Options) startup.Group {
	m := &pod.Metadata
	o := m.Controller()
	if o == nil || l == nil {
		return startup.Group{}
	}
	nodes, spread := spreads(l)
	g := startup.Group{Generation: owner(m), Size: nodes}
	switch o.Kind {
	case "StatefulSet":
		g.Key, g.Index = "sts/"+o.Name, index(m.Labels[podIndex])
	case "Job":
		g.Key, g.Index = "job/"+o.Name, index(cmp.Or(m.Labels[jobIndex], m.Annotations[jobIndex]))
	}
	if !spread || g.Index == nil {
		return startup.Group{}
	}
	return ranked(g)
}

// ranked gives the first by index the lead.
func ranked(g startup.Group) startup.Group {
	if g.Index != nil && *g.Index == 0 {
		g.Role = startup.GroupLeader
	}
	return g
}

// among tells what a pod is in its group that becomes what role says.
func among(g startup.Group, role startup.Role) startup.Group {
	switch {
	case !g.Is(), g.Role != "":
	case role == startup.RoleServer:
		g.Role = startup.GroupServer
	default:
		g.Role = startup.GroupWorker
	}
	return g
}

// MayGroup tells cheaply whether a pod can be one of a group: most have nothing that would say so.
func MayGroup(labels, annotations map[string]string) bool {
	for _, key := range []string{lwsName, rayCluster, groveScaling, podIndex, jobIndex} {
		if labels[key] != "" {
			return true
		}
	}
	return annotations["coldtrace.io/group"] != "" || annotations[jobIndex] != ""
}

// spreadOptions are those of a server that needs others to start: ranks of one model, or data-parallel ones, which wait for each
// other. All of vLLM, nnodes and node-rank of SGLang and LMDeploy as well.
var spreadOptions = map[string]bool{
	"--nnodes": true, "--node-rank": true, "--headless": true, "--dist-init-addr": true, "--nccl-init-addr": true, "--dist-init-method": true,
	"--data-parallel-address": true, "-dpa": true, "--data-parallel-rank": true, "-dpn": true, "--data-parallel-start-rank": true, "-dpr": true,
	"--data-parallel-external-lb": true, "-dpe": true, "--data-parallel-hybrid-lb": true, "-dph": true,
}

// spreads tells whether a command starts a part of a server, and of how many if it says so.
func spreads(l *Launch) (nodes int, spread bool) {
	for i := range l.Args {
		text := l.Args[i].start()
		name, value, inline := strings.Cut(text, "=")
		name = strings.ReplaceAll(name, "_", "-")
		if !strings.HasPrefix(text, "-") || !spreadOptions[name] {
			continue
		}
		spread = true
		if name == "--nnodes" {
			if !inline && i+1 < len(l.Args) {
				value = l.Args[i+1].value()
			}
			if nodes = number(value); nodes == 1 { // whatever else it says, there are no others
				return 1, false
			}
		}
	}
	return nodes, spread
}

// owner is the UID of what made the pod and will make it again, with the revision of its template where the UID outlives that.
func owner(m *Metadata) string {
	o := m.Controller()
	if o == nil {
		return ""
	}
	if revision := m.Labels[podRevision]; revision != "" && o.Kind == "StatefulSet" {
		return o.UID + "/" + revision
	}
	return o.UID
}

// number is a positive one, else 0.
func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func index(text string) *int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return nil
	}
	return &n
}
