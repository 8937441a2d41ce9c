// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// quick reads a line as the collector's file exporter writes it: one whole request, of spans alone, in OTLP's own encoding.
// That is most of all input, and many times as quick as by way of protobuf's messages. Texts, attributes and lists of them that
// come again are kept once: what spans of a pod, and pods of an endpoint, have in common is most of what they say.
// Whatever it does not know, it leaves to fromObject, which judges: it never says that something is wrong.
type quick struct {
	without []string // keys of attributes that spans are to lack

	in, one *jsontext.Decoder // of the line, and of an attribute that is new
	lost    bool              // the line is none of those

	texts map[string]string
	known map[string]numbered    // by how it stands in the input
	lists map[string][]Attribute // by the numbers of what is in it
	last  uint32                 // number that was given

	scratch []Attribute // while a list is read: those that are kept have no room to spare
	numbers []byte
}

// numbered is an attribute that is kept; 0: it is not, as most figures do not come again.
type numbered struct {
	Attribute
	number uint32
}

// keep remembers what may come again. Of what never does there is no end, so now and then it begins anew.
func keep[V any](in map[string]V, key string, value V) {
	const most = 1 << 14
	if len(in) == most {
		clear(in)
	}
	in[key] = value
}

// read takes the spans of a line; ok says whether it was one.
func (q *quick) read(line []byte) (spans []*Span, ok bool) {
	if !bytes.HasPrefix(line, []byte(`{"resourceSpans":[`)) {
		return nil, false
	}
	if q.texts == nil {
		q.texts, q.known, q.lists, q.in, q.one = map[string]string{}, map[string]numbered{}, map[string][]Attribute{}, &jsontext.Decoder{}, &jsontext.Decoder{}
	}
	q.lost = false
	q.in.Reset(bytes.NewBuffer(bytes.TrimRight(line, "\r\n")))
	q.object(func(key string) {
		if key != "resourceSpans" {
			q.lost = true
			return
		}
		q.array(func() { spans = q.ofResource(spans) })
	})
	if q.lost || q.in.InputOffset() != int64(len(bytes.TrimRight(line, "\r\n"))) {
		return nil, false
	}
	return spans, true
}

// object reads one; field reads the value of each key.
func (q *quick) object(field func(key string)) {
	if !q.token('{') {
		return
	}
	for !q.lost && q.in.PeekKind() != '}' {
		field(q.text())
	}
	q.token('}')
}

// array reads one; item reads each of its values.
func (q *quick) array(item func()) {
	if !q.token('[') {
		return
	}
	for !q.lost && q.in.PeekKind() != ']' {
		item()
	}
	q.token(']')
}

func (q *quick) token(kind jsontext.Kind) bool {
	if q.lost {
		return false
	}
	token, err := q.in.ReadToken()
	q.lost = err != nil || token.Kind() != kind
	return !q.lost
}

// raw is the next string without its quotes, or the next number, until the next is read.
func (q *quick) raw(kind jsontext.Kind) []byte {
	if q.lost {
		return nil
	}
	value, err := q.in.ReadValue()
	if err != nil || value.Kind() != kind {
		q.lost = true
		return nil
	}
	if kind == '"' {
		value = value[1 : len(value)-1]
		q.lost = bytes.IndexByte(value, '\\') >= 0 // rare
	}
	return value
}

// text is the next string. One that comes again is the same.
func (q *quick) text() string {
	raw := q.raw('"')
	if text, ok := q.texts[string(raw)]; ok {
		return text
	}
	return q.kept(string(raw))
}

func (q *quick) kept(text string) string {
	if known, ok := q.texts[text]; ok {
		return known
	}
	keep(q.texts, text, text)
	return text
}

func (q *quick) skip() { q.lost = q.lost || q.in.SkipValue() != nil }

func (q *quick) ofResource(spans []*Span) []*Span {
	resource := []Attribute{}
	first := len(spans)
	q.object(func(key string) {
		switch key {
		case "resource":
			q.object(func(key string) {
				if key == "attributes" {
					resource = q.attributes(nil)
				} else {
					q.lost = true
				}
			})
		case "scopeSpans":
			q.array(func() { spans = q.ofScope(spans) })
		case "schemaUrl":
			q.skip()
		default:
			q.lost = true
		}
	})
	for _, s := range spans[first:] {
		s.Resource = resource
	}
	return spans
}

func (q *quick) ofScope(spans []*Span) []*Span {
	var name, version string
	first := len(spans)
	q.object(func(key string) {
		switch key {
		case "scope":
			q.object(func(key string) {
				switch key {
				case "name":
					name = q.text()
				case "version":
					version = q.text()
				default:
					q.lost = true
				}
			})
		case "spans":
			q.array(func() { spans = append(spans, q.span()) })
		case "schemaUrl":
			q.skip()
		default:
			q.lost = true
		}
	})
	scope := q.kept(strings.TrimSpace(name + " " + version))
	for _, s := range spans[first:] {
		s.Scope = scope
	}
	return spans
}

