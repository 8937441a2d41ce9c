// SPDX-License-Identifier: Apache-2.0

package capture_test

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/coldtrace/coldtrace/capture"
	"github.com/coldtrace/coldtrace/test/timelinetest"
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

// client-go's recorder puts a prefix in front of the text of an event that it combined with others. Whatever the event says
// counts all the same, and a capture of it is as good as one of the plain event.
func TestAnEventThatWasCombinedWithSimilarOnesTellsTheSame(t *testing.T) {
	captures, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(captures) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	for _, path := range captures {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want := treeOf(t, bytes.NewReader(raw))
			var combined, redacted bytes.Buffer
			for doc := range bytes.SplitSeq(raw, []byte("\n---\n")) {
				var e corev1.Event
				if err := yaml.Unmarshal(doc, &e); err != nil || e.Kind != "Event" {
					writeDocument(&combined, doc)
					writeDocument(&redacted, doc)
					continue
				}
				e.Message = "(combined from similar events): " + e.Message
				writeDocument(&combined, marshal(t, &e))
				if r := capture.RedactEvent(&e); r != nil {
					writeDocument(&redacted, marshal(t, r))
				}
			}
			for what, file := range map[string]*bytes.Buffer{"combined": &combined, "combined and redacted": &redacted} {
				if got := treeOf(t, file); !bytes.Equal(got, want) {
					t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
				}
			}
		})
	}
}

func writeDocument(w *bytes.Buffer, doc []byte) {
	w.Write(doc)
	w.WriteString("\n---\n")
}

func marshal(t *testing.T, e *corev1.Event) []byte {
	t.Helper()
	doc, err := yaml.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func tree(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return treeOf(t, f)
}

func treeOf(t *testing.T, from io.Reader) []byte {
	t.Helper()
	starts, err := capture.Starts(from)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for i := range starts {
		s := &starts[i]
		out.WriteString("pod " + s.Subject.PodName + " target=" + s.Subject.Container + " gpu=" + s.Subject.GPUType +
			" region=" + s.Subject.Region + " outcome=" + string(s.Outcome) + "\n")
		timelinetest.Write(&out, &s.Timeline)
	}
	return out.Bytes()
}
