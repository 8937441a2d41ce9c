// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/inject"
)

const canaryPod = `{"metadata":{"labels":{"managed-by":"model-engine"}},
	"spec":{"containers":[{"name":"main","image":"x","command":["python3","-m","vllm.entrypoints.openai.api_server"],
	"resources":{"limits":{"nvidia.com/gpu":"1"}}}]}}`

// candidate is a pod and whose it is.
type candidate struct {
	namespace, name, generateName, kind, owner string
	labels                                     map[string]string
}

// inCanary tells if a pod is injected where a percentage of owners is.
func (c candidate) inCanary(t *testing.T, percent int) bool {
	t.Helper()
	var pod endpoint.Pod
	if err := json.Unmarshal([]byte(canaryPod), &pod); err != nil {
		t.Fatal(err)
	}
	pod.Metadata.Name, pod.Metadata.GenerateName = c.name, c.generateName
	for key, value := range c.labels {
		pod.Metadata.Labels[key] = value
	}
	if c.kind != "" {
		pod.Metadata.OwnerReferences = []metav1.OwnerReference{
			{Kind: "Namespace", Name: c.name + "-other"}, {Kind: c.kind, Name: c.owner, Controller: new(true)},
		}
	}
	policy := config.Default()
	policy.OTLP.Endpoint, policy.CanaryPercent = "http://collector.test:4317", percent
	ops, d := inject.Pod(inject.Request{Pod: &pod, Namespace: c.namespace, Policy: policy, Version: "test"})
	outside := d.Outcome == inject.Skipped && len(d.Notes) == 1 && d.Notes[0].Reason == inject.ReasonCanary
	if outside == (d.Outcome == inject.Injected) {
		t.Fatalf("neither in nor out: %+v", d)
	}
	if outside && len(ops) != 1 {
		t.Fatalf("a pod outside gets %d operations, want the annotation alone", len(ops))
	}
	return !outside
}

// ofWorkloads make the pods of a workload by its name, each rollout or run with controllers of its own.
var ofWorkloads = map[string]func(name string, rollout int) candidate{
	"Deployment": func(name string, rollout int) candidate {
		hash := fmt.Sprintf("5d4f%d", rollout)
		return candidate{generateName: name + "-" + hash + "-", kind: "ReplicaSet", owner: name + "-" + hash, labels: map[string]string{"pod-template-hash": hash}}
	},
	"Rollout of Argo": func(name string, rollout int) candidate {
		hash := fmt.Sprintf("77b%d", rollout)
		return candidate{kind: "ReplicaSet", owner: name + "-" + hash, labels: map[string]string{"rollouts-pod-template-hash": hash}}
	},
	"StatefulSet": func(name string, rollout int) candidate {
		return candidate{name: fmt.Sprintf("%s-%d", name, rollout), kind: "StatefulSet", owner: name}
	},
	"Job": func(name string, rollout int) candidate {
		return candidate{generateName: fmt.Sprintf("%s-%d-", name, rollout), kind: "Job", owner: name}
	},
	"CronJob": func(name string, rollout int) candidate {
		return candidate{kind: "Job", owner: fmt.Sprintf("%s-%d", name, 29_733_120+rollout)}
	},
	"LeaderWorkerSet": func(name string, rollout int) candidate {
		return candidate{kind: "StatefulSet", owner: fmt.Sprintf("%s-%d", name, rollout), labels: map[string]string{"leaderworkerset.sigs.k8s.io/name": name}}
	},
	"RayService": func(name string, rollout int) candidate {
		return candidate{kind: "RayCluster", owner: fmt.Sprintf("%s-x%d", name, rollout), labels: map[string]string{"ray.io/originated-from-cr-name": name}}
	},
	"bare pods that are given a name": func(name string, rollout int) candidate {
		return candidate{name: fmt.Sprintf("%s-%d", name, rollout), generateName: name + "-"}
	},
}

func TestThePodsOfAWorkloadAreAllInTheCanaryOrNoneOverAllRollouts(t *testing.T) {
	for kind, of := range ofWorkloads {
		t.Run(kind, func(t *testing.T) {
			seen := map[bool]int{}
			for i := range 40 {
				name := fmt.Sprintf("llama-%d", i)
				first := of(name, 0).inCanary(t, 50)
				seen[first]++
				for rollout := range 5 {
					if of(name, rollout).inCanary(t, 50) != first {
						t.Errorf("rollout %d of %s differs from the first", rollout, name)
					}
				}
			}
			if seen[true] < 10 || seen[false] < 10 {
				t.Errorf("of 40 workloads %d are in", seen[true])
			}
		})
	}
}

func TestTheCanaryTakesItsShareAndOnlyGrows(t *testing.T) {
	const owners = 2000
	for name, of := range map[string]func(i int) candidate{
		"Deployments": func(i int) candidate { return ofWorkloads["Deployment"](fmt.Sprintf("llama-%d", i), 0) },
		"Deployments of one name, each in a namespace": func(i int) candidate {
			c := ofWorkloads["Deployment"]("llama", 0)
			c.namespace = fmt.Sprintf("team-%d", i)
			return c
		},
		"bare pods":                func(i int) candidate { return candidate{name: fmt.Sprintf("llama-%d", i)} },
		"bare pods without a name": func(i int) candidate { return candidate{generateName: fmt.Sprintf("llama-%d-", i)} },
	} {
		t.Run(name, func(t *testing.T) {
			percents := []int{0, 1, 10, 50, 90, 99, 100}
			in := map[int]int{}
			for i := range owners {
				before := false
				for _, percent := range percents {
					now := of(i).inCanary(t, percent)
					if now {
						in[percent]++
					}
					if before && !now {
						t.Errorf("%d is in at less than %d %% and then no more", i, percent)
					}
					before = now
				}
			}
			for _, percent := range percents {
				p := float64(percent) / 100
				got, tolerance := float64(in[percent])/owners, 4*math.Sqrt(p*(1-p)/owners)
				if math.Abs(got-p) > tolerance {
					t.Errorf("%d %%: %.2f %% of owners are in", percent, 100*got)
				}
			}
		})
	}
}
