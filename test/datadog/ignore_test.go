// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/DataDog/datadog-agent/pkg/trace/filters"
	"sigs.k8s.io/yaml"
)

func TestTheDatadogAgentIgnoresTheRoutesWhoseShareIsZeroAndNoOther(t *testing.T) {
	file := filepath.Join(t.TempDir(), "values.yaml")
	must(t, os.WriteFile(file, []byte(`
traceVolume:
  datadogAgent: {enabled: true}
  routes:
    - {path: /v1/async-tasks/*, keepPercent: 0}
    - {path: /health, keepPercent: 0}
    - {path: /a.b(c), keepPercent: 0}
    - {path: /v1/llm/*, keepPercent: 1}
`), 0o600))
	var out, errs bytes.Buffer
	cmd := exec.Command(helm(t), "template", "coldtrace", "../../charts/coldtrace", "-f", file, "--show-only", "templates/trace-volume.yaml")
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("helm template: %v: %s", err, errs.String())
	}
	var object struct{ Data map[string]string }
	must(t, yaml.Unmarshal(out.Bytes(), &object))
	var agent struct {
		APM struct {
			Ignore []string `json:"ignore_resources"`
		} `json:"apm_config"`
	}
	must(t, yaml.UnmarshalStrict([]byte(object.Data["datadog.yaml"]), &agent))
	var values struct {
		Agents struct {
			Containers struct {
				TraceAgent struct {
					Env []struct{ Name, Value string }
				}
			}
		}
	}
	must(t, yaml.UnmarshalStrict([]byte(object.Data["helm-values.yaml"]), &values))
	env := values.Agents.Containers.TraceAgent.Env
	// The agent splits the variable at commas: none may be within an expression.
	if len(env) != 1 || env[0].Name != "DD_APM_IGNORE_RESOURCES" || !slices.Equal(strings.Split(env[0].Value, ","), agent.APM.Ignore) {
		t.Errorf("the variable %v and the file %v differ", env, agent.APM.Ignore)
	}
	ignored := filters.NewBlacklister(agent.APM.Ignore)
	for resource, want := range map[string]bool{
		"GET /v1/async-tasks/{task_id}": true,
		"GET /v1/async-tasks/7f3a":      true,
		"/v1/async-tasks/7f3a":          true,
		"GET /health":                   true,
		"GET /health?deep=1":            true,
		"GET /a.b(c)":                   true,
		"GET /healthy":                  false,
		"GET /v2/health":                false,
		"GET /aXb(c)":                   false,
		"POST /v1/async-tasks":          false,
		"POST /v1/llm/completions":      false,
		"startup":                       false,
		"pod_startup":                   false,
	} {
		if allowed, _ := ignored.AllowsString(resource); allowed == want {
			t.Errorf("%q: ignored %v, want %v", resource, !allowed, want)
		}
	}
}
