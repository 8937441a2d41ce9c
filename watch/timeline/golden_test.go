// SPDX-License-Identifier: Apache-2.0

package timeline_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coldtrace/coldtrace/watch/timeline"
)

var update = flag.Bool("update", false, "rewrite the golden trees")

// Each testdata/NAME.yaml is a capture, NAME.tree the starts it must tell.
func TestCapturesTellTheirStarts(t *testing.T) {
	captures, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(captures) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	for _, path := range captures {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			got := tree(t, path)
			golden := strings.TrimSuffix(path, ".yaml") + ".tree"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func tree(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	starts, err := timeline.FromCapture(f)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for i := range starts {
		s := &starts[i]
		out.WriteString("pod " + s.Subject.PodName + " target=" + s.Subject.ContainerName + " gpu=" + s.Subject.GPUType +
			" region=" + s.Subject.Region + " outcome=" + string(s.Outcome) + "\n")
		s.WriteTree(&out)
	}
	return out.Bytes()
}
