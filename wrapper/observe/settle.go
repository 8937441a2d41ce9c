// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// A container that runs out of memory is killed with everything in it, the observer included: what is not told by then
// is lost. So what is most likely final is told before it certainly is. Spans that turn out otherwise are told again,
// under the same ids; nothing is counted twice.
const (
	settleLook     = 2 * time.Second
	settleDownload = 2 * time.Second  // with `set -e`, a failure of the download ends the command long before that
	settlePhase    = 10 * time.Second // other ranks say the same within that
)

// settle tells what has not changed for a while.
func (s *story) settle(now time.Time) {
	if s.done {
		return
	}
	for len(s.ended) > 0 && now.Sub(s.ended[0].proc.End) > settleDownload {
		d := s.ended[0]
		s.ended = s.ended[1:]
		s.say(s.download(d, "")...)
	}
	s.engineTold(now)
	if s.done {
		return
	}
	e := s.engine
	if e == nil && s.guess != nil && s.guess.Recognised() {
		e = &engine{recipe: s.named, reader: s.guess} // its process may still be seen
	}
	if e == nil || e.told {
		return
	}
	var fresh []startup.Span
	for _, sp := range s.engineSpans(e, e.reader.Result(nil, now)) {
		if _, ok := s.early[sp.Key]; ok || sp.Failure != "" || now.Sub(sp.End) < settlePhase || sp.Name == e.recipe.Name()+"_init" {
			continue
		}
		s.early[sp.Key] = sp
		s.list(sp)
		fresh = append(fresh, sp)
	}
	if len(fresh) > 0 {
		s.tell(fresh)
	}
}
