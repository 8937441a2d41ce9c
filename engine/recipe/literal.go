// SPDX-License-Identifier: Apache-2.0

package recipe

import "slices"

// literals finds which of a set of strings occur in a line, in one pass over it (Aho and Corasick, 1975): the cost of a
// line that says nothing is a table look-up per byte, however many texts a recipe knows.
type literals struct {
	class [256]uint8 // bytes that occur in no string share class 0
	width uint32
	next  []uint32 // row of a state + class -> row of the next state, marked by ends if a string ends there
	found [][]uint16
}

// ends marks the row of a state where a string ends.
const ends = 1 << 31

func newLiterals(texts []string) *literals {
	l := &literals{width: 1}
	for _, t := range texts {
		for i := range len(t) {
			if l.class[t[i]] == 0 {
				l.class[t[i]] = uint8(l.width) // at most 255 kinds: no text is binary
				l.width++
			}
		}
	}
	states := 1
	sorted := slices.Sorted(slices.Values(texts))
	for i, t := range sorted { // each of its bytes is one, but those that it begins with as another does
		states += len(t)
		if i > 0 {
			states -= common(sorted[i-1], t)
		}
	}
	l.next, l.found = make([]uint32, 0, states*int(l.width)), make([][]uint16, 0, states)
	l.state()
	for i, t := range texts {
		at := uint32(0)
		for j := range len(t) {
			edge := at + uint32(l.class[t[j]])
			if l.next[edge] == 0 {
				to := l.state() // grows next
				l.next[edge] = to
			}
			at = l.next[edge]
		}
		l.found[at/l.width] = append(l.found[at/l.width], uint16(i))
	}
	l.link()
	return l
}

// common is how many bytes two strings begin with in common.
func common(a, b string) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// state appends a row.
func (l *literals) state() uint32 {
	row := uint32(len(l.next))
	l.next = append(l.next, make([]uint32, l.width)...)
	l.found = append(l.found, nil)
	return row
}

// link completes the trie to an automaton: an edge that is missing goes where the longest suffix would.
func (l *literals) link() {
	fall := make([]uint32, len(l.found)) // by state
	var queue []uint32
	for c := range l.width {
		if to := l.next[c]; to != 0 {
			queue = append(queue, to)
		}
	}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		back := fall[at/l.width]
		l.found[at/l.width] = append(l.found[at/l.width], l.found[back/l.width]...)
		for c := range l.width {
			if to := l.next[at+c]; to != 0 {
				fall[to/l.width] = l.next[back+c]
				queue = append(queue, to)
			} else {
				l.next[at+c] = l.next[back+c]
			}
		}
	}
	for i, to := range l.next {
		if l.found[to/l.width] != nil {
			l.next[i] = to | ends
		}
	}
}

// in appends the indexes of the strings that occur in line to hits, in the order of their ends; one that occurs twice
// is there twice. It allocates only where hits must grow.
func (l *literals) in(line []byte, hits []uint16) []uint16 {
	at, next := uint32(0), l.next
	for _, b := range line {
		at = next[at+uint32(l.class[b])]
		if at&ends != 0 {
			at &^= ends
			hits = append(hits, l.found[at/l.width]...)
		}
	}
	return hits
}
