// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"testing"
	"time"
)

func TestTicksAreLabelledWithoutUnitsThatSayNothing(t *testing.T) {
	for want, at := range map[string]time.Duration{
		"0s": 0, "500ms": 500 * time.Millisecond, "10s": 10 * time.Second, "1m": time.Minute, "1m30s": 90 * time.Second,
		"10m": 10 * time.Minute, "20m": 20 * time.Minute, "30m": 30 * time.Minute, "1h": time.Hour, "1h10m": 70 * time.Minute,
		"10h": 10 * time.Hour, "1h0m30s": time.Hour + 30*time.Second,
	} {
		if got := tickLabel(at); got != want {
			t.Errorf("%s: %q, want %q", at, got, want)
		}
	}
}
