// SPDX-License-Identifier: Apache-2.0

package process

import (
	"maps"
	"slices"
	"time"
)

// look finds who is new, who has become another program and who is gone. Everybody is listed if somebody was born, and
// once more at the next look: a number is given a moment before its process is there to be seen.
func (w *Watcher) look(now time.Time) error {
	last, ok := w.lastPID()
	born := !ok || last != w.last
	if born || w.nascent {
		if err := w.scan(now); err != nil {
			return err
		}
	}
	w.last, w.nascent = last, born
	w.quiet = true
	for _, p := range w.procs {
		w.check(p, now)
	}
	return nil
}

// scan lists all processes.
func (w *Watcher) scan(now time.Time) error {
	strangers := map[int]stat{}
	for _, p := range w.procs {
		p.present = false
	}
	err := w.list(func(pid int) {
		if p := w.procs[pid]; p != nil {
			p.present = true
		} else if s, ok := w.stat(pid); ok {
			strangers[pid] = s
		}
	})
	if err != nil {
		return err
	}
	for _, p := range w.procs {
		if !p.present {
			w.end(p)
		}
	}
	w.adopt(strangers, now)
	return nil
}

// adopt takes those who are ours. A child may come before its parent is known, so they are asked again until nobody new
// turns out to be ours.
func (w *Watcher) adopt(strangers map[int]stat, now time.Time) {
	for found := true; found; {
		found = false
		for _, pid := range slices.Sorted(maps.Keys(strangers)) {
			s := strangers[pid]
			if pid != w.top && s.ppid != w.reaper && w.procs[s.ppid] == nil {
				continue
			}
			delete(strangers, pid)
			// The dead wait for their parent to ask for them, some for ever. They are nobody.
			if s.state != 'Z' && s.state != 'X' && pid != w.reaper {
				w.add(pid, s, now)
				found = true
			}
		}
	}
}
