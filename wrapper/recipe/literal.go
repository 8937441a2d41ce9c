// SPDX-License-Identifier: Apache-2.0

package recipe

// literals finds which of a set of strings occur in a line, in one pass over it (Aho and Corasick, 1975): the cost of a
// line that says nothing is a table look-up per byte, however many texts a recipe knows.
type literals struct {
	class [256]uint8 // bytes that occur in no string share class 0
	width int
	next  []uint16   // state*width+class -> state
	found [][]uint16 // state -> indexes of the strings that end there
}

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
	l.state()
	for i, t := range texts {
		at := 0
		for j := range len(t) {
			edge := at*l.width + int(l.class[t[j]])
			if l.next[edge] == 0 {
				to := l.state()
				l.next[edge] = uint16(to)
			}
			at = int(l.next[edge])
		}
		l.found[at] = append(l.found[at], uint16(i))
	}
	l.link()
	return l
}

func (l *literals) state() int {
	l.next = append(l.next, make([]uint16, l.width)...)
	l.found = append(l.found, nil)
	return len(l.found) - 1
}

// link completes the trie to an automaton: an edge that is missing goes where the longest suffix would.
func (l *literals) link() {
	fall := make([]uint16, len(l.found))
	var queue []int
	for c := range l.width {
		if to := l.next[c]; to != 0 {
			queue = append(queue, int(to))
		}
	}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		l.found[at] = append(l.found[at], l.found[fall[at]]...)
		for c := range l.width {
			edge, other := at*l.width+c, l.next[int(fall[at])*l.width+c]
			if to := l.next[edge]; to != 0 {
				fall[to] = other
				queue = append(queue, int(to))
			} else {
				l.next[edge] = other
			}
		}
	}
}

// in appends the indexes of the strings that occur in line to hits, in the order of their ends; one that occurs twice
// is there twice. It allocates only where hits must grow.
func (l *literals) in(line []byte, hits []uint16) []uint16 {
	at := 0
	for _, b := range line {
		at = int(l.next[at*l.width+int(l.class[b])])
		if l.found[at] != nil {
			hits = append(hits, l.found[at]...)
		}
	}
	return hits
}
