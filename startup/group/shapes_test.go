// SPDX-License-Identifier: Apache-2.0

package group_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/group"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// pod is one as its controller makes it, and what became of its start. Times are seconds of the shape.
type pod struct {
	labels, annotations map[string]string
	kind, owner, uid    string // of the controller
	args                []string
	env                 map[string]string
	noGPU, probed       bool

	name                    string
	created, running, ended float64
	outcome                 string
	failure                 startup.Reason
	took                    map[string]float64
	gone                    bool
}

// lws is a pod of group 0 of a LeaderWorkerSet. making tells the makings of the group from each other.
func lws(index, size int, making string) pod {
	p := pod{
		labels: map[string]string{
			"leaderworkerset.sigs.k8s.io/name": "llama", "leaderworkerset.sigs.k8s.io/group-index": "0",
			"leaderworkerset.sigs.k8s.io/worker-index": strconv.Itoa(index), "leaderworkerset.sigs.k8s.io/group-key": "0beec7b5",
			"leaderworkerset.sigs.k8s.io/template-revision-hash": "6fd9",
		},
		annotations: map[string]string{"leaderworkerset.sigs.k8s.io/size": strconv.Itoa(size)},
		kind:        "StatefulSet", owner: "llama", uid: "leaders", name: "llama-0", args: []string{"--model", "a/b"},
	}
	if index > 0 {
		p.annotations["leaderworkerset.sigs.k8s.io/leader-name"] = "llama-0"
		p.owner, p.uid, p.name, p.args = "llama-0", "workers-"+making, fmt.Sprintf("llama-0-%d", index), []string{"--headless"}
	}
	p.name += "@" + making
	return p
}

func ray(node, name, cluster string) pod {
	return pod{
		labels: map[string]string{"ray.io/cluster": cluster, "ray.io/node-type": node, "ray.io/is-ray-node": "yes", "ray.io/group": "gpus"},
		kind:   "RayCluster", owner: cluster, uid: cluster, name: name, noGPU: node == "head",
	}
}

func sts(index int, revision string, args ...string) pod {
	return pod{
		labels: map[string]string{"apps.kubernetes.io/pod-index": strconv.Itoa(index), "controller-revision-hash": revision},
		kind:   "StatefulSet", owner: "deepseek", uid: "sts", name: fmt.Sprintf("deepseek-%d@%s", index, revision), args: args,
	}
}

func job(index int, uid string, args ...string) pod {
	return pod{
		labels: map[string]string{"batch.kubernetes.io/job-completion-index": strconv.Itoa(index)},
		kind:   "Job", owner: "evaluate", uid: uid, name: fmt.Sprintf("evaluate-%d-%s", index, uid), args: args,
	}
}

func grove(clique string, index int, making string) pod {
	return pod{
		labels: map[string]string{
			"grove.io/podcliquescalinggroup": "serve-0-model", "grove.io/podcliquescalinggroup-replica-index": "1", "grove.io/podclique": clique,
			"grove.io/podclique-pod-index": strconv.Itoa(index), "grove.io/podgang": "serve-0",
		},
		env:  map[string]string{"GROVE_PCSG_TEMPLATE_NUM_PODS": "3"},
		kind: "PodClique", owner: clique, uid: clique + "-" + making, name: fmt.Sprintf("%s-%d@%s", clique, index, making),
	}
}

func declared(owner string, index string, size string) pod {
	p := pod{
		labels:      map[string]string{"pod-template-hash": "7d4f"},
		annotations: map[string]string{"coldtrace.io/group": "disaggregated"},
		kind:        "ReplicaSet", owner: owner + "-7d4f", uid: owner, name: owner + "-7d4f-x",
	}
	if index != "" {
		p.annotations["coldtrace.io/group-index"] = index
	}
	if size != "" {
		p.annotations["coldtrace.io/group-size"] = size
	}
	return p
}

func (p pod) at(created, running, ended float64, outcome string) pod {
	p.created, p.running, p.ended, p.outcome = created, running, ended, outcome
	return p
}

