// SPDX-License-Identifier: Apache-2.0

package container

import "time"

// backlog keeps the latest lines from before it is known whose they are: a process is recognised a moment after it
// began to talk.
type backlog struct {
	ring     []heard // maxBacklogLines of them, which are used again
	first, n int
	size     int // of n texts
}

type heard struct {
	at   time.Time
	text []byte
}

const (
	maxBacklog      = 512 << 10 // bytes
	maxBacklogLines = 2000
	keptText        = 256 // bytes: a longer text's memory is not used again
)

func (l *backlog) add(at time.Time, text []byte) {
	if l.ring == nil {
		l.ring = make([]heard, maxBacklogLines)
	}
	for l.n == len(l.ring) || l.n > 0 && l.size+len(text) > maxBacklog {
		l.drop()
	}
	h := l.at(l.n)
	h.at, h.text = at, append(h.text[:0], text...)
	l.n++
	l.size += len(text)
}

func (l *backlog) at(i int) *heard { return &l.ring[(l.first+i)%len(l.ring)] }

// drop forgets the oldest.
func (l *backlog) drop() {
	h := l.at(0)
	l.size -= len(h.text)
	if cap(h.text) > keptText {
		h.text = nil
	}
	l.first = (l.first + 1) % len(l.ring)
	l.n--
}

// since passes the lines from a time on to f and forgets all.
func (l *backlog) since(t time.Time, f func(heard)) {
	for i := range l.n {
		if h := l.at(i); !h.at.Before(t) {
			f(*h)
		}
	}
	*l = backlog{}
}
