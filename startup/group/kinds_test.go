// SPDX-License-Identifier: Apache-2.0

package group_test

import (
	"fmt"
	"strconv"

	"github.com/coldtrace/coldtrace/startup"
)

// kinds make pod i of a group of a size, of which the first serves and the others follow, as the kind's controllers label them. making
// tells the makings of the group from each other.
var kinds = map[string]func(i, size int, making string) pod{
	"LeaderWorkerSet": lws,
	"Ray": func(i, _ int, making string) pod {
		return ray([]string{"head", "worker"}[min(i, 1)], "n", "c-"+making)
	},
	"StatefulSet": func(i, size int, making string) pod { return sts(i, making, nodes(i, size)...) },
	"indexed Job": func(i, size int, making string) pod { return job(i, making, nodes(i, size)...) },
	"Grove": func(i, size int, making string) pod {
		p := grove([]string{"ldr", "wkr"}[min(i, 1)], max(0, i-1), making)
		p.env = map[string]string{"GROVE_PCSG_TEMPLATE_NUM_PODS": strconv.Itoa(size)}
		return p
	},
	"annotation": func(i, size int, making string) pod {
		p := declared([]string{"serve", "follow"}[min(i, 1)], "", strconv.Itoa(size))
		p.uid += making
		return p
	},
	"KServe": func(i, size int, making string) pod {
		part := []string{"", "-worker"}[min(i, 1)]
		return pod{
			labels: map[string]string{"serving.kserve.io/inferenceservice": "llama", "isvc.generation": "1", "app": "isvc.llama-predictor" + part, "pod-template-hash": making},
			env:    map[string]string{"RAY_NODE_COUNT": strconv.Itoa(size)}, kind: "ReplicaSet", owner: "llama-predictor" + part + "-" + making, uid: part + making,
		}
	},
	"AIBrix": func(i, size int, making string) pod {
		return pod{
			labels: map[string]string{"stormservice.orchestration.aibrix.ai/podset-name": "llama", "stormservice.orchestration.aibrix.ai/pod-group-index": strconv.Itoa(i)},
			env:    map[string]string{"POD_GROUP_SIZE": strconv.Itoa(size)}, kind: "PodSet", owner: "llama", uid: making,
		}
	},
	"Kthena": func(i, size int, making string) pod {
		return pod{
			labels: map[string]string{"modelserving.volcano.sh/group-name": "llama-0", "modelserving.volcano.sh/role-id": "decode-0", "modelserving.volcano.sh/revision": making},
			env:    map[string]string{"GROUP_SIZE": strconv.Itoa(size), "WORKER_INDEX": strconv.Itoa(i)}, kind: "ModelServing", owner: "llama", uid: "llama",
		}
	},
	"JobSet": func(i, size int, making string) pod {
		part := []string{"leader", "worker"}[min(i, 1)]
		return pod{
			labels: map[string]string{
				"jobset.sigs.k8s.io/jobset-name": "llama", "jobset.sigs.k8s.io/replicatedjob-name": part, "jobset.sigs.k8s.io/replicatedjob-replicas": "1",
				"jobset.sigs.k8s.io/global-replicas": "2", "batch.kubernetes.io/job-completion-index": strconv.Itoa(max(0, i-1)),
			},
			args: nodes(i, size), kind: "Job", owner: "llama-" + part + "-0", uid: part + making,
		}
	},
	"Volcano": func(i, size int, making string) pod {
		return pod{
			labels:      map[string]string{"volcano.sh/job-name": "llama", "volcano.sh/task-spec": "node", "volcano.sh/task-index": strconv.Itoa(i)},
			annotations: map[string]string{"volcano.sh/job-version": making},
			args:        nodes(i, size), kind: "Job", owner: "llama", uid: "llama",
		}
	},
}

// nodes are the arguments of a node of a server.
func nodes(i, size int) []string {
	args := []string{"--nnodes", strconv.Itoa(size), "--node-rank", strconv.Itoa(i)}
	if i > 0 {
		args = append(args, "--headless")
	}
	return args
}

// stories are what can become of a group of three, and how it is looked at last.
var stories = map[string]struct {
	now  float64
	pods func(of func(i, size int, making string) pod) []pod
}{
	"one is late": {1000, func(of func(int, int, string) pod) []pod {
		return []pod{of(0, 3, "a").ready(0, 20, 300), of(1, 3, "a").started(1, 15), of(2, 3, "a").started(1, 200).phase(startup.SpanImagePull, 190)}
	}},
	"the leader comes last": {1000, func(of func(int, int, string) pod) []pod {
		return []pod{of(1, 3, "a").started(0, 12), of(2, 3, "a").started(0, 13), of(0, 3, "a").ready(30, 40, 200)}
	}},
	"one fails and is replaced": {1000, func(of func(int, int, string) pod) []pod {
		return []pod{of(0, 3, "a").ready(0, 10, 400), of(1, 3, "a").started(1, 9), of(2, 3, "a").failed(1, 50, "OOMKilled").left(), again(of(2, 3, "a")).started(60, 75)}
	}},
	"it is made again": {1000, func(of func(int, int, string) pod) []pod {
		return []pod{
			of(0, 3, "a").ready(0, 10, 100).left(), of(1, 3, "a").started(1, 9).left(), of(2, 3, "a").started(1, 10).left(),
			of(0, 3, "b").ready(300, 310, 450), of(1, 3, "b").started(301, 309), of(2, 3, "b").started(301, 311),
		}
	}},
	"it is made again with more": {1000, func(of func(int, int, string) pod) []pod {
		return []pod{
			of(0, 2, "a").ready(0, 10, 100).left(), of(1, 2, "a").started(1, 9).left(),
			of(0, 3, "b").ready(300, 310, 450), of(1, 3, "b").started(301, 309), of(2, 3, "b").started(301, 311),
		}
	}},
	"a rollout goes on": {500, func(of func(int, int, string) pod) []pod {
		return []pod{
			of(0, 3, "a").ready(0, 10, 100), of(1, 3, "a").started(1, 9), of(2, 3, "a").started(1, 10),
			of(0, 3, "b").going(480), of(1, 3, "b").started(480, 490), of(2, 3, "b").going(481),
		}
	}},
	"one never comes": {later, func(of func(int, int, string) pod) []pod {
		return []pod{of(0, 3, "a").going(0), of(1, 3, "a").started(1, 15)}
	}},
	"all go before it is ready": {1000, func(of func(int, int, string) pod) []pod {
		return []pod{of(0, 3, "a").deleted(0, 50), of(1, 3, "a").deleted(1, 51), of(2, 3, "a").deleted(1, 52)}
	}},
}

// Each story of each kind is a shape.
func init() {
	for kind, of := range kinds {
		for story, s := range stories {
			if kind == "LeaderWorkerSet" && story == "the leader comes last" {
				continue // its workers are made once it is there
			}
			numbered := func(i, size int, making string) pod {
				p := of(i, size, making)
				p.name = fmt.Sprintf("%d@%s", i, making)
				return p
			}
			shape := shapes[kind+": "+story]
			shape.now, shape.pods = s.now, s.pods(numbered)
			shapes[kind+": "+story] = shape
		}
	}
}
