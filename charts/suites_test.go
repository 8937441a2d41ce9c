// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestTheSuitesOfTheChartPass runs charts/coldtrace/tests with helm-unittest, which renders as Helm 3 does.
func TestTheSuitesOfTheChartPass(t *testing.T) {
	tool := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "helm-unittest")
	if _, err := os.Stat(tool); err != nil {
		t.Skip("helm-unittest is not built: run `make test`, or `cd test/cluster && go run . build helm-unittest`")
	}
	if out, err := exec.Command(tool, "coldtrace").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
