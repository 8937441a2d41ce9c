// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/inject"
)

const canaryPod = `{"metadata":{"name":%q,"generateName":%q,"labels":{"managed-by":"model-engine"},"ownerReferences":%s},
	"spec":{"containers":[{"name":"main","image":"x","command":["python3","-m","vllm.entrypoints.openai.api_server"],
	"resources":{"limits":{"nvidia.com/gpu":"1"}}}]}}`

// inCanary tells if a pod is injected where a percentage of owners is.
func inCanary(t *testing.T, percent int, name, generateName, owners string) bool {
	t.Helper()
	var pod endpoint.Pod
	if err := json.Unmarshal(fmt.Appendf(nil, canaryPod, name, generateName, owners), &pod); err != nil {
		t.Fatal(err)
	}
	policy := config.Default()
	policy.OTLP.Endpoint, policy.CanaryPercent = "http://collector.test:4317", percent
	ops, d := inject.Pod(inject.Request{Pod: &pod, Namespace: "ns", Policy: policy, Version: "test"})
	outside := d.Outcome == inject.Skipped && len(d.Notes) == 1 && d.Notes[0].Reason == inject.ReasonCanary
	if outside == (d.Outcome == inject.Injected) {
		t.Fatalf("neither in nor out: %+v", d)
	}
	if outside && len(ops) != 1 {
		t.Fatalf("a pod outside gets %d operations, want the annotation alone", len(ops))
	}
	return !outside
}

func ownedBy(kind, uid string) string {
	return fmt.Sprintf(`[{"kind":"Namespace","name":"n","uid":%q},{"kind":%q,"name":"o","uid":%q,"controller":true}]`, uuid.NewString(), kind, uid)
}

// seeded gives the same UIDs in every run.
func seeded(t *testing.T) func() string {
	source := rand.NewChaCha8([32]byte{6})
	return func() string {
		t.Helper()
		id, err := uuid.NewRandomFromReader(source)
		if err != nil {
			t.Fatal(err)
		}
		return id.String()
	}
}

func TestThePodsOfAnOwnerAreAllInTheCanaryOrNone(t *testing.T) {
	next := seeded(t)
	for _, kind := range []string{"ReplicaSet", "StatefulSet", "DaemonSet", "Job", "LeaderWorkerSet"} {
		t.Run(kind, func(t *testing.T) {
			seen := map[bool]int{}
			for range 40 {
				uid := next()
				first := inCanary(t, 50, "", "llama-", ownedBy(kind, uid))
				seen[first]++
				for i := range 5 {
					name := fmt.Sprintf("llama-%d", i)
					if inCanary(t, 50, name, "", ownedBy(kind, uid)) != first {
						t.Errorf("%s of owner %s differs from its siblings", name, uid)
					}
				}
			}
			if seen[true] == 0 || seen[false] == 0 {
				t.Errorf("of 40 owners %d are in", seen[true])
			}
		})
	}
}

func TestTheCanaryTakesItsShareAndOnlyGrows(t *testing.T) {
	const owners = 2000
	for name, pod := range map[string]func(t *testing.T, percent int, id string) bool{
		"owned pods": func(t *testing.T, percent int, id string) bool {
			return inCanary(t, percent, "", "llama-", ownedBy("ReplicaSet", id))
		},
		"bare pods":                func(t *testing.T, percent int, id string) bool { return inCanary(t, percent, id, "", "[]") },
		"bare pods without a name": func(t *testing.T, percent int, id string) bool { return inCanary(t, percent, "", id+"-", "[]") },
	} {
		t.Run(name, func(t *testing.T) {
			next := seeded(t)
			percents := []int{0, 1, 10, 50, 90, 99, 100}
			in := map[int]int{}
			for range owners {
				id, before := next(), false
				for _, percent := range percents {
					now := pod(t, percent, id)
					if now {
						in[percent]++
					}
					if before && !now {
						t.Errorf("%s is in at less than %d %% and then no more", id, percent)
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
