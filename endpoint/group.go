// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/coldtrace/coldtrace/startup"
)

// Labels and annotations that tell which pods start as one, as their controllers write them. Those of workloads stand there.
const (
	lwsPrefix        = "leaderworkerset.sigs.k8s.io/"
	lwsName          = lwsPrefix + "name"
	lwsGroupIndex    = lwsPrefix + "group-index"
	lwsIndex         = lwsPrefix + "worker-index" // 0: the leader
	lwsSize          = lwsPrefix + "size"         // annotation
	lwsLeader        = lwsPrefix + "leader-name"  // annotation of workers
	rayCluster       = "ray.io/cluster"
	rayNodeType      = "ray.io/node-type" // head | worker
	kserveName       = "serving.kserve.io/inferenceservice"
	kserveGeneration = "isvc.generation" // of those with workers alone
	kserveSize       = "RAY_NODE_COUNT"  // environment, with Ray and without
	jobSetName       = "jobset.sigs.k8s.io/jobset-name"
	jobSetPart       = "jobset.sigs.k8s.io/replicatedjob-name"
	jobSetReplicas   = "jobset.sigs.k8s.io/replicatedjob-replicas" // of the part
	jobSetJobs       = "jobset.sigs.k8s.io/global-replicas"        // in all
	jobSetIndex      = "jobset.sigs.k8s.io/job-index"              // of the Job in its part
	podIndex         = "apps.kubernetes.io/pod-index"
	podRevision      = "controller-revision-hash"
	jobIndex         = "batch.kubernetes.io/job-completion-index"
)

// InLeaderWorkerSet are the labels that tell where in the first group of a LeaderWorkerSet a pod is. The leader is worker 0.
func InLeaderWorkerSet(name string, worker int) map[string]string {
	return map[string]string{lwsName: name, lwsGroupIndex: "0", lwsIndex: strconv.Itoa(worker)}
}

// workload is a kind of workloads whose pods say by labels which of several they are. The other keys are of labels, annotations or
// variables.
type workload struct {
	kind     string // begins the group's key
	name     string // label of the workload's name; empty: its pods' owner is it
	owner    string // its kind
	replica  string // label of which of its replicas the pod is of, each a group of its own
	part     string // label of the part that a pod is of; empty: there is one, and its first pod leads
	index    string
	making   string // which of several that the owner makes
	size     string // where the command does not say
	together bool   // its pods start together in any case; of others most are replicas or shards: what starts a part of a server says so
}

// grouping is a kind of groups. One that does not know the pod gives neither a group nor why there is none.
type grouping struct {
	by       string // what says so
	of       func(*Pod, *Command, *Options) (g startup.Group, alone string)
	workload *workload // in place of that
}

const byIndex = "index and command"

// groupings are the kinds of groups, the most telling first.
var groupings = [...]grouping{
	{by: "annotation", of: declaredGroup},
	{by: "LeaderWorkerSet", of: lwsGroup},
	{by: "RayCluster", of: rayGroup},
	{by: "Grove scaling group", workload: &workload{
		// Cliques that serve one instance of a model together. Other cliques of a PodGang are scheduled together, and each of their
		// pods may well serve alone.
		kind: "grove", name: "grove.io/podcliquescalinggroup", replica: "grove.io/podcliquescalinggroup-replica-index", part: "grove.io/podclique",
		index: "grove.io/podclique-pod-index", size: "GROVE_PCSG_TEMPLATE_NUM_PODS", together: true,
	}},
	{by: "KServe workers", of: kserveGroup},
	{by: "AIBrix PodSet", workload: &workload{ // one replica of a StormService's role; those of other roles serve by themselves
		kind: "podset", name: "stormservice.orchestration.aibrix.ai/podset-name", index: "stormservice.orchestration.aibrix.ai/pod-group-index",
		size: "POD_GROUP_SIZE", together: true,
	}},
	{by: "Kthena ModelServing", workload: &workload{ // an entry and its workers
		kind: "modelserving", name: "modelserving.volcano.sh/group-name", replica: "modelserving.volcano.sh/role-id",
		index: "WORKER_INDEX", making: "modelserving.volcano.sh/revision", size: "GROUP_SIZE", together: true,
	}},
	{by: "JobSet and command", of: jobSetGroup},
	{by: byIndex, workload: &workload{
		kind: "volcano", name: "volcano.sh/job-name", part: "volcano.sh/task-spec", index: "volcano.sh/task-index", making: "volcano.sh/job-version",
	}},
	{by: byIndex, workload: &workload{
		kind: "kubeflow", name: "training.kubeflow.org/job-name", part: "training.kubeflow.org/replica-type", index: "training.kubeflow.org/replica-index",
	}},
	{by: byIndex, workload: &workload{kind: "sts", owner: "StatefulSet", index: podIndex}},
	{by: byIndex, workload: &workload{kind: "job", owner: "Job", index: jobIndex}},
	{by: byIndex, workload: &workload{
		kind: "kueue", name: "kueue.x-k8s.io/pod-group-name", index: "kueue.x-k8s.io/pod-group-pod-index", size: "kueue.x-k8s.io/pod-group-total-count",
	}},
}

