// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"sync"
	"time"
)

// page is a log that several readers look at: each line is searched, taken apart and timed once for all of them.
type page struct {
	readers []*Reader
	clock   *clock
	index   *index
	hits    []uint16
	buf     []byte // of a line without its colours
}

// index finds the texts of several recipes in a line.
type index struct {
	literal *literals
	owner   []struct{ recipe, rule uint16 } // by text
}

func newIndex(readers []*Reader) *index {
	var (
		x     index
		texts []string
	)
	for i, r := range readers {
		for j := range r.recipe.rules {
			texts = append(texts, r.recipe.rules[j].sought())
			x.owner = append(x.owner, struct{ recipe, rule uint16 }{uint16(i), uint16(j)})
		}
	}
	x.literal = newLiterals(texts)
	return &x
}

// everyEngine is the index of a log of which nobody knows whose it is.
var everyEngine = sync.OnceValue(func() *index { return newIndex(Listen(nil, Options{})) })

// newPage is for the log of the named engine, or of any.
func newPage(named *Recipe, o Options) *page {
	p := &page{readers: Listen(named, o)}
	if p.index = everyEngine(); named != nil {
		p.index = newIndex(p.readers)
	}
	p.clock = p.readers[0].clock
	for _, r := range p.readers {
		r.clock = p.clock
	}
	return p
}

// line takes one line, without its terminator.
func (p *page) line(at time.Time, raw []byte) {
	text := tidy(&p.buf, raw)
	if len(text) == 0 {
		return
	}
	p.hits = p.index.literal.in(text, p.hits[:0])
	for _, r := range p.readers {
		r.hits = r.hits[:0]
	}
	for _, hit := range p.hits {
		of := p.index.owner[hit]
		p.readers[of.recipe].hits = append(p.readers[of.recipe].hits, of.rule)
	}
	l := p.clock.line(at, text, len(p.hits) > 0)
	for _, r := range p.readers {
		r.read(l)
	}
}
