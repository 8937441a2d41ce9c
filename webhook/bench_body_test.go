// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"
)

// benchBodies are admission reviews as an API server sends them: a golden pod with what the API server fills in and the
// managedFields that come of it, and a pod of the corpus where there is one.
func benchBodies(b *testing.B) map[string][]byte {
	b.Helper()
	bodies := map[string][]byte{}
	for _, variables := range []int{0, 24, 200} {
		bodies[fmt.Sprintf("env=%d", variables)] = benchBody(b, "../inject/testdata/streaming-vllm.yaml", variables)
	}
	for name, pattern := range map[string]string{"streaming": "02-*.yaml", "leader": "04-*.yaml"} {
		found, err := filepath.Glob("../../shared/corpus/pods/" + pattern)
		if err != nil {
			b.Fatal(err)
		}
		if len(found) == 1 {
			bodies[name] = benchBody(b, found[0], 0)
		}
	}
	return bodies
}

// benchBody is the review of one pod, whose containers get so many variables if they have fewer.
func benchBody(b *testing.B, file string, variables int) []byte {
	b.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	var object map[string]any
	if err := yaml.Unmarshal(text, &object); err != nil {
		b.Fatal(err)
	}
	fillIn(object, variables)
	filled, err := json.Marshal(object)
	if err != nil {
		b.Fatal(err)
	}
	return []byte(reviewOf(string(filled)))
}

// fillIn adds what an API server's defaults and its field manager add to a new pod.
func fillIn(object map[string]any, variables int) {
	meta := object["metadata"].(map[string]any) //nolint:forcetypeassert // a pod has metadata
	spec := object["spec"].(map[string]any)     //nolint:forcetypeassert // and a spec
	for _, each := range spec["containers"].([]any) {
		c := each.(map[string]any) //nolint:forcetypeassert // a container is an object
		c["terminationMessagePath"], c["terminationMessagePolicy"] = "/dev/termination-log", "File"
		env, _ := c["env"].([]any)
		for i := len(env); i < variables; i++ {
			env = append(env, map[string]any{
				"name": fmt.Sprintf("SETTING_NUMBER_%d", i), "value": fmt.Sprintf("https://service-%d.example.test/path", i),
			})
		}
		c["env"] = env
	}
	spec["schedulerName"], spec["dnsPolicy"], spec["enableServiceLinks"] = "default-scheduler", "ClusterFirst", true
	spec["tolerations"] = []any{
		map[string]any{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
		map[string]any{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
	}
	meta["creationTimestamp"] = nil
	meta["managedFields"] = []any{map[string]any{
		"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "time": "2026-07-02T18:04:12Z",
		"fieldsType": "FieldsV1", "fieldsV1": fieldsOf(object),
	}}
	object["status"] = map[string]any{}
}

// fieldsOf is the set of an object's fields as managedFields writes it.
func fieldsOf(value any) map[string]any {
	set := map[string]any{}
	switch value := value.(type) {
	case map[string]any:
		for key, field := range value {
			set["f:"+key] = fieldsOf(field)
		}
	case []any:
		for _, item := range value {
			fields, ok := item.(map[string]any)
			if !ok {
				return set // an atomic list, as command is
			}
			inner := fieldsOf(fields)
			inner["."] = map[string]any{}
			set[fmt.Sprintf(`k:{"name":%q}`, fields["name"])] = inner
		}
	}
	return set
}
