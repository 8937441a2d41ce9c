// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"cmp"
	"slices"
)

// Listen makes readers of one log: of the named engine's, or of every engine's where nobody knows whose log it is.
func Listen(named *Recipe, o Options) []*Reader {
	if named != nil {
		return []*Reader{named.NewReader(o)}
	}
	var out []*Reader
	for _, r := range recipes() {
		if r.id == r.name { // the log of a batch program is its engine's
			out = append(out, r.NewReader(o))
		}
	}
	return out
}

// Best is the reader that recognised most.
func Best(readers []*Reader) *Reader {
	return slices.MaxFunc(readers, func(a, b *Reader) int { return cmp.Compare(a.score(), b.score()) })
}

// Recipe is what the reader reads by.
func (r *Reader) Recipe() *Recipe { return r.recipe }

// Introduced says whether the engine said that it begins. A log whose head is gone tells of what came later alone.
func (r *Reader) Introduced() bool {
	return r.start.passed(markLaunch) || r.start.passed(markEngine)
}
