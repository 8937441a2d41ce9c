// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"encoding/json"
	"slices"
)

// values cuts lines into the JSON objects in them, wherever these begin and end:
//
//	{"resourceSpans":[…]}                 one a line
//	{"resourceSpans":[…]}                 (of a line that was cut off only this line is lost)
//	[{"resourceSpans":[…]},               in an array
//	 {
//	   "resourceSpans": […]               over many lines
//	 }]
type values struct {
	number  int    // of the line at hand, from 1
	from    int    // the line that value begins in
	value   []byte // an object that goes on, up to here
	open    []byte // the braces and brackets that are open in it
	quoted  bool   // in a string
	escaped bool   // after a backslash in it
	damaged bool   // the rest of a value that was given up is left out, too
}

// taken is called with what an object held and the line it begins in.
type taken func(line int, spans []*Span, problems []string)

func (v *values) line(line []byte, take taken) {
	v.number++
	if v.number == 1 {
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
	}
	// No printer of JSON begins an inner line with a brace in the first column; a file's next request does.
	if begins := len(line) > 0 && line[0] == '{'; begins && len(v.open) > 0 && isRequest(line) {
		v.lose(incomplete, take)
	} else if v.damaged && !begins && line[0] != '[' {
		return
	}
	v.damaged = false
	for i, b := range line {
		switch whole, ok := v.next(b); {
		case !ok:
			v.giveUp(line[i:], take)
			return
		case whole:
			found, wrong := fromObject(v.value)
			take(v.from, found, wrong)
			v.value = v.value[:0]
		}
	}
	if v.quoted && bytes.HasSuffix(line, []byte("\n")) { // no string goes on in the next line
		v.lose(incomplete, take)
	}
}

// whole takes a line that is a value by itself, unless it would be in the middle of another.
func (v *values) whole() bool {
	if len(v.open) > 0 {
		return false
	}
	v.number++
	v.damaged = false
	return true
}

// next adds a byte and says whether it completes an object, and whether it can be one's at all.
func (v *values) next(b byte) (whole, ok bool) {
	if len(v.open) == 0 {
		switch b {
		case ' ', '\t', '\r', '\n', '[', ',', ']': // around objects
			return false, true
		case '{':
			v.from = v.number
		default:
			v.from = v.number
			return false, false
		}
	}
	v.value = append(v.value, b)
	switch {
	case v.escaped:
		v.escaped = false
	case v.quoted:
		v.quoted, v.escaped = b != '"', b == '\\'
	case b == '"':
		v.quoted = true
	case b == '{', b == '[':
		v.open = append(v.open, b+2) // the one that closes it: in ASCII, two further
	case b == '}', b == ']':
		if v.open[len(v.open)-1] != b {
			v.value = v.value[:len(v.value)-1]
			return false, false
		}
		v.open = v.open[:len(v.open)-1]
		return len(v.open) == 0, true
	}
	return false, true
}

const incomplete = "incomplete; is it still being written?"

// giveUp says what is wrong with the object at hand, of which rest cannot be a part.
func (v *values) giveUp(rest []byte, take taken) {
	var object json.RawMessage
	v.value = append(v.value, rest...)
	v.lose(notJSON(v.value, json.Unmarshal(v.value, &object)), take)
}

func (v *values) lose(why string, take taken) {
	take(v.from, nil, []string{why})
	*v = values{number: v.number, damaged: v.from < v.number}
}

// end says whether something is missing.
func (v *values) end(take taken) {
	if len(v.open) > 0 {
		take(v.from, nil, []string{incomplete})
	}
}

func isRequest(line []byte) bool {
	var fields map[string]json.RawMessage
	if json.Unmarshal(bytes.TrimRight(line, ", \t\r\n"), &fields) != nil {
		return false
	}
	return slices.ContainsFunc(formats, func(f format) bool { return fields[f.key] != nil }) ||
		slices.ContainsFunc(envelopes, func(key string) bool { return fields[key] != nil })
}
