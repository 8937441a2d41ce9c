// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bytes"
	"strconv"
	"testing"
	"time"
)

func TestTheBacklogIsBounded(t *testing.T) {
	var l backlog
	for range 5000 {
		l.add(time.Now(), bytes.Repeat([]byte{'x'}, 1000))
	}
	if l.size > maxBacklog || l.n > maxBacklogLines {
		t.Errorf("%d bytes in %d lines", l.size, l.n)
	}
	for range 5000 {
		l.add(time.Now(), []byte("short"))
	}
	if l.size != maxBacklogLines*len("short") || l.n != maxBacklogLines {
		t.Errorf("%d bytes in %d lines", l.size, l.n)
	}
	line := []byte("a line of usual length, of which a flood has a hundred thousand")
	if n := testing.AllocsPerRun(100, func() {
		for range maxBacklogLines {
			l.add(time.Time{}, line)
		}
	}); n > 20 {
		t.Errorf("%v allocations for %d lines", n, maxBacklogLines)
	}
}

func TestTheBacklogHasTheLatestLinesInTheirOrder(t *testing.T) {
	var l backlog
	began := time.Unix(0, 0)
	for i := range 3 * maxBacklogLines / 2 {
		l.add(began.Add(time.Duration(i)), strconv.AppendInt(nil, int64(i), 10))
	}
	next := 3*maxBacklogLines/2 - 100
	l.since(began.Add(time.Duration(next)), func(h heard) {
		if string(h.text) != strconv.Itoa(next) {
			t.Errorf("%s, want %d", h.text, next)
		}
		next++
	})
	if next != 3*maxBacklogLines/2 || l.n != 0 {
		t.Errorf("up to %d, %d left", next, l.n)
	}
}