func (p pod) ready(created, running, ended float64) pod {
	return p.at(created, running, ended, startup.OutcomeReady)
}
func (p pod) started(created, running float64) pod {
	return p.at(created, running, running, startup.OutcomeStarted)
}
func (p pod) going(created float64) pod { return p.at(created, 0, 0, "") }
func (p pod) failed(created, ended float64, why startup.Reason) pod {
	p.failure = why
	return p.at(created, created+1, ended, startup.OutcomeFailed)
}

func (p pod) deleted(created, ended float64) pod {
	p.gone, p.failure = true, "deleted"
	return p.at(created, created+1, ended, startup.OutcomeDeleted)
}

func (p pod) phase(name string, seconds float64) pod {
	p.took = map[string]float64{name: seconds}
	return p
}

func (p pod) left() pod { p.gone = true; return p }

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func second(s float64) time.Time { return epoch.Add(time.Duration(s * float64(time.Second))) }

// member is what the watcher makes of the pod; ok is false for one of no group.
func (p pod) member() (group.Member, bool) {
	yes := true
	read := &endpoint.Pod{Metadata: endpoint.Metadata{
		Name: p.name, Namespace: "models", UID: "uid-" + p.name, Labels: p.labels, Annotations: p.annotations,
		OwnerReferences: []metav1.OwnerReference{{Kind: p.kind, Name: p.owner, UID: types.UID(p.uid), Controller: &yes}},
	}}
	c := endpoint.Container{Name: "main", Command: append([]string{"vllm", "serve"}, p.args...)}
	if p.probed {
		c.ReadinessProbe = &corev1.Probe{}
	}
	if !p.noGPU {
		c.Resources.Limits = map[string]endpoint.Quantity{"nvidia.com/gpu": "8"}
	}
	for name, value := range p.env {
		c.Env = append(c.Env, corev1.EnvVar{Name: name, Value: value})
	}
	read.Spec.Containers = []endpoint.Container{c}
	id := endpoint.Identify(read, endpoint.Options{
		GPUResources: []string{"nvidia.com/gpu"},
		Declared: endpoint.Declared{
			Group: p.annotations["coldtrace.io/group"], GroupSize: p.annotations["coldtrace.io/group-size"], GroupIndex: p.annotations["coldtrace.io/group-index"],
		},
	})
	m := group.Of(id.Subject(read.Metadata.UID, p.name, "", "", startup.MD5), second(p.created))
	m.Timeout, m.Gone, m.Untraced = 2*time.Hour, p.gone, p.noGPU
	if p.outcome != "" {
		m.Add(startup.SpanPodStartup, second(p.created), second(p.ended), p.failure != "")
		for name, took := range p.took {
			m.Add(name, second(0), second(took), name == startup.SpanRestartBackoff)
		}
		m.Add(startup.SpanPodReady, second(p.running), second(p.ended), false)
		m.Outcome, m.Failure, m.Ended = p.outcome, p.failure, second(p.ended)
	}
	return m, id.Group.Is()
}

const later = 3 * 3600 // when everything was given up

