// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// maxDocument is how much of a document is in memory, to be sorted. What is longer comes as it stands there.
const maxDocument = 8 << 20

var errDocument = errors.New("an export of more than 8 MiB that is not in the order of time: export it with the oldest line first")

var errEntry = errors.New("an export with an entry of more than 8 MiB: export the log's lines as entries of their own")

// bounded ends a document with an entry that does not fit into memory: the decoder holds a value until it has all of it.
type bounded struct {
	in     io.Reader
	values *json.Decoder
	read   int64
	over   bool
}

// Read implements io.Reader.
func (b *bounded) Read(to []byte) (int, error) {
	left := maxDocument - (b.read - b.values.InputOffset())
	if b.over = left <= 0; b.over {
		return 0, errEntry
	}
	n, err := b.in.Read(to[:min(int64(len(to)), left)])
	b.read += int64(n)
	return n, err //nolint:wrapcheck // whoever reads a log says so
}

// document reads what an export holds that is one JSON value, or has the newest first, an entry at a time.
type document struct {
	*export
	in     *bufio.Reader
	size   bounded
	values *json.Decoder
	lists  int // how many further in the next entries are; 0: they are no list's
	opened bool
	lines  []exportedLine // that come next
	rest   bool           // more follow
	latest time.Time
	out    bytes.Buffer
}

func (x *export) whole(in *bufio.Reader, list bool) io.Reader {
	sample, _ := in.Peek(sampled) // less is all of it
	d := &document{export: x, in: in, size: bounded{in: in}, rest: true, opened: !list}
	d.values = json.NewDecoder(&d.size)
	d.size.values = d.values
	if list {
		d.lists = listDepth(sample)
	}
	for d.rest && d.values.InputOffset() <= maxDocument {
		d.lines = append(d.lines, d.next()...)
	}
	if !d.rest {
		inOrder(d.lines)
	}
	return d
}

// next are the lines in the next value, if there is one.
func (d *document) next() []exportedLine {
	for !d.opened || !d.values.More() {
		if d.opened = d.lists > 0 && descend(d.values, d.lists); !d.opened {
			d.rest = false
			return nil
		}
		d.lists = 1
	}
	var value json.RawMessage
	if d.values.Decode(&value) != nil {
		d.rest = false // cut off: what came before is a log
		return nil
	}
	return entries(value)
}

// Read implements io.Reader.
func (d *document) Read(to []byte) (int, error) {
	for d.out.Len() == 0 && (len(d.lines) > 0 || d.rest) {
		if len(d.lines) == 0 {
			d.lines = d.next()
			continue
		}
		line := d.lines[0]
		d.lines = d.lines[1:]
		if apart := d.latest.Sub(line.at); apart > stepBack && !line.at.IsZero() {
			return 0, errDocument
		}
		d.latest = startup.Later(d.latest, line.at)
		d.write(&d.out, line)
	}
	if d.out.Len() == 0 {
		if d.size.over {
			return 0, errEntry
		}
		if _, err := d.in.Peek(1); err != nil {
			return 0, err //nolint:wrapcheck // whoever reads a log says so
		}
		return 0, io.EOF
	}
	return d.out.Read(to) //nolint:wrapcheck // there is something
}

// listDepth is in how many lists a document's lines are: what is longer than a sample holds them rather than is one, as a stream
// of Loki's.
func listDepth(sample []byte) int {
	for depth := 1; depth < 3; depth++ {
		var entry json.RawMessage
		if d := json.NewDecoder(bytes.NewReader(sample)); !descend(d, depth) || d.Decode(&entry) == nil {
			return depth
		}
	}
	return 1
}

// descend goes on into a document until it is so many lists further in, if there are.
func descend(document *json.Decoder, lists int) bool {
	for depth := 0; ; {
		token, err := document.Token()
		if err != nil {
			return false
		}
		switch token {
		case json.Delim('['):
			if lists--; lists == 0 {
				return true
			}
		case json.Delim('{'):
			depth++
		case json.Delim('}'):
			if depth--; depth == 0 {
				return false
			}
		}
		if key, ok := token.(string); ok && !slices.Contains(exportLists, key) {
			var other json.RawMessage
			if document.Decode(&other) != nil {
				return false
			}
		}
	}
}

// inOrder sorts lines by their time: the newest may be first, and Azure's have no order unless one was asked for. Those of one
// time stay in theirs, and one without a time stays behind the one before it.
func inOrder(lines []exportedLine) {
	back := 0
	for i := 1; i < len(lines); i++ {
		if lines[i].at.IsZero() {
			lines[i].at = lines[i-1].at
		}
		back += lines[i].at.Compare(lines[i-1].at)
	}
	if back < 0 {
		slices.Reverse(lines)
	}
	slices.SortStableFunc(lines, func(a, b exportedLine) int { return a.at.Compare(b.at) })
}
