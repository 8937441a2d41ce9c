// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// open are the objects whose keys are not ours: Kubernetes' own types, labels, and the collector's configuration.
var open = []string{
	"affinity", "collector.exporters", "collector.nodeSelector", "collector.resources", "collector.tolerations[]", "dashboards.grafana.labels", "global",
	"networkPolicy.metricsFrom[]", "nodeSelector", "podAnnotations", "podLabels", "prometheusRule.labels", "resources",
	"serviceAccount.annotations", "serviceMonitor.labels", "tolerations[]", "traceVolume.istio.gateway.selector",
}

// schemaNode is what the test reads of a JSON schema.
type schemaNode struct {
	Type                 string
	Properties           map[string]*schemaNode
	AdditionalProperties any
	Items                *schemaNode
}

// TestATypingErrorIsNamedAtEveryLevel puts a key that does not exist into every object that the schema describes, all in
// one file, and looks for each in what Helm says.
func TestATypingErrorIsNamedAtEveryLevel(t *testing.T) {
	var root schemaNode
	b, err := os.ReadFile("coldtrace/values.schema.json")
	must(t, err)
	must(t, json.Unmarshal(b, &root))
	var opened, closed []string
	var spoil func(path string, n *schemaNode) map[string]any
	spoil = func(path string, n *schemaNode) map[string]any {
		values := map[string]any{"noSuchKey": true}
		closed = append(closed, path)
		for _, name := range slices.Sorted(maps.Keys(n.Properties)) {
			child, at := n.Properties[name], strings.TrimPrefix(path+"."+name, ".")
			list := child.Type == "array" && child.Items != nil
			if list {
				child, at = child.Items, at+"[]"
			}
			switch {
			case child.Type != "object":
				continue
			case child.AdditionalProperties != false:
				opened = append(opened, at)
				continue
			}
			if v := spoil(at, child); list {
				values[name] = []any{v}
			} else {
				values[name] = v
			}
		}
		return values
	}
	text, err := yaml.Marshal(spoil("", &root))
	must(t, err)
	file := filepath.Join(t.TempDir(), "values.yaml")
	must(t, os.WriteFile(file, text, 0o600))
	_, said, err := helm(t, "template", "coldtrace", "coldtrace", "--values", file)
	if err == nil {
		t.Fatal("Helm takes keys that do not exist")
	}
	for _, path := range closed {
		where := "/" + strings.ReplaceAll(strings.ReplaceAll(path, "[]", ".0"), ".", "/")
		if path == "" {
			where = ""
		}
		if !strings.Contains(said, "at '"+where+"': additional properties 'noSuchKey' not allowed") {
			t.Errorf("%q: the error does not name the key:\n%s", where, said)
		}
	}
	if slices.Sort(opened); !slices.Equal(opened, open) {
		t.Errorf("any key goes in %v\nwant only in %v", opened, open)
	}
}