var shapes = map[string]struct {
	now  float64
	pods []pod
}{
	"a LeaderWorkerSet's group is ready when its leader is": {1000, []pod{
		lws(0, 4, "a").ready(0, 20, 600), lws(1, 4, "a").started(1, 15), lws(2, 4, "a").started(1, 14), lws(3, 4, "a").started(1, 313).phase("image_pull", 312),
	}},
	"of a group whose pods all serve the last one counts": {1000, []pod{
		server(lws(0, 3, "a")).ready(0, 20, 100), server(lws(1, 3, "a")).ready(1, 15, 340).phase("pod_ready", 40), server(lws(2, 3, "a")).ready(1, 14, 120),
	}},
	"a worker that is pulled late keeps a leader waiting that is probed as all are": {1000, []pod{
		server(lws(0, 4, "a")).ready(0, 20, 400), server(lws(1, 4, "a")).ready(1, 15, 397),
		server(lws(2, 4, "a")).ready(1, 340, 398).phase("image_pull", 320), server(lws(3, 4, "a")).ready(1, 14, 396),
	}},
	"a leader that takes longer than workers who are all there": {1000, []pod{
		server(lws(0, 3, "a")).ready(0, 20, 300), server(lws(1, 3, "a")).ready(1, 20, 100), server(lws(2, 3, "a")).ready(1, 21, 101),
	}},
	"a group goes on while its leader does": {500, []pod{
		lws(0, 3, "a").going(0), lws(1, 3, "a").started(1, 15), lws(2, 3, "a").started(1, 14),
	}},
	"a group whose worker has not come goes on, though the leader is ready": {500, []pod{
		lws(0, 3, "a").ready(0, 10, 60), lws(1, 3, "a").started(61, 70),
	}},
	"workers that are created once the leader is ready": {500, []pod{
		lws(0, 3, "a").ready(0, 10, 60), lws(1, 3, "a").started(61, 70), lws(2, 3, "a").started(61, 71),
	}},
	"a member that never comes": {later, []pod{
		lws(0, 4, "a").going(0), lws(1, 4, "a").started(1, 15), lws(2, 4, "a").started(1, 14),
	}},
	"a leader that never comes": {later, []pod{
		sts(1, "r1", "--headless").started(0, 12), sts(2, "r1", "--headless").started(0, 11),
	}},
	"a group that is made again after a worker failed": {1000, []pod{
		lws(0, 3, "a").deleted(0, 100), lws(1, 3, "a").failed(1, 98, "OOMKilled").left(), lws(2, 3, "a").started(1, 14).left(),
		lws(0, 3, "b").ready(130, 140, 500), lws(1, 3, "b").started(131, 141), lws(2, 3, "b").started(131, 142),
	}},
	"a group that is made again twice before its workers come": {1000, []pod{
		lws(0, 2, "a").deleted(0, 10), lws(0, 2, "b").deleted(20, 30), lws(0, 2, "c").ready(40, 50, 90), lws(1, 2, "c").started(41, 51),
	}},
	"a group that is made again is still pending": {200, []pod{
		lws(0, 2, "a").deleted(0, 100), lws(1, 2, "a").started(1, 9).left(), lws(0, 2, "b").going(130),
	}},
	"a rolling update changes a LeaderWorkerSet's size": {1000, []pod{
		lws(0, 2, "a").ready(0, 10, 100).left(), lws(1, 2, "a").started(1, 9).left(),
		lws(0, 3, "b").ready(300, 310, 400), lws(1, 3, "b").started(301, 309), lws(2, 3, "b").started(301, 311),
	}},
	"a worker crashes once, and is replaced alone": {1000, []pod{
		lws(0, 3, "a").ready(0, 10, 400), lws(1, 3, "a").started(1, 9), lws(2, 3, "a").deleted(1, 50), again(lws(2, 3, "a")).started(60, 75),
	}},
	"a worker's container crashes and runs again": {1000, []pod{
		lws(0, 3, "a").ready(0, 10, 400), lws(1, 3, "a").started(1, 9), lws(2, 3, "a").started(1, 92).phase("restart_backoff", 80),
	}},
	"a LeaderWorkerSet of one is no group": {1000, []pod{lws(0, 1, "a").ready(0, 10, 100)}},
	"a Ray head without a GPU leads": {1000, []pod{
		ray("head", "head", "c1").ready(0, 12, 90), ray("worker", "w-1", "c1").started(1, 30), ray("worker", "w-2", "c1").started(1, 80).phase("pod_pending", 70),
	}},
	"Ray workers before their head": {1000, []pod{
		ray("worker", "w-1", "c1").started(0, 30), ray("head", "head", "c1").ready(2, 12, 90),
	}},
	"a new RayCluster of the same service": {1000, []pod{
		ray("head", "head-1", "c1").ready(0, 12, 90), ray("worker", "w-1", "c1").started(1, 30),
		ray("head", "head-2", "c2").going(700), ray("worker", "w-2", "c2").started(701, 730),
	}},
	"headless nodes of a StatefulSet": {1000, []pod{
		sts(0, "r1", "--nnodes", "2", "--node-rank", "0").ready(0, 10, 300), sts(1, "r1", "--nnodes", "2", "--node-rank", "1", "--headless").started(0, 11),
	}},
	"data-parallel ranks of a StatefulSet": {1000, []pod{
		sts(0, "r1", "--data-parallel-rank", "0").ready(0, 10, 300), sts(1, "r1", "--data-parallel-rank", "1").ready(0, 11, 310),
	}},
	"replicas of a StatefulSet start alone": {1000, []pod{
		sts(0, "r1", "--model", "a/b").ready(0, 10, 300), sts(1, "r1", "--model", "a/b").ready(310, 320, 610),
	}},
	"a rolling update of a StatefulSet": {1000, []pod{
		sts(0, "r1", "--nnodes=2").ready(0, 10, 100).left(), sts(1, "r1", "--nnodes=2", "--headless").started(0, 11).left(),
		sts(1, "r2", "--nnodes=2", "--headless").started(500, 511), sts(0, "r2", "--nnodes=2").ready(520, 530, 600),
	}},
	"an indexed Job of one model, of which a pod fails and is made again": {1000, []pod{
		job(0, "j1", "--nnodes", "2").started(0, 10), job(1, "j1", "--nnodes", "2", "--headless").failed(0, 20, "exit_code=1"),
		again(job(1, "j1", "--nnodes", "2", "--headless")).started(30, 41),
	}},
	"an indexed Job of shards starts alone": {1000, []pod{job(0, "j1").started(0, 10), job(1, "j1").started(0, 12)}},
	"cliques of Grove": {1000, []pod{
		grove("serve-0-model-1-ldr", 0, "a").ready(0, 10, 200), grove("serve-0-model-1-wkr", 0, "a").started(0, 12), grove("serve-0-model-1-wkr", 1, "a").started(0, 100).phase("container_creating", 90),
	}},
	"cliques of Grove that are made again": {1000, []pod{
		grove("ldr", 0, "a").ready(0, 10, 200).left(), grove("wkr", 0, "a").started(0, 12).left(), grove("wkr", 1, "a").started(0, 13).left(),
		grove("wkr", 0, "b").started(500, 512), grove("wkr", 1, "b").started(500, 513), grove("ldr", 0, "b").ready(501, 510, 700),
	}},
	"prefill and decode that an annotation joins": {1000, []pod{
		declared("prefill", "", "2").ready(0, 10, 200), declared("decode", "", "2").ready(4, 14, 260),
	}},
	"a rollout of one of two workloads tells of no group": {later, []pod{
		declared("prefill", "", "2").ready(0, 10, 200), declared("decode", "", "2").ready(4, 14, 260), rolled(declared("decode", "", "2")).ready(5000, 5010, 5200),
	}},
	"an annotation that says neither size nor index makes no group": {1000, []pod{declared("prefill", "", "").ready(0, 10, 200)}},
	"all pods go before any is ready": {1000, []pod{
		sts(0, "r1", "--nnodes", "2").deleted(0, 50), sts(1, "r1", "--nnodes", "2", "--headless").deleted(0, 52),
	}},
	"all of a group's pods that nothing numbers came, and are deleted before any is ready": {1000, []pod{
		declared("prefill", "", "2").deleted(0, 50), declared("decode", "", "2").deleted(4, 51),
	}},
	"a worker that nothing numbers fails, and none is in its place yet": {500, []pod{
		ksolo(0).ready(0, 10, 100), ksolo(1).failed(1, 50, "OOMKilled"),
	}},
	"a size that nobody can mean": {later, []pod{lws(0, 1_000_000_000, "a").going(0), lws(1, 1_000_000_000, "a").started(1, 15)}},
	"an index beyond the size":    {later, []pod{lws(0, 3, "a").going(0), lws(7, 3, "a").started(1, 15)}},
	"a size, an index and a rank that are no numbers": {1000, []pod{
		relabelled(lws(0, 2, "a"), "worker-index", "first", "size", "many").ready(0, 10, 100), relabelled(lws(1, 2, "a"), "worker-index", "-1", "size", "-2").started(1, 9),
	}},
	"subgroups of a LeaderWorkerSet are of one group": {1000, []pod{
		relabelled(lws(0, 4, "a"), "subgroup-index", "0", "subgroup-size", "2").ready(0, 20, 100), relabelled(lws(1, 4, "a"), "subgroup-index", "0", "subgroup-size", "2").started(1, 15),
		relabelled(lws(2, 4, "a"), "subgroup-index", "1", "subgroup-size", "2").started(1, 14), relabelled(lws(3, 4, "a"), "subgroup-index", "1", "subgroup-size", "2").started(1, 90),
	}},
	"a StatefulSet that makes a node once the one before is ready": {1000, []pod{
		sts(0, "r1", "--nnodes", "3", "--data-parallel-rank", "0").ready(0, 10, 100), sts(1, "r1", "--nnodes", "3", "--data-parallel-rank", "1").ready(101, 110, 200),
		sts(2, "r1", "--nnodes", "3", "--data-parallel-rank", "2").ready(201, 210, 300),
	}},
	"of a StatefulSet's nodes that are ready one is made again": {1000, []pod{
		sts(0, "r1", "--nnodes=2").ready(0, 10, 100), sts(1, "r1", "--nnodes=2", "--headless").started(0, 11).left(), again(sts(1, "r1", "--nnodes=2", "--headless")).started(500, 511),
	}},
	"an indexed Job that runs two of its four nodes at a time": {500, []pod{
		job(0, "j1", "--nnodes", "4").started(0, 10), job(1, "j1", "--nnodes", "4", "--headless").started(0, 12),
	}},
	"a Ray cluster whose workers come as they are needed": {1000, []pod{
		ray("head", "head", "c1").ready(0, 12, 90), ray("worker", "w-1", "c1").started(1, 30), ray("worker", "w-2", "c1").started(400, 430),
	}},
	"pods that do their work for a Ray cluster are none of it": {1000, []pod{
		ray("redis-cleanup", "cleanup", "c1").ready(0, 12, 90), ray("submitter", "submit", "c1").ready(0, 12, 90),
	}},
	"one pod is created long after the others": {1000, []pod{
		lws(0, 3, "a").ready(0, 20, 600), lws(1, 3, "a").started(1, 15), lws(2, 3, "a").started(400, 414),
	}},
}

