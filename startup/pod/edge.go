// SPDX-License-Identifier: Apache-2.0

package pod

import "time"

// edge is one end of a span and how it is known.
type edge struct {
	at  nanos // 0: unknown
	src source
}

func (e edge) known() bool { return e.at != 0 }

// status is an edge from pod status or metadata.
func status(at nanos) edge { return edge{at, byStatus} }

// or is the edge if it is known, else another.
func (e edge) or(other edge) edge {
	if e.known() {
		return e
	}
	return other
}

// within tells whether an exact time is what a time with whole seconds was cut from. Events follow what they tell of by
// some milliseconds, hence a second of play.
func (n nanos) within(whole nanos) bool { return whole <= n && n < whole+2*second }

func (n nanos) time() time.Time { return time.Unix(0, int64(n)).UTC() }

func (n nanos) seconds() float64 { return time.Duration(n).Seconds() }
