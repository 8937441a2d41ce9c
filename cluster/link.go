// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"time"

	"github.com/coldtrace/coldtrace/startup/group"
)

// link leads from the start of each pod of a group to those of the others that were read, as the watcher does.
func link(starts []Start, now time.Time) {
	var t group.Table
	for i := range starts {
		if s := &starts[i]; s.Subject.Group.Is() && len(s.Outside) > 0 {
			t.Put(group.Of(s.Subject, s.Outside[0].Start))
		}
	}
	for i := range starts {
		if s := &starts[i]; s.Subject.Group.Is() && len(s.Outside) > 0 {
			s.Outside[0].Links = t.Links(s.Subject, now)
		}
	}
}