// server is a worker that serves as well.
func server(p pod) pod { p.args, p.probed = []string{"--model", "a/b"}, true; return p }

// ksolo is a pod of a KServe InferenceService with a head and a worker, which nothing numbers.
func ksolo(i int) pod {
	p := kinds["KServe"](i, 2, "a")
	p.name = fmt.Sprint("kserve-", i)
	return p
}

// relabelled changes what LeaderWorkerSet's controller says of a pod: a label, and an annotation.
func relabelled(p pod, label, value, annotation, as string) pod {
	p.labels, p.annotations = maps.Clone(p.labels), maps.Clone(p.annotations)
	p.labels["leaderworkerset.sigs.k8s.io/"+label], p.annotations["leaderworkerset.sigs.k8s.io/"+annotation] = value, as
	return p
}

// again is the pod that the controller makes in place of one.
func again(p pod) pod { p.name += "+"; return p }

func rolled(p pod) pod {
	p.owner, p.uid, p.name = strings.Replace(p.owner, "7d4f", "99aa", 1), p.uid+"-2", p.name+"-2"
	p.labels = map[string]string{"pod-template-hash": "99aa"}
	return p
}

func TestShapesTellTheirStarts(t *testing.T) {
	var out strings.Builder
	for _, name := range sorted(shapes) {
		fmt.Fprintf(&out, "%s\n%s\n", name, told(members(shapes[name].pods), shapes[name].now))
	}
	const golden = "testdata/shapes.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("differs from %s (-update rewrites it):\n%s", golden, out.String())
	}
}

