// SPDX-License-Identifier: Apache-2.0

package capture_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shapes are those of starts that a new user meets, and what shows each: captures by name, whose headline, rows and metrics are in
// testdata/drawn.txt; FILE:TEST; or another golden file.
var shapes = map[string][]string{
	"arguments and no command":            {"../test/e2e/levels_test.go:TestAContainerThatTheWrapperIsNotInIsToldByItsLog", "../cmd/coldtrace/testdata/explain/an-endpoint-without-a-command.txt"},
	"a command that is a list":            {"../test/e2e/log_test.go:TestTwentyStartsAreToldTheSameByTheirLogs", "../cmd/coldtrace/testdata/explain/an-endpoint-that-gets-everything.txt"},
	"a Job":                               {"real-short-job", "job-through", "real-failed-job", "short-job", "job-through-beside-a-proxy", "job-failed-beside-a-proxy"},
	"no probe":                            {"unprobed"},
	"an image that can't be pulled":       {"image-that-never-comes", "real-image-missing", "invalid-image-name"},
	"the wrapper's image can't be pulled": {"wrapper-unpullable", "../test/e2e/breaker_test.go:TestAWrapperThatDoesNotWorkIsLeftOutOfTheNextPods"},
	"a sidecar's image can't be pulled":   {"sidecar-unpullable"},
	"no node has the GPU":                 {"never-scheduled", "real-never-scheduled"},
	"no node is tolerated":                {"no-node-tolerated"},
	"the volume claim is missing":         {"claim-missing"},
	"gated":                               {"gated", "real-gated", "pod-group-gate"},
	"a crash loop that goes on":           {"crash-loop-in-flight", "real-crash-loop"},
	"a crash loop with success":           {"crash-loop"},
	"a crash loop with deletion":          {"crash-loop-deleted", "real-deleted-while-backing-off"},
	"the ways in which engines fail":      {"failures_test.go:TestWaysToFailAreDrawnAndCounted", "../test/e2e/harmless_test.go:TestAFailedStartIsAnErrorWithItsReason"},
	"a server that exits with 0":          {"exits-zero"},
	"out of memory":                       {"oom-killed-then-ready", "real-oom-killed"},
	"killed by a probe":                   {"killed-by-its-startup-probe", "killed-by-its-liveness-probe"},
	"a readiness probe that is late":      {"ready-ten-seconds-late", "readiness-probe-fails", "real-ready-ten-seconds-late"},
	"init containers":                     {"two-init-containers", "init-container-fails-then-works", "native-sidecar", "real-init-fails-once"},
	"a ConfigMap that is missing":         {"config-map-missing", "config-error", "real-config-error"},
	"a command that is not found":         {"start-error", "real-start-error"},
	"deletion":                            {"deleted-while-pulling", "real-deleted-before-ready", "../test/e2e/harmless_test.go:TestAPodThatIsDeletedBeforeItIsReadyEndsItsTrace"},
	"a namespace that loses its label":    {"../watch/namespace_test.go:TestANamespaceThatLosesItsLabelTakesWhatWasShedWithItAndParksTheRest"},
	"opting out":                          {"../cmd/coldtrace/testdata/explain/an-endpoint-that-opts-out.txt"},
	"annotations with a slip":             {"../cmd/coldtrace/testdata/explain/an-annotation-with-a-typing-error.txt", "../inject/testdata/annotation-typo.yaml.injected"},
}

func TestEveryShapeOfAStartIsShown(t *testing.T) {
	drawn, err := os.ReadFile("testdata/drawn.txt")
	if err != nil {
		t.Fatal(err)
	}
	for shape, shown := range shapes {
		for _, by := range shown {
			file, test, isTest := strings.Cut(by, ":")
			if !isTest && filepath.Ext(file) == "" {
				if !regexp.MustCompile(`(?m)^=== ` + by + `\.yaml `).Match(drawn) {
					t.Errorf("%s: there is no drawing of %s", shape, by)
				}
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil || isTest && !strings.Contains(string(text), "\nfunc "+test+"(t *testing.T)") {
				t.Errorf("%s: there is no %s: %v", shape, by, err)
			}
		}
	}
}
