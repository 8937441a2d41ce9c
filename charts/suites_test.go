// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/coldtrace/coldtrace/test/assets"
)

// TestTheSuitesOfTheChartPass runs charts/coldtrace/tests with helm-unittest, which renders as Helm 3 does.
func TestTheSuitesOfTheChartPass(t *testing.T) {
	tool := filepath.Join(assets.Need(t), "helm-unittest")
	if out, err := exec.Command(tool, "coldtrace").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
