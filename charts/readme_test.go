// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const readmeHead = `# The coldtrace chart

` + "```sh" + `
helm install coldtrace charts/coldtrace --namespace coldtrace-system --create-namespace --set otlp.endpoint=http://COLLECTOR:4317 --wait
helm test coldtrace --namespace coldtrace-system
kubectl label namespace NAME coldtrace.io/inject=enabled
` + "```" + `

[Installing, upgrading, removing](../../docs/install.md) has images, cert-manager, Argo CD and Flux, and what to do when something is
wrong; [security](../../docs/security.md) has every right with its reason.

- Certificates are its own unless ` + "`certManager.enabled`" + `; a new CA on demand:
  ` + "`kubectl annotate secret coldtrace-ca -n coldtrace-system coldtrace.io/rotate-ca=$(date +%s) --overwrite`" + `.
- An upgrade or a rollback keeps the CA, the bundle and the watcher's checkpoint. Uninstalling removes all of it, the webhook
  configuration first, so that no pod waits for what is gone.
- A policy that is edited in its ConfigMap is read within a minute or so, without a restart; ` + "`helm upgrade`" + ` with another one rolls the replicas. A bad one is reported (metric ` + "`coldtrace_policy_good`" + `, log) and the last good one stays.
- ` + "`tests/`" + ` has the suites for helm-unittest; ` + "`make test`" + ` runs them.

## Values

This table is generated from the comments of values.yaml by ` + "`make golden`" + `.

| value | default | meaning |
|---|---|---|
`

// readme is the table of all values that have a comment beginning with "--".
func readme(t *testing.T, text string) string {
	t.Helper()
	var root yaml.Node
	must(t, yaml.Unmarshal([]byte(text), &root))
	var b strings.Builder
	b.WriteString(readmeHead)
	var walk func(prefix string, n *yaml.Node)
	walk = func(prefix string, n *yaml.Node) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			path := prefix + key.Value
			meaning, documented := comment(key.HeadComment)
			if !documented {
				if value.Kind != yaml.MappingNode || len(value.Content) == 0 {
					t.Errorf("%s has no comment", path)
				}
				walk(path+".", value)
				continue
			}
			fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", path, inline(t, value), meaning)
			if value.Kind == yaml.MappingNode && strings.Contains(value.HeadComment+childComments(value), "-- ") {
				walk(path+".", value)
			}
		}
	}
	walk("", root.Content[0])
	return b.String()
}

// comment is the last line of a head comment, where it begins with "--".
func comment(head string) (string, bool) {
	lines := strings.Split(strings.TrimSpace(head), "\n")
	text, ok := strings.CutPrefix(lines[len(lines)-1], "# -- ")
	return strings.ReplaceAll(text, "|", `\|`), ok
}

func childComments(n *yaml.Node) string {
	var b strings.Builder
	for _, c := range n.Content {
		b.WriteString(c.HeadComment)
	}
	return b.String()
}

func inline(t *testing.T, n *yaml.Node) string {
	t.Helper()
	var v any
	must(t, n.Decode(&v))
	b, err := json.Marshal(v)
	must(t, err)
	if len(b) > 80 {
		return "see values.yaml"
	}
	return string(b)
}
