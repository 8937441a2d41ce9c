// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// quick reads a line as the collector's file exporter writes it: one whole request, of spans alone, in OTLP's own encoding.
// That is most of all input, and six times as quick as by way of protobuf's messages; texts that come again are kept once.
// Whatever it does not know, it leaves to fromObject, which judges: it never says that something is wrong.
type quick struct {
	in    *jsontext.Decoder
	texts map[string]string
	boxed map[string]any

	resources [][]Attribute // the last ones
	scratch   []Attribute   // while a list is read: those that are kept have no room to spare
	lost      bool          // the line is none of those
}

// read takes the spans of a line; ok says whether it was one.
func (q *quick) read(line []byte) (spans []*Span, ok bool) {
	if !bytes.HasPrefix(line, []byte(`{"resourceSpans":[`)) {
		return nil, false
	}
	if q.texts == nil {
		q.texts, q.boxed, q.in = map[string]string{}, map[string]any{}, &jsontext.Decoder{}
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
	q.texts[text] = text
	return text
}

// keptResource is one of the last resources, if it is the same: lines of a pod are near each other.
func (q *quick) keptResource(resource []Attribute) []Attribute {
	for _, known := range q.resources {
		if slices.EqualFunc(known, resource, func(a, b Attribute) bool { return a.Key == b.Key && reflect.DeepEqual(a.Value, b.Value) }) {
			return known
		}
	}
	const most = 16
	if len(q.resources) == most {
		q.resources = append(q.resources[:0], q.resources[1:]...)
	}
	q.resources = append(q.resources, resource)
	return resource
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
					resource = q.attributes()
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
	resource = q.keptResource(resource)
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
			s.Attributes = q.attributes()
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
			l.Attributes = q.attributes()
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
			e.Attributes = q.attributes()
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

func (q *quick) attributes() []Attribute {
	q.scratch = q.scratch[:0]
	q.array(func() {
		var a Attribute
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
		q.scratch = append(q.scratch, a)
	})
	return append(make([]Attribute, 0, len(q.scratch)), q.scratch...)
}

func (q *quick) value() (v any) {
	values := 0
	q.object(func(key string) {
		values++
		switch key {
		case "stringValue":
			v = q.box(q.text())
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

// box is a text as a value. One that comes again is the same.
func (q *quick) box(text string) any {
	if v, ok := q.boxed[text]; ok {
		return v
	}
	q.boxed[text] = text
	return q.boxed[text]
}
