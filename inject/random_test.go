// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/coldtrace/coldtrace/inject"
)

// pods makes pods of the parts that matter to what injection promises.
type pods struct{ rand *rand.Rand }

type object = map[string]any

func (p pods) chance(percent int) bool { return p.rand.IntN(100) < percent }

func one[T any](p pods, of ...T) T { return of[p.rand.IntN(len(of))] }

// resources are those of one container: none, requests, limits, both, equal or not.
func (p pods) resources(gpu bool) object {
	requests, limits := object{}, object{}
	for _, r := range []struct {
		name   string
		values []string
	}{
		{"cpu", []string{"5m", "50m", "100m", "1", "80", "0"}}, {"memory", []string{"8Mi", "16Mi", "64Mi", "100M", "1Gi", "800Gi", "0"}},
		{"ephemeral-storage", []string{"10Mi", "1Gi"}},
	} {
		v := r.values[p.rand.IntN(len(r.values))]
		switch p.rand.IntN(5) {
		case 0:
			requests[r.name] = v
		case 1:
			limits[r.name] = v
		case 2, 3:
			requests[r.name], limits[r.name] = v, v
		}
	}
	if gpu {
		name := one(p, "nvidia.com/gpu", "nvidia.com/mig-1g.10gb", "amd.com/gpu")
		limits[name] = one[any](p, "1", "8", 2)
		if p.chance(50) {
			requests[name] = limits[name]
		}
	}
	out := object{}
	if len(requests) > 0 {
		out["requests"] = requests
	}
	if len(limits) > 0 {
		out["limits"] = limits
	}
	return out
}

func (p pods) container(name string, gpu bool) object {
	c := object{"name": name, "image": one(p, "vllm/vllm-openai:v1", "own@sha256:0123456789abcdef", "own", "reg:5000/x/own:2"), "resources": p.resources(gpu)}
	switch p.rand.IntN(6) {
	case 0:
		c["command"] = []string{"vllm", "serve", "m"}
	case 1:
		c["command"], c["args"] = []string{"/bin/sh", "-c"}, []string{scripts(p).script()}
	case 2:
		c["command"] = []string{"dumb-init", "--", "bash", "-c", scripts(p).script()}
	case 3:
		c["args"] = []string{"--model", "m"}
	case 4:
		c["command"] = []string{"bash", "-c", scripts(p).script()}
	}
	if p.chance(70) {
		env := []any{}
		for range p.rand.IntN(5) {
			name := one(p, "POD_UID", "OTEL_EXPORTER_OTLP_ENDPOINT", "AWS_REGION", "X", "Y", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "COLDTRACE_ENGINE", "ENABLE_STARTUP_METRICS")
			env = append(env, object{"name": name, "value": one(p, "", "$(X)", "true", "$$(Y)", "v")})
		}
		c["env"] = env
	}
	if p.chance(15) {
		c["envFrom"] = []any{object{"configMapRef": object{"name": "a"}}}
	}
	if p.chance(40) {
		c["volumeMounts"] = []any{object{"name": "data", "mountPath": one(p, "/data", "/coldtrace", "/coldtrace/x", "/coldtracer")}}
	}
	if p.chance(40) {
		c["securityContext"] = object{"allowPrivilegeEscalation": false, "capabilities": object{"drop": []string{"ALL"}}}
	}
	if p.chance(30) {
		c["readinessProbe"] = object{"httpGet": object{"path": "/health", "port": one[any](p, 5005, "http", "nope")}}
	}
	if p.chance(20) {
		c["aFieldOfTheFuture"] = object{"x": []any{1, "2", json.Number("12345678901234567890")}}
	}
	return c
}

func (p pods) pod() object {
	meta := object{"name": "p"}
	if p.chance(80) {
		meta["labels"] = object{"managed-by": one(p, "model-engine", "other"), "endpoint_name": one(p, "e", "a$b", "x$(y)")}
	}
	if p.chance(50) {
		annotations := object{}
		for range p.rand.IntN(4) {
			annotations[one(p, "coldtrace.io/delivery", "coldtrace.io/inject", "coldtrace.io/vllm-flag", "coldtrace.io/status", "a/b", "coldtrace.io/entrypoint", "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes")] =
				one(p, "off", "init-container", "image-volume", "true", "false", "always", `["vllm","serve"]`, "x,y", "")
		}
		meta["annotations"] = annotations
	}
	spec := object{"volumes": []any{object{"name": "data", "emptyDir": object{}}}}
	containers := []any{}
	n := 1 + p.rand.IntN(3)
	gpu := p.rand.IntN(n)
	for i := range n {
		containers = append(containers, p.container(one(p, "c", "main-"+strconv.Itoa(i))+strconv.Itoa(i), i == gpu && p.chance(90)))
	}
	if p.chance(50) {
		containers[gpu].(object)["name"] = one(p, "main", "lws-leader", "lws-worker")
	}
	spec["containers"] = containers
	if p.chance(40) {
		inits := []any{}
		for i := range p.rand.IntN(3) {
			sidecar := p.chance(40)
			c := p.container("init-"+strconv.Itoa(i), sidecar && p.chance(30))
			if sidecar {
				c["restartPolicy"] = "Always"
			}
			inits = append(inits, c)
		}
		spec["initContainers"] = inits
	}
	if p.chance(50) {
		spec["securityContext"] = one(p, object{}, object{"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": object{"type": "RuntimeDefault"}}, object{"runAsUser": 0})
	}
	if p.chance(10) {
		r := object{"cpu": "90", "memory": "900Gi"}
		spec["resources"] = object{"requests": r, "limits": r}
	}
	if p.chance(15) {
		spec["runtimeClassName"] = one(p, "nvidia", "gvisor")
	}
	if p.chance(10) {
		spec["hostUsers"] = p.chance(50)
	}
	if p.chance(10) {
		meta["managedFields"] = []any{object{"manager": "m", "operation": one(p, "Apply", "Update")}}
	}
	if p.chance(10) {
		delete(spec, "volumes")
	}
	return object{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
}

func TestNoRandomPodIsChangedBeyondWhatIsAdded(t *testing.T) {
	var (
		requests = policies(t)
		gen      = pods{rand.New(rand.NewPCG(5, 6))}
		outcomes = map[inject.Outcome]int{}
		features = map[inject.Feature]int{}
	)
	for i := range 1500 {
		raw, err := json.Marshal(gen.pod())
		if err != nil {
			t.Fatal(err)
		}
		req := requests[i%len(requests)]
		problems, ok := checkProperties(raw, req)
		if !ok {
			t.Fatalf("does not decode: %s", raw)
		}
		for _, p := range problems {
			t.Errorf("pod %d: %s\n%s", i, p, raw)
		}
		if t.Failed() {
			return
		}
		req.Pod = decode(t, raw)
		_, d := inject.Pod(req)
		outcomes[d.Outcome]++
		for _, f := range d.Features {
			features[f]++
		}
	}
	t.Log(outcomes, features)
	if features[inject.FeatureWrapper] < 100 || features[inject.FeatureVLLMFlag] < 50 || outcomes[inject.Skipped] < 50 {
		t.Error("the generator misses what it is for")
	}
}
