// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// quick reads a line as the collector's file exporter writes it: one whole request, of spans alone, in OTLP's own encoding.
// That is most of all input, and many times as quick as by way of protobuf's messages. Texts, attributes and lists of them that
// come again are kept once: what spans of a pod, and pods of an endpoint, have in common is most of what they say.
// Whatever it does not know, it leaves to fromObject, which judges: it never says that something is wrong.
type quick struct {
	without []string // keys of attributes that spans are to lack

	options json.Options
	texts   map[string]string
	known   map[string]numbered    // by how it stands in the input
	lists   map[string][]Attribute // by the numbers of what is in it
	last    uint32                 // number that was given

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

// What a request is made of. A line with anything else is none that is read here.
type (
	quickRequest struct {
		ResourceSpans []struct {
			Resource struct {
				Attributes quickList `json:"attributes"`
			} `json:"resource"`
			ScopeSpans []struct {
				Scope struct {
					Name    quickText `json:"name"`
					Version quickText `json:"version"`
				} `json:"scope"`
				Spans  []quickSpan `json:"spans"`
				Schema skipped     `json:"schemaUrl"`
			} `json:"scopeSpans"`
			Schema skipped `json:"schemaUrl"`
		} `json:"resourceSpans"`
	}
	quickSpan struct {
		TraceID    quickText      `json:"traceId"`
		ID         string         `json:"spanId"`
		ParentID   string         `json:"parentSpanId"`
		Name       quickText      `json:"name"`
		Start      uint64         `json:"startTimeUnixNano,string"`
		End        uint64         `json:"endTimeUnixNano,string"`
		Attributes quickShortList `json:"attributes"`
		Events     []struct {
			Name       quickText `json:"name"`
			Time       uint64    `json:"timeUnixNano,string"`
			Attributes quickList `json:"attributes"`
			Dropped    skipped   `json:"droppedAttributesCount"`
		} `json:"events"`
		Links []struct {
			TraceID    quickText `json:"traceId"`
			ID         string    `json:"spanId"`
			Attributes quickList `json:"attributes"`
			State      skipped   `json:"traceState"`
			Flags      skipped   `json:"flags"`
			Dropped    skipped   `json:"droppedAttributesCount"`
		} `json:"links"`
		Status struct {
			Code    uint8     `json:"code"`
			Message quickText `json:"message"`
		} `json:"status"`
		Kind              skipped `json:"kind"`
		Flags             skipped `json:"flags"`
		State             skipped `json:"traceState"`
		DroppedAttributes skipped `json:"droppedAttributesCount"`
		DroppedEvents     skipped `json:"droppedEventsCount"`
		DroppedLinks      skipped `json:"droppedLinksCount"`
	}
	quickAttribute struct {
		Key   quickText  `json:"key"`
		Value quickValue `json:"value"`
	}
	quickValue struct {
		String *quickText `json:"stringValue"`
		Int    *int64     `json:"intValue,string"`
		Double *float64   `json:"doubleValue"`
		Bool   *bool      `json:"boolValue"`
		Array  *struct {
			Values []quickValue `json:"values"`
		} `json:"arrayValue"`
	}
	quickText      string
	quickList      []Attribute
	quickShortList []Attribute // without those that nobody wants
	skipped        struct{}
)

func (q *quick) prepare() {
	q.texts, q.known, q.lists = map[string]string{}, map[string]numbered{}, map[string][]Attribute{}
	q.options = json.JoinOptions(json.RejectUnknownMembers(true), json.WithUnmarshalers(json.JoinUnmarshalers(
		json.UnmarshalFromFunc(func(in *jsontext.Decoder, into *quickText) error { return q.text(in, into) }),
		json.UnmarshalFromFunc(func(in *jsontext.Decoder, into *quickList) (err error) {
			*into, err = q.attributes(in, nil)
			return err
		}),
		json.UnmarshalFromFunc(func(in *jsontext.Decoder, into *quickShortList) (err error) {
			*into, err = q.attributes(in, q.without)
			return err
		}),
		json.UnmarshalFromFunc(func(in *jsontext.Decoder, _ *skipped) error { return in.SkipValue() }),
	)))
}

// errUnordinary ends the quick reading of a line.
var errUnordinary = errors.New("not as it is written by the file exporter")

// read takes the spans of a line; ok says whether it was one.
func (q *quick) read(line []byte) (spans []*Span, ok bool) {
	if !bytes.HasPrefix(line, []byte(`{"resourceSpans":[`)) || bytes.Contains(line, []byte("null")) { // an item that is null is none
		return nil, false
	}
	if q.texts == nil {
		q.prepare()
	}
	var request quickRequest
	if json.Unmarshal(line, &request, q.options) != nil {
		return nil, false
	}
	for _, ofResource := range request.ResourceSpans {
		resource := orEmpty(ofResource.Resource.Attributes)
		for _, ofScope := range ofResource.ScopeSpans {
			scope := q.kept(strings.TrimSpace(string(ofScope.Scope.Name + " " + ofScope.Scope.Version)))
			for i := range ofScope.Spans {
				s := ofScope.Spans[i].span()
				if s == nil {
					return nil, false
				}
				s.Resource, s.Scope = resource, scope
				spans = append(spans, s)
			}
		}
	}
	return spans, true
}

// span is nil of what others have to judge.
func (in *quickSpan) span() *Span {
	s := &Span{
		TraceID: string(in.TraceID), ID: in.ID, ParentID: in.ParentID, Name: string(in.Name), Start: unixNano(in.Start), End: unixNano(in.End),
		Attributes: orEmpty(in.Attributes), Failed: in.Status.Code == 2, Message: string(in.Status.Message),
	}
	for _, e := range in.Events {
		s.Events = append(s.Events, Event{string(e.Name), unixNano(e.Time), orEmpty(e.Attributes)})
	}
	ordinary := isHex(s.TraceID, 32) && isHex(s.ID, 16) && (s.ParentID == "" || isHex(s.ParentID, 16)) && in.End != 0 && in.Status.Code <= 2
	for _, l := range in.Links {
		s.Links = append(s.Links, Link{string(l.TraceID), l.ID, orEmpty(l.Attributes)})
		ordinary = ordinary && isHex(string(l.TraceID), 32) && isHex(l.ID, 16)
	}
	if !ordinary || s.check() != nil {
		return nil
	}
	return s
}

func orEmpty[L ~[]Attribute](list L) []Attribute {
	if list == nil {
		return []Attribute{}
	}
	return list
}

func isHex(s string, digits int) bool {
	return len(s) == digits && strings.Trim(s, "0123456789abcdef") == ""
}

// text reads a string. One that comes again is the same.
func (q *quick) text(in *jsontext.Decoder, into *quickText) error {
	raw, err := in.ReadValue()
	switch {
	case err != nil:
		return err //nolint:wrapcheck // nobody reads it
	case raw.Kind() != '"':
		return errUnordinary
	case bytes.IndexByte(raw, '\\') < 0:
		raw = raw[1 : len(raw)-1]
	default:
		if raw, err = jsontext.AppendUnquote(nil, raw); err != nil {
			return err //nolint:wrapcheck // nobody reads it
		}
	}
	if text, ok := q.texts[string(raw)]; ok {
		*into = quickText(text)
	} else {
		*into = quickText(q.kept(string(raw)))
	}
	return nil
}

func (q *quick) kept(text string) string {
	if known, ok := q.texts[text]; ok {
		return known
	}
	keep(q.texts, text, text)
	return text
}

// attributes is a list of them, but for some keys.
func (q *quick) attributes(in *jsontext.Decoder, without []string) ([]Attribute, error) {
	if begin, err := in.ReadToken(); err != nil || begin.Kind() != '[' {
		return nil, errUnordinary
	}
	q.scratch, q.numbers = q.scratch[:0], q.numbers[:0]
	again := true
	for in.PeekKind() != ']' {
		raw, err := in.ReadValue()
		if err != nil {
			return nil, err //nolint:wrapcheck // nobody reads it
		}
		a, ok := q.known[string(raw)]
		if !ok {
			if a, err = q.attribute(raw); err != nil {
				return nil, err
			}
		}
		if !slices.Contains(without, a.Key) {
			q.scratch, q.numbers = append(q.scratch, a.Attribute), binary.NativeEndian.AppendUint32(q.numbers, a.number)
			again = again && a.number > 0
		}
	}
	if _, err := in.ReadToken(); err != nil {
		return nil, err //nolint:wrapcheck // nobody reads it
	}
	if list, ok := q.lists[string(q.numbers)]; ok && again {
		return list, nil
	}
	list := append(make([]Attribute, 0, len(q.scratch)), q.scratch...)
	if again {
		keep(q.lists, string(q.numbers), list)
	}
	return list, nil
}

func (q *quick) attribute(raw []byte) (a numbered, err error) {
	var of quickAttribute
	if err := json.Unmarshal(raw, &of, q.options); err != nil {
		return a, err //nolint:wrapcheck // nobody reads it
	}
	a.Key = string(of.Key)
	if a.Value, err = of.Value.value(); err != nil {
		return a, err
	}
	if _, figure := a.Value.(float64); !figure {
		q.last++
		a.number = q.last
		keep(q.known, string(raw), a)
	}
	return a, nil
}

func (v *quickValue) value() (value any, err error) {
	values := 0
	set := func(is bool, to func() any) {
		if is {
			values++
			value = to()
		}
	}
	set(v.String != nil, func() any { return string(*v.String) })
	set(v.Int != nil, func() any { return *v.Int })
	set(v.Double != nil, func() any { return *v.Double })
	set(v.Bool != nil, func() any { return *v.Bool })
	set(v.Array != nil, func() any {
		items := make([]any, len(v.Array.Values))
		for i := range v.Array.Values {
			var wrong error
			items[i], wrong = v.Array.Values[i].value()
			err = errors.Join(err, wrong)
		}
		return items
	})
	if values > 1 { // protobuf: one of
		err = errUnordinary
	}
	return value, err
}
