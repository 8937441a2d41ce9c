// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"math"
	"slices"
)

// Quantile of values, q from 0 to 1, between the two nearest ones as most tools have it (R's type 7); half-way between the two in
// the middle for the median of an even number. It sorts values; of none it is 0.
func Quantile[T ~int64 | ~float64](values []T, q float64) T {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	at := q * float64(len(values)-1)
	low := int(math.Floor(at))
	high := min(low+1, len(values)-1)
	return values[low] + T((at-float64(low))*float64(values[high]-values[low]))
}

// Median is the quantile in the middle.
func Median[T ~int64 | ~float64](values []T) T { return Quantile(values, 0.5) }
