// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// oldest and newest are the minor versions of Kubernetes 1 that the chart is for.
const oldest, newest = 30, 36

// TestEachKubernetesGetsWhatItsGoldenFileSays renders what has the most objects for each version, and compares it with the
// newest one's. Only what differs is written down: today nothing, because everything used is stable since 1.30.
func TestEachKubernetesGetsWhatItsGoldenFileSays(t *testing.T) {
	for _, shape := range []string{"everything", "cert-manager"} {
		reference := rendered(t, shape, newest)
		var differences bytes.Buffer
		for minor := oldest; minor < newest; minor++ {
			got := rendered(t, shape, minor)
			for name, doc := range reference {
				if got[name] != doc {
					fmt.Fprintf(&differences, "1.%d: %s\n%s\n", minor, name, got[name])
				}
			}
			for name, doc := range got {
				if reference[name] == "" {
					fmt.Fprintf(&differences, "1.%d: %s\n%s\n", minor, name, doc)
				}
			}
		}
		golden := filepath.Join("testdata", "kubernetes", strings.ReplaceAll(shape, " ", "-")+".differences")
		if *update {
			must(t, os.MkdirAll(filepath.Dir(golden), 0o755))
			must(t, os.WriteFile(golden, differences.Bytes(), 0o644))
		}
		want, err := os.ReadFile(golden)
		must(t, err)
		if !bytes.Equal(differences.Bytes(), want) {
			t.Errorf("%s: what differs between versions of Kubernetes is not what %s says (make golden):\n%s", shape, golden, differences.Bytes())
		}
	}
}

// rendered is each object's text by its kind and name.
func rendered(t *testing.T, shape string, minor int) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, doc := range render(t, shapes[shape], "--kube-version", fmt.Sprintf("1.%d.0", minor)) {
		var o struct {
			Kind     string
			Metadata struct{ Name string }
		}
		must(t, yaml.Unmarshal(doc, &o))
		out[o.Kind+" "+o.Metadata.Name] = string(doc)
	}
	if len(out) < 10 {
		t.Fatalf("%s on 1.%d is only %d objects", shape, minor, len(out))
	}
	return out
}

func TestAnOlderKubernetesIsRefusedWithTheReason(t *testing.T) {
	_, said, err := helm(t, "template", "coldtrace", "coldtrace", "--kube-version", fmt.Sprintf("1.%d.0", oldest-1))
	if err == nil || !strings.Contains(said, ">=1.30") {
		t.Errorf("%v: %s", err, said)
	}
}
