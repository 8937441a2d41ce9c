// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var (
	errNoText = errors.New("no text")
	errNoList = errors.New("no list of attributes")
	errKinds  = errors.New("several values of one attribute")
)

// text reads a string. One that comes again is the same.
func (r *otlpReader) text(in *jsontext.Decoder, into *otlpText) error {
	raw, err := in.ReadValue()
	switch {
	case err != nil || raw.Kind() == 'n':
		return err //nolint:wrapcheck // says where it is
	case raw.Kind() != '"':
		return errNoText
	case bytes.IndexByte(raw, '\\') < 0:
		raw = raw[1 : len(raw)-1]
	default:
		if raw, err = jsontext.AppendUnquote(nil, raw); err != nil {
			return err //nolint:wrapcheck // says where it is
		}
	}
	if text, ok := r.texts[string(raw)]; ok {
		*into = otlpText(text)
	} else {
		*into = otlpText(r.kept(string(raw)))
	}
	return nil
}

func (r *otlpReader) kept(text string) string {
	if known, ok := r.texts[text]; ok {
		return known
	}
	keep(r.texts, text, text)
	return text
}

// attributes is a list of them, but for some keys.
func (r *otlpReader) attributes(in *jsontext.Decoder, without []string) ([]Attribute, error) {
	switch begin, err := in.ReadToken(); {
	case err != nil || begin.Kind() == 'n':
		return nil, err //nolint:wrapcheck // says where it is
	case begin.Kind() != '[':
		return nil, errNoList
	}
	r.scratch, r.numbers = r.scratch[:0], r.numbers[:0]
	again := true
	for in.PeekKind() != ']' {
		raw, err := in.ReadValue()
		if err != nil {
			return nil, err //nolint:wrapcheck // says where it is
		}
		a, ok := r.known[string(raw)]
		if !ok {
			if a, err = r.attribute(raw); err != nil {
				return nil, err
			}
		}
		if !slices.Contains(without, a.Key) {
			r.scratch, r.numbers = append(r.scratch, a.Attribute), binary.NativeEndian.AppendUint32(r.numbers, a.number)
			again = again && a.number > 0
		}
	}
	if _, err := in.ReadToken(); err != nil {
		return nil, err //nolint:wrapcheck // says where it is
	}
	if list, ok := r.lists[string(r.numbers)]; ok && again {
		return list, nil
	}
	list := append(make([]Attribute, 0, len(r.scratch)), r.scratch...)
	if again {
		keep(r.lists, string(r.numbers), list)
	}
	return list, nil
}

func (r *otlpReader) attribute(raw jsontext.Value) (a numbered, err error) {
	var of otlpAttribute
	if raw.Kind() == 'n' {
		return a, errNoList
	}
	if err := json.Unmarshal(raw, &of, r.options); err != nil {
		return a, err //nolint:wrapcheck // says where it is
	}
	a.Attribute = Attribute{string(of.Key), of.Value.is}
	if _, figure := a.Value.(float64); !figure {
		r.last++
		a.number = r.last
		keep(r.known, string(raw), a)
	}
	return a, nil
}

// value reads one of the kinds that there are; of none of them it is nil.
func value(in *jsontext.Decoder, into *otlpValue) error {
	var of otlpKinds
	if err := json.UnmarshalDecode(in, &of); err != nil {
		return err //nolint:wrapcheck // says where it is
	}
	kinds := 0
	is := func(v any) {
		into.is = v
		kinds++
	}
	if of.String != nil {
		is(string(*of.String))
	}
	if of.Int != nil {
		is(*of.Int)
	}
	if of.Double != nil {
		is(*of.Double)
	}
	if of.Bool != nil {
		is(*of.Bool)
	}
	if of.Bytes != nil {
		is(*of.Bytes)
	}
	if of.Array != nil {
		items := []any{}
		for _, v := range of.Array.Values {
			items = append(items, v.is)
		}
		is(items)
	}
	if of.List != nil {
		items := []Attribute{}
		for _, a := range of.List.Values {
			items = append(items, Attribute{string(a.Key), a.Value.is})
		}
		is(items)
	}
	if kinds > 1 { // to protobuf, one of them
		return errKinds
	}
	return nil
}
