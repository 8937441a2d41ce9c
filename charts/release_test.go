// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/coldtrace/coldtrace/test/assets"
)

// TestAReleasedChartIsHeldAgainstTheImagesOfItsRelease: the step of `make release` that packages it.
func TestAReleasedChartIsHeldAgainstTheImagesOfItsRelease(t *testing.T) {
	assets.Need(t)
	for tag, right := range map[string]bool{"9.8.7-rc.1": true, "v9.8.7-rc.1": false, "0.2.0": false} {
		out, err := exec.Command("../test/release/chart", t.TempDir(), "9.8.7-rc.1", tag).CombinedOutput()
		if (err == nil) != right || !right && !strings.Contains(string(out), "asks for ghcr.io/coldtrace/coldtrace:9.8.7-rc.1") {
			t.Errorf("images of tag %s: %v\n%s", tag, err, out)
		}
	}
}
