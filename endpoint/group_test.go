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
		"an LWS leader whose index is no number": {`
metadata:
  {uid: u0, labels: {leaderworkerset.sigs.k8s.io/name: llama, leaderworkerset.sigs.k8s.io/group-index: "1", leaderworkerset.sigs.k8s.io/worker-index: first},
   annotations: {leaderworkerset.sigs.k8s.io/size: "4"}, ownerReferences: [{kind: StatefulSet, name: llama, uid: s, controller: true}]}` + main, Options{},
			`{"key":"lws/llama/1","generation":"u0","part":"leader","size":4,"index":0,"role":"leader","statefulSet":"llama"}`},
		"an LWS worker whose index is no number": {`
metadata:
  {labels: {leaderworkerset.sigs.k8s.io/name: llama, leaderworkerset.sigs.k8s.io/group-index: "1", leaderworkerset.sigs.k8s.io/worker-index: second, apps.kubernetes.io/pod-index: "2"},
   annotations: {leaderworkerset.sigs.k8s.io/size: "4", leaderworkerset.sigs.k8s.io/leader-name: llama-1},
   ownerReferences: [{kind: StatefulSet, name: llama-1, uid: s1, controller: true}]}` + spec("vllm, serve, a/b, --headless"), Options{},
			`{"key":"lws/llama/1","generation":"s1","part":"worker","size":4,"index":2,"role":"worker","statefulSet":"llama-1"}`},
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
		"a KServe head, by Ray or not": {`
metadata:
  {labels: {serving.kserve.io/inferenceservice: llama, isvc.generation: "2", app: isvc.llama-predictor, pod-template-hash: h},
   ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: llama-predictor-h, uid: r1, controller: true}]}
spec: {containers: [{name: kserve-container, command: [bash, -c, "ray start --head; vllm serve /mnt/models"], env: [{name: RAY_NODE_COUNT, value: "3"}], resources: {limits: {nvidia.com/gpu: 8}}}]}`, Options{},
			`{"key":"kserve/llama","generation":"r1","part":"leader","size":3,"index":0,"role":"leader"}`},
		"a KServe worker": {`
metadata:
  {labels: {serving.kserve.io/inferenceservice: llama, isvc.generation: "2", app: isvc.llama-predictor-worker, pod-template-hash: w},
   ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: llama-predictor-worker-w, uid: r2, controller: true}]}
spec: {containers: [{name: worker-container, command: [bash, -c, "ray start --address=llama-head-2:6379 --block"], env: [{name: RAY_NODE_COUNT, value: "3"}], resources: {limits: {nvidia.com/gpu: 8}}}]}`, Options{},
			`{"key":"kserve/llama","generation":"r2","part":"worker","size":3,"role":"worker"}`},
		"a KServe predictor on one node": {`
metadata: {labels: {serving.kserve.io/inferenceservice: llama, app: isvc.llama-predictor}, ownerReferences: [{kind: ReplicaSet, name: llama-predictor-h, uid: r1, controller: true}]}` + main, Options{}, ""},
		"a pod of an AIBrix PodSet": {`
metadata:
  {labels: {stormservice.orchestration.aibrix.ai/podset-name: s-roleset-x-prefill-0, stormservice.orchestration.aibrix.ai/pod-group-index: "1"},
   ownerReferences: [{apiVersion: orchestration.aibrix.ai/v1alpha1, kind: PodSet, name: s-roleset-x-prefill-0, uid: p, controller: true}]}
spec: {containers: [{name: main, command: [vllm, serve, a/b, --headless], env: [{name: POD_GROUP_SIZE, value: "2"}], resources: {limits: {nvidia.com/gpu: 8}}}]}`, Options{},
			`{"key":"podset/s-roleset-x-prefill-0","generation":"p","size":2,"index":1,"role":"worker"}`},
		"a role of an AIBrix StormService that one pod plays": {`
metadata:
  {labels: {storm-service-name: s, role-name: decode, stormservice.orchestration.aibrix.ai/role-replica-index: "0"},
   ownerReferences: [{apiVersion: orchestration.aibrix.ai/v1alpha1, kind: RoleSet, name: s-roleset-x, uid: p, controller: true}]}` + main, Options{}, ""},
		"a pod of an AIBrix RayClusterFleet": {`
metadata: {labels: {orchestration.aibrix.ai/raycluster-fleet-name: f, ray.io/cluster: f-7d-x, ray.io/node-type: worker}, ownerReferences: [{kind: RayCluster, name: f-7d-x, uid: c, controller: true}]}` + main, Options{},
			`{"key":"ray/f-7d-x","generation":"c","role":"worker"}`},
		"a worker of a role of a Kthena ModelServing": {`
metadata:
  {labels: {modelserving.volcano.sh/name: llama, modelserving.volcano.sh/group-name: llama-0, modelserving.volcano.sh/role-id: leader-0, modelserving.volcano.sh/revision: r7},
   ownerReferences: [{apiVersion: workload.serving.volcano.sh/v1alpha1, kind: ModelServing, name: llama, uid: m, controller: true}]}
spec: {containers: [{name: worker, command: [bash, -c, "ray start --address=$ENTRY_ADDRESS:6379 --block"], env: [{name: GROUP_SIZE, value: "2"}, {name: WORKER_INDEX, value: "1"}], resources: {limits: {nvidia.com/gpu: 8}}}]}`, Options{},
			`{"key":"modelserving/llama-0/leader-0","generation":"m/r7","size":2,"index":1,"role":"worker"}`},
		"a role of a Kthena ModelServing without workers": {`
metadata:
  {labels: {modelserving.volcano.sh/group-name: llama-0, modelserving.volcano.sh/role-id: decode-0, modelserving.volcano.sh/entry: "true"}}
spec: {containers: [{name: entry, command: [vllm, serve, a/b], env: [{name: GROUP_SIZE, value: "1"}, {name: WORKER_INDEX, value: "0"}], resources: {limits: {nvidia.com/gpu: 8}}}]}`, Options{}, ""},
		"a JobSet's leader": {`
metadata:
  {labels: {jobset.sigs.k8s.io/jobset-name: llama, jobset.sigs.k8s.io/replicatedjob-name: leader, jobset.sigs.k8s.io/replicatedjob-replicas: "1", jobset.sigs.k8s.io/global-replicas: "2",
    jobset.sigs.k8s.io/job-index: "0", batch.kubernetes.io/job-completion-index: "0"}, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: llama-leader-0, uid: j1, controller: true}]}` +
			spec(`vllm, serve, a/b, --nnodes, "4", --node-rank, "0"`), Options{},
			`{"key":"jobset/llama","generation":"j1","part":"leader","size":4,"index":0,"role":"server","job":"llama-leader-0"}`},
		"a JobSet's worker": {`
metadata:
  {labels: {jobset.sigs.k8s.io/jobset-name: llama, jobset.sigs.k8s.io/replicatedjob-name: worker, jobset.sigs.k8s.io/replicatedjob-replicas: "1", jobset.sigs.k8s.io/global-replicas: "2",
    jobset.sigs.k8s.io/job-index: "0", batch.kubernetes.io/job-completion-index: "2"}, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: llama-worker-0, uid: j2, controller: true}]}` +
			spec(`vllm, serve, a/b, --nnodes, "4", --headless`), Options{},
			`{"key":"jobset/llama","generation":"j2","part":"worker","size":4,"index":2,"role":"worker","job":"llama-worker-0"}`},
		"a JobSet of a pod for each node": {`
metadata:
  {labels: {jobset.sigs.k8s.io/jobset-name: llama, jobset.sigs.k8s.io/replicatedjob-name: node, jobset.sigs.k8s.io/replicatedjob-replicas: "4", jobset.sigs.k8s.io/global-replicas: "4",
    jobset.sigs.k8s.io/job-index: "3", batch.kubernetes.io/job-completion-index: "0"}, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: llama-node-3, uid: j3, controller: true}]}` +
			spec(`vllm, serve, a/b, --nnodes, "4", --headless`), Options{},
			`{"key":"jobset/llama","generation":"j3","part":"node","size":4,"index":3,"role":"worker","job":"llama-node-3"}`},
		"a JobSet of replicas, each of which spans nodes": {`
metadata:
  {labels: {jobset.sigs.k8s.io/jobset-name: llama, jobset.sigs.k8s.io/replicatedjob-name: server, jobset.sigs.k8s.io/replicatedjob-replicas: "3", jobset.sigs.k8s.io/global-replicas: "3",
    jobset.sigs.k8s.io/job-index: "1", batch.kubernetes.io/job-completion-index: "0"}, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: llama-server-1, uid: j4, controller: true}]}` +
			spec(`vllm, serve, a/b, --nnodes, "2"`), Options{},
			`{"key":"job/llama-server-1","generation":"j4","size":2,"index":0,"role":"leader","job":"llama-server-1"}`},
		"a JobSet of shards": {`
metadata:
  {labels: {jobset.sigs.k8s.io/jobset-name: llama, jobset.sigs.k8s.io/global-replicas: "2", batch.kubernetes.io/job-completion-index: "0"}, ownerReferences: [{kind: Job, name: llama-a-0, uid: j, controller: true}]}` + main, Options{}, ""},
		"a task of a Volcano Job of nodes": {`
metadata:
  {labels: {volcano.sh/job-name: llama, volcano.sh/task-spec: worker, volcano.sh/task-index: "1"}, annotations: {volcano.sh/job-version: "2", scheduling.k8s.io/group-name: llama-u},
   ownerReferences: [{apiVersion: batch.volcano.sh/v1alpha1, kind: Job, name: llama, uid: v, controller: true}]}` + spec(`vllm, serve, a/b, --nnodes=3, --headless`), Options{},
			`{"key":"volcano/llama","generation":"v/2","part":"worker","size":3,"index":1,"role":"worker"}`},
		"pods that Volcano schedules together, each of which serves": {`
metadata: {labels: {pod-template-hash: x}, annotations: {scheduling.k8s.io/group-name: podgroup-x}, ownerReferences: [{kind: ReplicaSet, name: d-x, uid: u, controller: true}]}` + main, Options{}, ""},
		"a PyTorchJob of nodes": {`
metadata:
  {labels: {training.kubeflow.org/job-name: llama, training.kubeflow.org/replica-type: worker, training.kubeflow.org/replica-index: "0"},
   ownerReferences: [{apiVersion: kubeflow.org/v1, kind: PyTorchJob, name: llama, uid: t, controller: true}]}` + spec(`python3, -m, sglang.launch_server, --model-path, a/b, --nnodes, "2", --node-rank, "1", --dist-init-addr, "llama-master-0:5000"`), Options{},
			`{"key":"kubeflow/llama","generation":"t","part":"worker","size":2,"index":0,"role":"worker"}`},
		"a worker of an MPIJob, which waits for ssh": {`
metadata:
  {labels: {training.kubeflow.org/job-name: trt, training.kubeflow.org/job-role: worker, training.kubeflow.org/replica-index: "0"},
   ownerReferences: [{apiVersion: kubeflow.org/v2beta1, kind: MPIJob, name: trt, uid: t, controller: true}]}` + spec(`/usr/sbin/sshd, -De`), Options{}, ""},
		"a pod of a Kueue group of nodes": {`
metadata: {labels: {kueue.x-k8s.io/pod-group-name: llama, kueue.x-k8s.io/pod-group-pod-index: "0"}, annotations: {kueue.x-k8s.io/pod-group-total-count: "2"}}` + spec(`vllm, serve, a/b, --node-rank, "0"`), Options{},
			`{"key":"kueue/llama","size":2,"index":0,"role":"leader"}`},
		"a StatefulSet of nodes that Kueue admits": {`
metadata:
  {labels: {kueue.x-k8s.io/pod-group-name: statefulset-s-1, kueue.x-k8s.io/pod-group-pod-index: "1", apps.kubernetes.io/pod-index: "1"}, annotations: {kueue.x-k8s.io/pod-group-total-count: "2"},
   ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: s, uid: u, controller: true}]}` + spec(`vllm, serve, a/b, --nnodes=2, --headless`), Options{},
			`{"key":"sts/s","generation":"u","size":2,"index":1,"role":"worker","statefulSet":"s"}`},
		"llm-d's prefill, which serves by itself": {`
metadata: {labels: {llm-d.ai/role: prefill, llm-d.ai/inference-serving: "true", pod-template-hash: x}, ownerReferences: [{kind: ReplicaSet, name: p-x, uid: u, controller: true}]}` + main, Options{}, ""},
		"Dynamo's worker on one node": {`
metadata:
  {labels: {nvidia.com/dynamo-graph-deployment-name: g, nvidia.com/dynamo-component-type: decode, grove.io/podclique: g-0-decode, grove.io/podgang: g-0, grove.io/podclique-pod-index: "0"},
   ownerReferences: [{kind: PodClique, name: g-0-decode, uid: c, controller: true}]}` + main, Options{}, ""},
		"Dynamo's leader on several nodes": {`
metadata:
  {labels: {nvidia.com/dynamo-graph-deployment-name: g, grove.io/podcliquescalinggroup: g-0-decode, grove.io/podcliquescalinggroup-replica-index: "0", grove.io/podclique: g-0-decode-0-decode-ldr, grove.io/podclique-pod-index: "0"},
   ownerReferences: [{kind: PodClique, name: g-0-decode-0-decode-ldr, uid: c, controller: true}]}
spec: {containers: [{name: main, command: [python3, -m, dynamo.vllm, --model, a/b], env: [{name: GROVE_PCSG_TEMPLATE_NUM_PODS, value: "2"}], resources: {limits: {nvidia.com/gpu: 8}}}]}`, Options{},
			`{"key":"grove/g-0-decode/0","generation":"c","part":"g-0-decode-0-decode-ldr","size":2,"index":0,"role":"server"}`},
		"two Deployments with the same labels": {`
metadata: {labels: {app: llama, model: llama, pod-template-hash: x}, ownerReferences: [{kind: ReplicaSet, name: d-x, uid: u, controller: true}]}` + main, Options{}, ""},
		"an annotation with a size": {`
metadata: {labels: {pod-template-hash: x}, ownerReferences: [{kind: ReplicaSet, name: decode-x, uid: u, controller: true}]}` + main,
			Options{Declared: Declared{Group: "pd", GroupSize: "2"}}, `{"key":"group/pd","generation":"u","part":"decode","size":2,"role":"server"}`},
		"an annotation on a StatefulSet of replicas": {`
metadata: {labels: {apps.kubernetes.io/pod-index: "0"}, ownerReferences: [{kind: StatefulSet, name: s, uid: u, controller: true}]}` + main,
			Options{Declared: Declared{Group: "pd"}}, `{"key":"group/pd","generation":"u","part":"s","index":0,"role":"leader","statefulSet":"s"}`},
		"an annotation with neither size nor index": {`metadata: {labels: {a: b}}` + main, Options{Declared: Declared{Group: "pd"}}, ""},
		"an annotation that says none": {`
metadata: {labels: {ray.io/cluster: r, ray.io/node-type: head}}` + main, Options{Declared: Declared{Group: "none"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			pod := new(Pod)
			if err := yaml.Unmarshal([]byte(c.pod), pod); err != nil {
				t.Fatal(err)
			}
			c.opts.GPUResources = []string{"nvidia.com/gpu"}
			id := Identify(pod, c.opts)
			g := id.Group
			if id.GroupBy == "" {
				t.Error("nothing says why")
			}
			if got := g.Text(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
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

func TestAnnotationsOfWhichAGroupIsReadAreTold(t *testing.T) {
	for key, want := range map[string]bool{
		"leaderworkerset.sigs.k8s.io/leader-name": true, "kueue.x-k8s.io/pod-group-total-count": true, "volcano.sh/task-index": true,
		"kubectl.kubernetes.io/last-applied-configuration": false,
	} {
		if Grouping(key) != want {
			t.Errorf("%q: %v", key, !want)
		}
	}
}