// Why pods start alone that could be of a group.
const (
	aloneByWish   = "coldtrace.io/group: none"
	aloneUnsized  = "nothing tells how many pods it has"
	aloneOne      = "its group has one pod"
	aloneReplica  = "its command starts no part of a server"
	aloneNothing  = "nothing says that it starts with others"
	aloneDeclared = "coldtrace.io/group needs group-size, or an index"
)

// group tells which pods the pod starts with, and by what that is known; or why it starts alone. l is of the target, nil if there
// is none. A group of one is none.
func group(pod *Pod, l *Command, opts *Options) (g startup.Group, by string) {
	if opts.Group == noGroup {
		return startup.Group{}, aloneByWish
	}
	why := ""
	for i := range groupings {
		kind := &groupings[i]
		of := kind.of
		if of == nil {
			of = kind.workload.group
		}
		g, alone := of(pod, l, opts)
		switch {
		case !g.Is():
			why = cmp.Or(why, alone)
			continue
		case g.Size == 1:
			return startup.Group{}, aloneOne
		}
		if o := pod.Metadata.Controller(); o != nil {
			switch {
			case o.Kind == "StatefulSet":
				g.StatefulSet = o.Name
			case o.Kind == "Job" && !strings.Contains(o.APIVersion, "."): // Volcano has Jobs as well
				g.Job = o.Name
			}
		}
		return g, kind.by
	}
	return startup.Group{}, cmp.Or(why, aloneNothing)
}

// noGroup in place of a group's name: the pod starts alone, whatever its labels say.
const noGroup = "none"

// declaredGroup is one that an annotation names. Its parts are the workloads that carry it. Without a size, and without a pod
// of index 0, nothing would tell when it is complete.
func declaredGroup(pod *Pod, _ *Command, opts *Options) (startup.Group, string) {
	m := &pod.Metadata
	if opts.Group == "" {
		return startup.Group{}, ""
	}
	g := startup.Group{
		Key: "group/" + opts.Group, Size: number(opts.GroupSize), Generation: owner(m), Index: index(cmp.Or(opts.GroupIndex, m.Labels[podIndex], m.Labels[jobIndex])),
	}
	if o := m.Controller(); o != nil {
		_, g.Part = Workload(m.Labels, o.Kind, o.Name)
	}
	if g.Size == 0 && g.Index == nil {
		return startup.Group{}, aloneDeclared
	}
	return ranked(g), ""
}

// lwsGroup is a replica of a LeaderWorkerSet. The API server may ask about the pod before the labels of LWS's own webhook are
// there: both StatefulSets number their pods likewise, the workers' from 1 on.
func lwsGroup(pod *Pod, _ *Command, _ *Options) (startup.Group, string) {
	m := &pod.Metadata
	name := m.Labels[lwsName]
	if name == "" {
		return startup.Group{}, ""
	}
	_, worker := m.Annotations[lwsLeader]
	worker = worker || number(m.Labels[lwsIndex]) > 0
	g := startup.Group{Size: number(m.Annotations[lwsSize]), Part: "leader", Role: startup.GroupLeader, Generation: m.UID}
	of := cmp.Or(m.Labels[lwsGroupIndex], m.Labels[podIndex])
	g.Index = new(int)
	if worker {
		g.Role, g.Part, g.Generation = "", "worker", owner(m)
		g.Index = cmp.Or(index(m.Labels[lwsIndex]), index(m.Labels[podIndex]))
		of = cmp.Or(m.Labels[lwsGroupIndex], strings.TrimPrefix(m.Annotations[lwsLeader], name+"-"))
	}
	if of == "" {
		return startup.Group{}, ""
	}
	g.Key = "lws/" + name + "/" + of
	return g, ""
}

// rayGroup is a RayCluster: a RayService or RayJob makes a new one for each of its own versions. How many workers there will be
// stands in no pod.
func rayGroup(pod *Pod, _ *Command, _ *Options) (startup.Group, string) {
	m := &pod.Metadata
	g := startup.Group{Generation: owner(m)}
	switch m.Labels[rayNodeType] {
	case "head":
		g.Role, g.Index = startup.GroupLeader, new(int)
	case "worker":
	default:
		return startup.Group{}, ""
	}
	if name := m.Labels[rayCluster]; name != "" {
		g.Key = "ray/" + name
	}
	return g, ""
}

