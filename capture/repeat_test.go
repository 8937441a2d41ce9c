// SPDX-License-Identifier: Apache-2.0

package capture_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/coldtrace/coldtrace/capture"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// Who looks when a pod has just become ready, or has failed, and who looks when more has happened to it, say the same of how it went.
func TestAStartThatIsOverWentTheSameWayLater(t *testing.T) {
	captures, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(captures) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	again := 0 // later looks
	for _, path := range captures {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		file, err := capture.Read(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range file.Pods {
			all := *p
			var first map[string]string
			for n := range all.Versions {
				p.Versions = all.Versions[:n+1]
				timeline := p.Facts(file.Taken).Build(capture.SeenAt(p.Versions[n], file.Taken), 0)
				if timeline.Outcome == pod.Open || p.Versions[n].Annotations[capture.SeenAnnotation] == "" { // nobody looked just then
					continue
				}
				went := map[string]string{"outcome": string(timeline.Outcome)}
				for _, s := range timeline.Spans {
					went[s.Key] = string(s.Failure)
				}
				if first == nil {
					first = went
					continue
				}
				again++
				for key, how := range first {
					if now, ok := went[key]; !ok || now != how {
						t.Errorf("%s: %s of %s is %q at first and %q (%v) later", filepath.Base(path), key, p.Versions[0].Name, how, now, ok)
					}
				}
			}
		}
	}
	if again == 0 {
		t.Error("no capture has two looks at a start that is over")
	}
}