func TestTheOrderInWhichMembersAreLearntOfChangesNothing(t *testing.T) {
	for _, name := range sorted(shapes) {
		t.Run(name, func(t *testing.T) {
			shape := shapes[name]
			whole := members(shape.pods)
			want := told(whole, shape.now)
			for seed := range uint64(200) {
				random := rand.New(rand.NewPCG(seed, 1))
				// Each member may be known before it is over, often, and after.
				var parts []group.Member
				for _, m := range whole {
					early := m
					early.Outcome, early.Ended, early.Running, early.Failure, early.Took, early.Gone = "", time.Time{}, time.Time{}, "", [7]int64{}, false
					for range random.IntN(3) {
						parts = append(parts, early)
					}
					parts = append(parts, m)
					if random.IntN(2) == 0 {
						parts = append(parts, m)
					}
				}
				random.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
				if got := told(parts, shape.now); got != want {
					t.Fatalf("seed %d:\n%s\nwant\n%s", seed, got, want)
				}
			}
		})
	}
}

// What was told is told once, whoever is told of it later and again.
func TestADoneMakingStaysDone(t *testing.T) {
	for _, name := range sorted(shapes) {
		t.Run(name, func(t *testing.T) {
			var table group.Table
			whole := members(shapes[name].pods)
			for _, m := range whole {
				table.Put(m)
			}
			over := map[string]bool{}
			for _, at := range keys(whole) {
				for _, s := range table.Starts(at[0], at[1], second(shapes[name].now)) {
					if s.Outcome != "" {
						table.Done(s.Namespace, s.Key, s.Parts...)
						for _, m := range s.Members {
							over[m.UID] = true
						}
					}
				}
			}
			for _, m := range whole {
				table.Put(m)
			}
			for _, at := range keys(whole) {
				for _, s := range table.Starts(at[0], at[1], second(shapes[name].now)) {
					for _, m := range s.Members {
						if over[m.UID] {
							t.Errorf("%s is told again", m.Name)
						}
					}
				}
			}
			for _, m := range table.Members() {
				if over[m.UID] {
					t.Errorf("%s is still held", m.Name)
				}
			}
		})
	}
}