func (q *quick) span() *Span {
	s := &Span{Start: unixNano(0), End: unixNano(0), Attributes: []Attribute{}}
	q.object(func(key string) {
		switch key {
		case "traceId":
			s.TraceID = q.traceID()
		case "spanId":
			s.ID = q.spanID()
		case "parentSpanId":
			s.ParentID = string(q.raw('"'))
			q.lost = q.lost || s.ParentID != "" && !isHex(s.ParentID, 16)
		case "name":
			s.Name = q.text()
		case "startTimeUnixNano":
			s.Start = q.time()
		case "endTimeUnixNano":
			s.End = q.time()
		case "attributes":
			s.Attributes = q.attributes(q.without)
		case "events":
			q.array(func() { s.Events = append(s.Events, q.event()) })
		case "links":
			q.array(func() { s.Links = append(s.Links, q.link()) })
		case "status":
			q.status(s)
		case "kind", "flags", "traceState", "droppedAttributesCount", "droppedEventsCount", "droppedLinksCount":
			q.skip()
		default:
			q.lost = true
		}
	})
	if !q.lost && (s.End.UnixNano() == 0 || s.check() != nil) {
		q.lost = true
	}
	return s
}

// traceID is of many spans, so its text is kept once.
func (q *quick) traceID() string {
	id := q.text()
	q.lost = q.lost || !isHex(id, 32)
	return id
}

func (q *quick) spanID() string {
	id := string(q.raw('"'))
	q.lost = q.lost || !isHex(id, 16)
	return id
}

func isHex(s string, digits int) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == digits
}

func (q *quick) time() time.Time {
	n, err := strconv.ParseUint(string(q.raw('"')), 10, 64)
	q.lost = q.lost || err != nil
	return unixNano(n)
}

func (q *quick) link() (l Link) {
	l.Attributes = []Attribute{}
	q.object(func(key string) {
		switch key {
		case "traceId":
			l.TraceID = q.traceID()
		case "spanId":
			l.ID = q.spanID()
		case "attributes":
			l.Attributes = q.attributes(nil)
		case "traceState", "flags", "droppedAttributesCount":
			q.skip()
		default:
			q.lost = true
		}
	})
	return l
}

func (q *quick) event() (e Event) {
	e.Time, e.Attributes = unixNano(0), []Attribute{}
	q.object(func(key string) {
		switch key {
		case "name":
			e.Name = q.text()
		case "timeUnixNano":
			e.Time = q.time()
		case "attributes":
			e.Attributes = q.attributes(nil)
		case "droppedAttributesCount":
			q.skip()
		default:
			q.lost = true
		}
	})
	return e
}

func (q *quick) status(s *Span) {
	q.object(func(key string) {
		switch key {
		case "code":
			switch string(q.raw('0')) {
			case "0", "1":
			case "2":
				s.Failed = true
			default:
				q.lost = true
			}
		case "message":
			s.Message = q.text()
		default:
			q.lost = true
		}
	})
}

// attributes is a list of them, but for some keys.
func (q *quick) attributes(without []string) []Attribute {
	q.scratch, q.numbers = q.scratch[:0], q.numbers[:0]
	again := true
	q.array(func() {
		a := q.attribute()
		if slices.Contains(without, a.Key) {
			return
		}
		q.scratch, q.numbers = append(q.scratch, a.Attribute), binary.NativeEndian.AppendUint32(q.numbers, a.number)
		again = again && a.number > 0
	})
	if list, ok := q.lists[string(q.numbers)]; ok && again {
		return list
	}
	list := append(make([]Attribute, 0, len(q.scratch)), q.scratch...)
	if again {
		keep(q.lists, string(q.numbers), list)
	}
	return list
}

func (q *quick) attribute() (a numbered) {
	if q.lost {
		return a
	}
	raw, err := q.in.ReadValue()
	if known, ok := q.known[string(raw)]; err != nil || ok {
		q.lost = err != nil
		return known
	}
	line := q.in
	q.in = q.one
	q.in.Reset(bytes.NewBuffer(raw))
	q.object(func(key string) {
		switch key {
		case "key":
			a.Key = q.text()
		case "value":
			a.Value = q.value()
		default:
			q.lost = true
		}
	})
	q.in = line
	if _, figure := a.Value.(float64); !figure && !q.lost {
		q.last++
		a.number = q.last
		keep(q.known, string(raw), a)
	}
	return a
}

func (q *quick) value() (v any) {
	values := 0
	q.object(func(key string) {
		values++
		switch key {
		case "stringValue":
			v = q.text()
		case "intValue":
			n, err := strconv.ParseInt(string(q.raw('"')), 10, 64)
			v, q.lost = n, q.lost || err != nil
		case "doubleValue":
			f, err := strconv.ParseFloat(string(q.raw('0')), 64)
			v, q.lost = f, q.lost || err != nil
		case "boolValue":
			kind := q.in.PeekKind()
			q.skip()
			v, q.lost = kind == 't', q.lost || kind != 't' && kind != 'f'
		case "arrayValue":
			items := []any{}
			q.object(func(key string) {
				q.lost = q.lost || key != "values"
				q.array(func() { items = append(items, q.value()) })
			})
			v = items
		default:
			q.lost = true
		}
	})
	q.lost = q.lost || values > 1 // protobuf: one of
	return v
}
