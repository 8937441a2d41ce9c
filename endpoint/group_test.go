// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/coldtrace/coldtrace/startup"
)

func TestWhichPodsStartAsOne(t *testing.T) {
	const main = `
spec: {containers: [{name: main, command: [vllm, serve, a/b], resources: {limits: {nvidia.com/gpu: 8}}}]}`
	spec := func(command string) string {
		return `
spec: {containers: [{name: main, command: [` + command + `], resources: {limits: {nvidia.com/gpu: 8}}}]}`
	}
	for name, c := range map[string]struct {
		pod  string
		opts Options
		want string
	}{
		"an LWS leader": {`
metadata:
  {uid: u0, labels: {leaderworkerset.sigs.k8s.io/name: llama, leaderworkerset.sigs.k8s.io/group-index: "1", leaderworkerset.sigs.k8s.io/worker-index: "0"},
   annotations: {leaderworkerset.sigs.k8s.io/size: "4"}, ownerReferences: [{kind: StatefulSet, name: llama, uid: s, controller: true}]}` + main, Options{},
			`{"key":"lws/llama/1","generation":"u0","part":"leader","size":4,"index":0,"role":"leader","statefulSet":"llama"}`},
		"an LWS worker": {`
metadata:
  {uid: u1, labels: {leaderworkerset.sigs.k8s.io/name: llama, leaderworkerset.sigs.k8s.io/group-index: "1", leaderworkerset.sigs.k8s.io/worker-index: "3"},
   annotations: {leaderworkerset.sigs.k8s.io/size: "4", leaderworkerset.sigs.k8s.io/leader-name: llama-1},
   ownerReferences: [{kind: StatefulSet, name: llama-1, uid: s1, controller: true}]}` + spec("ray, start, --address=llama-1:6379, --block"), Options{},
			`{"key":"lws/llama/1","generation":"s1","part":"worker","size":4,"index":3,"role":"worker","statefulSet":"llama-1"}`},
		"an LWS worker that serves": {`
metadata:
  {uid: u1, labels: {leaderworkerset.sigs.k8s.io/name: llama, leaderworkerset.sigs.k8s.io/group-index: "0", leaderworkerset.sigs.k8s.io/worker-index: "1"},
   annotations: {leaderworkerset.sigs.k8s.io/size: "2", leaderworkerset.sigs.k8s.io/leader-name: llama-0}}
spec: {containers: [{name: main, command: [vllm, serve, a/b], readinessProbe: {httpGet: {port: 8000}}, resources: {limits: {nvidia.com/gpu: 8}}}]}`, Options{},
			`{"key":"lws/llama/0","part":"worker","size":2,"index":1,"role":"server"}`},
		"an LWS leader before LWS's own webhook saw it": {`
metadata:
  {labels: {leaderworkerset.sigs.k8s.io/name: llama, leaderworkerset.sigs.k8s.io/worker-index: "0", apps.kubernetes.io/pod-index: "2"},
   annotations: {leaderworkerset.sigs.k8s.io/size: "4"}}` + main, Options{},
			`{"key":"lws/llama/2","part":"leader","size":4,"index":0,"role":"leader"}`},
		"an LWS worker before LWS's own webhook saw it": {`
metadata:
  {labels: {leaderworkerset.sigs.k8s.io/name: my-llama, apps.kubernetes.io/pod-index: "3"},
   annotations: {leaderworkerset.sigs.k8s.io/size: "4", leaderworkerset.sigs.k8s.io/leader-name: my-llama-2},
   ownerReferences: [{kind: StatefulSet, name: my-llama-2, uid: s1, controller: true}]}` + spec("vllm, serve, a/b, --headless"), Options{},
			`{"key":"lws/my-llama/2","generation":"s1","part":"worker","size":4,"index":3,"role":"worker","statefulSet":"my-llama-2"}`},
		"an LWS group of one": {`
metadata:
  {labels: {leaderworkerset.sigs.k8s.io/name: llama, leaderworkerset.sigs.k8s.io/group-index: "1"}, annotations: {leaderworkerset.sigs.k8s.io/size: "1"}}` + main, Options{}, ""},
		"a Ray head without a GPU": {`
metadata: {labels: {ray.io/cluster: r-x2, ray.io/node-type: head}, ownerReferences: [{kind: RayCluster, name: r-x2, uid: c, controller: true}]}
spec: {containers: [{name: ray-head}]}`, Options{},
			`{"key":"ray/r-x2","generation":"c","index":0,"role":"leader"}`},
		"a Ray worker": {`
metadata: {labels: {ray.io/cluster: r-x2, ray.io/node-type: worker}, ownerReferences: [{kind: RayCluster, name: r-x2, uid: c, controller: true}]}` + main, Options{},
			`{"key":"ray/r-x2","generation":"c","role":"worker"}`},
		"what submits a Ray job": {`metadata: {labels: {ray.io/originated-from-cr-name: j}, ownerReferences: [{kind: Job, name: j, uid: u, controller: true}]}` + main, Options{}, ""},
		"a Grove clique of a scaling group": {`
metadata:
  {labels: {grove.io/podcliquescalinggroup: s-0-model, grove.io/podcliquescalinggroup-replica-index: "2", grove.io/podclique: s-0-model-2-wkr, grove.io/podclique-pod-index: "1"},
   ownerReferences: [{kind: PodClique, name: s-0-model-2-wkr, uid: p, controller: true}]}
spec: {containers: [{name: main, command: [vllm, serve, a/b, --headless], env: [{name: GROVE_PCSG_TEMPLATE_NUM_PODS, value: "3"}], resources: {limits: {nvidia.com/gpu: 8}}}]}`, Options{},
			`{"key":"grove/s-0-model/2","generation":"p","part":"s-0-model-2-wkr","size":3,"index":1,"role":"worker"}`},
		"a Grove clique of a gang alone": {`
metadata: {labels: {grove.io/podgang: s-0, grove.io/podclique: s-0-decode, grove.io/podclique-pod-index: "1"}}` + main, Options{}, ""},
		"a StatefulSet of replicas": {`
metadata: {labels: {apps.kubernetes.io/pod-index: "1"}, ownerReferences: [{kind: StatefulSet, name: s, uid: u, controller: true}]}` + main, Options{}, ""},
		"a StatefulSet of nodes, whose rank a shell works out": {`
metadata:
  {labels: {apps.kubernetes.io/pod-index: "1", controller-revision-hash: s-77}, ownerReferences: [{kind: StatefulSet, name: s, uid: u, controller: true}]}` +
			spec(`bash, -c, "exec vllm serve a/b --nnodes 2 --node-rank ${HOSTNAME##*-} --headless"`), Options{},
			`{"key":"sts/s","generation":"u/s-77","size":2,"index":1,"role":"worker","statefulSet":"s"}`},
		"a StatefulSet of data-parallel ranks": {`
metadata: {labels: {apps.kubernetes.io/pod-index: "0"}, ownerReferences: [{kind: StatefulSet, name: s, uid: u, controller: true}]}` +
			spec(`vllm, serve, a/b, "--data_parallel_address=s-0.s", --data-parallel-size, "4"`), Options{},
			`{"key":"sts/s","generation":"u","index":0,"role":"leader","statefulSet":"s"}`},
		"SGLang on two nodes": {`
metadata: {labels: {apps.kubernetes.io/pod-index: "0"}, ownerReferences: [{kind: StatefulSet, name: s, uid: u, controller: true}]}` +
			spec(`python3, -m, sglang.launch_server, --model-path, a/b, --dist-init-addr, "s-0:5000", --nnodes, "2", --node-rank, "0"`), Options{},
			`{"key":"sts/s","generation":"u","size":2,"index":0,"role":"leader","statefulSet":"s"}`},
		"SGLang that says that it is on one node": {`
metadata: {labels: {apps.kubernetes.io/pod-index: "0"}, ownerReferences: [{kind: StatefulSet, name: s, uid: u, controller: true}]}` +
			spec(`python3, -m, sglang.launch_server, --model-path, a/b, --dist-init-addr, "s-0:5000", --nnodes, "1", --node-rank, "0"`), Options{}, ""},
		"a model whose name is an option's": {`
metadata: {labels: {apps.kubernetes.io/pod-index: "0"}, ownerReferences: [{kind: StatefulSet, name: s, uid: u, controller: true}]}` +
			spec(`vllm, serve, headless, --served-model-name, nnodes`), Options{}, ""},
		"an indexed Job of nodes": {`
metadata: {labels: {batch.kubernetes.io/job-completion-index: "1"}, ownerReferences: [{kind: Job, name: j, uid: u, controller: true}]}` +
			spec(`vllm, serve, a/b, --node-rank, "1", --headless`), Options{},
			`{"key":"job/j","generation":"u","index":1,"role":"worker","job":"j"}`},
		"an indexed Job of shards": {`
metadata: {labels: {batch.kubernetes.io/job-completion-index: "1"}, ownerReferences: [{kind: Job, name: j, uid: u, controller: true}]}` + main, Options{}, ""},
		"a Deployment's pod with such an option, which nothing numbers": {`
metadata: {labels: {pod-template-hash: x}, ownerReferences: [{kind: ReplicaSet, name: d-x, uid: u, controller: true}]}` + spec(`vllm, serve, a/b, --headless`), Options{}, ""},
		"an annotation with a size": {`
metadata: {labels: {pod-template-hash: x}, ownerReferences: [{kind: ReplicaSet, name: decode-x, uid: u, controller: true}]}` + main,
			Options{Told: Told{Group: "pd", GroupSize: "2"}}, `{"key":"group/pd","generation":"u","part":"decode","size":2,"role":"server"}`},
		"an annotation on a StatefulSet of replicas": {`
metadata: {labels: {apps.kubernetes.io/pod-index: "0"}, ownerReferences: [{kind: StatefulSet, name: s, uid: u, controller: true}]}` + main,
			Options{Told: Told{Group: "pd"}}, `{"key":"group/pd","generation":"u","part":"s","index":0,"role":"leader","statefulSet":"s"}`},
		"an annotation with neither size nor index": {`metadata: {labels: {a: b}}` + main, Options{Told: Told{Group: "pd"}}, ""},
		"an annotation that says none": {`
metadata: {labels: {ray.io/cluster: r, ray.io/node-type: head}}` + main, Options{Told: Told{Group: "none"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			pod := new(Pod)
			if err := yaml.Unmarshal([]byte(c.pod), pod); err != nil {
				t.Fatal(err)
			}
			c.opts.GPUResources = []string{"nvidia.com/gpu"}
			g := Identify(pod, c.opts).Group
			if got := g.Text(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if cheap := MayGroup(pod.Metadata.Labels, map[string]string{"coldtrace.io/group": c.opts.Group}); g.Is() && !cheap {
				t.Error("MayGroup says that there can be none")
			}
			// What the wrapper is told is what the watcher will say, but for what admission can't know.
			want := g
			if want.Is() && want.Role == startup.GroupLeader && want.Part == "leader" {
				want.Generation, g.Generation = "the-uid", ""
			}
			if got := startup.GroupOf(g.Text(), "the-uid"); got.Text() != want.Text() {
				t.Errorf("the wrapper reads %s, want %s", got.Text(), want.Text())
			}
		})
	}
}