func members(pods []pod) (out []group.Member) {
	for _, p := range pods {
		if m, ok := p.member(); ok {
			out = append(out, m)
		}
	}
	return out
}

func keys(members []group.Member) (out [][2]string) {
	for _, m := range members {
		if at := [2]string{m.Namespace, m.Group.Key}; !slices.Contains(out, at) {
			out = append(out, at)
		}
	}
	slices.SortFunc(out, func(a, b [2]string) int { return strings.Compare(a[1], b[1]) })
	return out
}

// told is all that a table of the members tells.
func told(members []group.Member, now float64) string {
	var table group.Table
	for _, m := range members {
		table.Put(m)
		if m.Gone {
			table.Gone(m.Namespace, m.Group.Key, m.UID)
		}
	}
	var out strings.Builder
	for _, at := range keys(members) {
		for _, s := range table.Starts(at[0], at[1], second(now)) {
			fmt.Fprintf(&out, "  %s of %d", s.Key, s.Size)
			if s.Outcome == "" {
				out.WriteString(": goes on")
			} else {
				fmt.Fprintf(&out, ": %s after %s", s.Outcome, s.End.Sub(s.Begin))
			}
			if s.Partial {
				out.WriteString(", a part of the one before")
			}
			if len(s.Missing) > 0 {
				fmt.Fprintf(&out, ", no %s", strings.Join(s.Missing, ", "))
			}
			out.WriteString("\n")
			for _, m := range s.Members {
				fmt.Fprintf(&out, "    %-24s %s\n", m.Label(), m.Outcome)
			}
			if late, ok := s.Straggler(); ok {
				fmt.Fprintf(&out, "    last %s, %s behind: %s %s, others %s\n", late.Member.Label(), late.Behind, late.Phase, late.Took, late.Others)
			}
			for _, m := range s.Measurements() {
				fmt.Fprintf(&out, "    %s %g %v\n", m.Metric, m.Value, m.Labels)
			}
		}
	}
	if out.Len() == 0 {
		return "  no group\n"
	}
	return out.String()
}

func sorted[V any](m map[string]V) []string {
	var out []string
	for name := range m {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
