// SPDX-License-Identifier: Apache-2.0

package process

import (
	"maps"
	"slices"
	"time"
)

const (
	maxBirths = 512 // of more between two looks everybody is listed
	nascent   = 16  // so many of the latest numbers may belong to processes that the kernel is about to show
)

// look finds who is new, who has become another program and who is gone.
func (w *Watcher) look(now time.Time) error {
	last, ok := w.lastPID()
	switch {
	case !ok || w.last < 0 || last < w.last || last-w.last > maxBirths:
		if err := w.scan(now); err != nil {
			return err
		}
		w.last = max(0, last-nascent)
	case last != w.last || len(w.unborn) > 0:
		w.born(last, now)
		w.last = last
	}
	w.quiet = true
	for _, p := range w.procs {
		w.check(p, now)
	}
	return nil
}

// born asks for the numbers that were given since the last look. That takes as long as there were births, in a PID
// namespace that is shared as well, where a listing takes as long as there are processes.
func (w *Watcher) born(last int, now time.Time) {
	numbers := w.unborn
	first := len(numbers)
	for n := w.last + 1; n <= last; n++ {
		numbers = append(numbers, n)
	}
	w.unborn = nil
	strangers := map[int]stat{}
	for i, n := range numbers {
		s, ok := w.stat(n)
		switch {
		case ok:
			strangers[n] = s
		case i >= first: // or somebody who is gone already: it is asked for once more
			w.unborn = append(w.unborn, n)
		}
	}
	w.adopt(strangers, now)
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
	w.unborn = nil
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
			if s.state != 'Z' && s.state != 'X' && pid != w.reaper && w.procs[pid] == nil && !w.thread(pid) {
				w.add(pid, s, now)
				found = true
			}
		}
	}
}
