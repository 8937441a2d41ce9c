// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"testing"
	"time"
)

func TestTheMedianIsTheOneOfTheStatisticsLibraries(t *testing.T) {
	for name, c := range map[string]struct {
		values []time.Duration
		want   time.Duration
	}{
		"none":           {nil, 0},
		"one":            {[]time.Duration{7}, 7},
		"an even number": {[]time.Duration{8, 2, 4, 100}, 6},
		"an odd number":  {[]time.Duration{9, 1, 5}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Median(c.values); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
	// R: quantile(c(1,2,3,4,10), .9) is 7.6.
	if got := Quantile([]float64{10, 4, 3, 2, 1}, 0.9); got < 7.5999 || got > 7.6001 {
		t.Errorf("%v, want 7.6", got)
	}
}