// kserveGroup is an InferenceService with workers: a Deployment of its head, and one of its workers.
func kserveGroup(pod *Pod, _ *Command, _ *Options) (startup.Group, string) {
	m := &pod.Metadata
	if m.Labels[kserveName] == "" || m.Labels[kserveGeneration] == "" {
		return startup.Group{}, ""
	}
	g := startup.Group{Key: "kserve/" + m.Labels[kserveName], Part: "worker", Generation: owner(m), Size: number(pod.literal(kserveSize))}
	if !strings.HasSuffix(m.Labels["app"], "-worker") {
		g.Part, g.Role, g.Index = "leader", startup.GroupLeader, new(int)
	}
	return sized(g)
}

// jobSetGroup is a JobSet whose Jobs are the parts of one server, such as a leader's and one of workers. One Job is told as such, and
// so is each of several replicas, unless they are as many as the server has nodes.
func jobSetGroup(pod *Pod, l *Command, _ *Options) (startup.Group, string) {
	m := &pod.Metadata
	nodes, spread := spreads(l)
	jobs, at := number(m.Labels[jobSetJobs]), m.Labels[jobIndex]
	switch {
	case m.Labels[jobSetName] == "" || !spread || jobs < 2:
		return startup.Group{}, ""
	case jobs == nodes: // a pod each
		at = m.Labels[jobSetIndex]
	case number(m.Labels[jobSetReplicas]) > 1:
		return startup.Group{}, ""
	}
	return sized(startup.Group{Key: "jobset/" + m.Labels[jobSetName], Part: m.Labels[jobSetPart], Generation: owner(m), Index: index(at), Size: nodes})
}

// group is the one that a pod's labels tell.
func (w *workload) group(pod *Pod, l *Command, _ *Options) (startup.Group, string) {
	m := &pod.Metadata
	name, at := m.Labels[w.name], index(pod.said(w.index))
	if o := m.Controller(); w.name == "" && o != nil && o.Kind == w.owner {
		name = o.Name
	}
	if name == "" || w.replica != "" && m.Labels[w.replica] == "" || at == nil && !w.together {
		return startup.Group{}, ""
	}
	nodes, spread := spreads(l)
	switch {
	case w.together:
		nodes = 0
	case !spread:
		return startup.Group{}, aloneReplica
	}
	g := startup.Group{Key: w.kind + "/" + name, Part: m.Labels[w.part], Generation: owner(m), Index: at, Size: cmp.Or(nodes, number(pod.said(w.size)))}
	if w.replica != "" {
		g.Key += "/" + m.Labels[w.replica]
	}
	if making := pod.said(w.making); making != "" {
		g.Generation += "/" + making
	}
	if w.part == "" {
		g = ranked(g)
	}
	if w.part != "" || w.together {
		return sized(g)
	}
	return g, ""
}

// sized leaves out a group of which nothing would tell when it is complete.
func sized(g startup.Group) (startup.Group, string) {
	if g.Size == 0 {
		return startup.Group{}, aloneUnsized
	}
	return g, ""
}

// said is what a label, an annotation or a variable says.
func (p *Pod) said(key string) string {
	if key == "" {
		return ""
	}
	return cmp.Or(p.Metadata.Labels[key], p.Metadata.Annotations[key], p.literal(key))
}

// literal is what some container has in its environment under a name.
func (p *Pod) literal(name string) string {
	for _, c := range p.Spec.All() {
		if value := c.Literal(name); value != "" {
			return value
		}
	}
	return ""
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
	case role == startup.RoleServer, role == startup.RoleBatch: // a Job's pods: those that follow say so
		g.Role = startup.GroupServer
	default:
		g.Role = startup.GroupWorker
	}
	return g
}

// Grouping tells annotations by which it is known what pods start together.
func Grouping(annotation string) bool {
	return strings.HasPrefix(annotation, lwsPrefix) || slices.ContainsFunc(groupings[:], func(k grouping) bool {
		w := k.workload
		return w != nil && (annotation == w.index || annotation == w.making || annotation == w.size)
	})
}

// owner is the UID of what made the pod and will make it again, with the revision of its template where the UID outlives that.
func owner(m *Metadata) string {
	o := m.Controller()
	if o == nil {
		return ""
	}
	if revision := m.Labels[podRevision]; revision != "" && o.Kind == "StatefulSet" {
		return string(o.UID) + "/" + revision
	}
	return string(o.UID)
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
