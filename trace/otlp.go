// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// otlpReader reads OTLP's JSON encoding and protobuf's own, which differ in their ids, and in how fields may be called:
// https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding. Texts, attributes and lists of them that come again are kept
// once: what spans of a pod, and pods of an endpoint, have in common is most of what they say.
type otlpReader struct {
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

// What ResourceSpans are made of, as far as it is drawn.
type (
	otlpResource struct {
		Resource struct {
			Attributes otlpList `json:"attributes"`
		} `json:"resource"`
		ScopeSpans    []otlpScopeSpans `json:"scopeSpans"`
		OldScopeSpans []otlpScopeSpans `json:"instrumentationLibrarySpans"` // as they were called until OTLP 0.15 (April 2022)
	}
	otlpScopeSpans struct {
		Scope    otlpScope  `json:"scope"`
		OldScope otlpScope  `json:"instrumentationLibrary"`
		Spans    []otlpSpan `json:"spans"`
	}
	otlpScope struct {
		Name    otlpText `json:"name"`
		Version otlpText `json:"version"`
	}
	otlpSpan struct {
		TraceID    otlpText      `json:"traceId"`
		ID         string        `json:"spanId"`
		ParentID   string        `json:"parentSpanId"`
		Name       otlpText      `json:"name"`
		Start      uint64        `json:"startTimeUnixNano"`
		End        uint64        `json:"endTimeUnixNano"`
		Attributes otlpShortList `json:"attributes"`
		Events     []struct {
			Name       otlpText `json:"name"`
			Time       uint64   `json:"timeUnixNano"`
			Attributes otlpList `json:"attributes"`
		} `json:"events"`
		Links []struct {
			TraceID    otlpText `json:"traceId"`
			ID         string   `json:"spanId"`
			Attributes otlpList `json:"attributes"`
		} `json:"links"`
		Status struct {
			Code    otlpFailed `json:"code"`
			Message otlpText   `json:"message"`
		} `json:"status"`
	}
	otlpAttribute struct {
		Key   otlpText  `json:"key"`
		Value otlpValue `json:"value"`
	}
	otlpValue struct{ is any }
	otlpKinds struct { // of a value
		String *otlpText `json:"stringValue"`
		Int    *int64    `json:"intValue"`
		Double *float64  `json:"doubleValue"`
		Bool   *bool     `json:"boolValue"`
		Bytes  *[]byte   `json:"bytesValue"`
		Array  *struct {
			Values []otlpValue `json:"values"`
		} `json:"arrayValue"`
		List *struct {
			Values []otlpAttribute `json:"values"`
		} `json:"kvlistValue"`
	}
	otlpText      string
	otlpFailed    bool
	otlpList      []Attribute
	otlpShortList []Attribute // without those that nobody wants
)

func newOTLPReader(without []string) *otlpReader {
	r := &otlpReader{without: without, texts: map[string]string{}, known: map[string]numbered{}, lists: map[string][]Attribute{}}
	r.options = json.JoinOptions(json.MatchCaseInsensitiveNames(true), json.WithUnmarshalers(json.JoinUnmarshalers(
		json.UnmarshalFromFunc(r.text),
		json.UnmarshalFromFunc(func(in *jsontext.Decoder, into *otlpList) (err error) {
			*into, err = r.attributes(in, nil)
			return err
		}),
		json.UnmarshalFromFunc(func(in *jsontext.Decoder, into *otlpShortList) (err error) {
			*into, err = r.attributes(in, r.without)
			return err
		}),
		json.UnmarshalFromFunc(func(in *jsontext.Decoder, into *otlpFailed) error {
			code, err := in.ReadValue()
			*into = string(code) == "2" || string(code) == `"STATUS_CODE_ERROR"`
			return err //nolint:wrapcheck // says where it is
		}),
		json.UnmarshalFromFunc(value),
		number(func(text []byte) (uint64, error) { return whole(strconv.ParseUint, (*big.Float).Uint64, string(text)) }),
		number(func(text []byte) (int64, error) { return whole(strconv.ParseInt, (*big.Float).Int64, string(text)) }),
		number(func(text []byte) (float64, error) { return strconv.ParseFloat(string(text), 64) }),
	)))
	return r
}

// number reads numbers in quotes and without, as either are written.
func number[T any](parse func(text []byte) (T, error)) *json.Unmarshalers {
	return json.UnmarshalFromFunc(func(in *jsontext.Decoder, into *T) error {
		raw, err := in.ReadValue()
		if err == nil && raw.Kind() != 'n' {
			*into, err = parse(bytes.Trim(raw, `"`))
		}
		return err //nolint:wrapcheck // says where it is
	})
}

// whole reads an integer, also one that went through a language in which all numbers are floats: 1.7953488e+18.
func whole[T any](parse func(string, int, int) (T, error), of func(*big.Float) (T, big.Accuracy), text string) (T, error) {
	n, err := parse(text, 10, 64)
	if err == nil {
		return n, nil
	}
	const bits = 128 // more than nanoseconds have
	if f, _, wrong := big.ParseFloat(text, 10, bits, big.ToZero); wrong == nil {
		if n, exact := of(f); exact == big.Exact {
			return n, nil
		}
	}
	return n, err
}

// fromOTLP reads a list of ResourceSpans.
func fromOTLP(resourceSpans []byte) (spans []*Span, problems []string) {
	return newOTLPReader(nil).read(resourceSpans)
}

// line reads a request that takes a line and holds spans alone, as the collector's file exporter writes them: most of all input.
// Whatever else a line is, it leaves to fromObject, which judges: it never says that something is wrong.
func (r *otlpReader) line(text []byte) (spans []*Span, ok bool) {
	const before, after = `{"resourceSpans":`, `}`
	text = bytes.TrimRight(text, "\r\n")
	if !bytes.HasPrefix(text, []byte(before+"[")) || !bytes.HasSuffix(text, []byte(after)) {
		return nil, false
	}
	spans, problems := r.read(text[len(before) : len(text)-len(after)])
	return spans, len(problems) == 0
}

// read reads a list of ResourceSpans. A span that is none becomes a problem.
func (r *otlpReader) read(resourceSpans []byte) (spans []*Span, problems []string) {
	var list []otlpResource
	if err := json.Unmarshal(resourceSpans, &list, r.options); err != nil {
		return nil, []string{"not OTLP JSON: " + misfit(err)}
	}
	for _, ofResource := range list {
		resource := orEmpty(ofResource.Resource.Attributes)
		for _, ofScope := range slices.Concat(ofResource.ScopeSpans, ofResource.OldScopeSpans) {
			of := cmp.Or(ofScope.Scope, ofScope.OldScope)
			scope := r.kept(strings.TrimSpace(string(of.Name + " " + of.Version)))
			for i := range ofScope.Spans {
				s, err := ofScope.Spans[i].span()
				if err != nil {
					problems = append(problems, fmt.Sprintf("span %q: %v", ofScope.Spans[i].Name, err))
					continue
				}
				s.Resource, s.Scope = resource, scope
				spans = append(spans, s)
			}
		}
	}
	return spans, problems
}

// misfit names the field that is wrong without repeating what stands there.
func misfit(err error) string {
	var (
		pointer   jsontext.Pointer
		semantic  *json.SemanticError
		syntactic *jsontext.SyntacticError
		field     = "resourceSpans"
	)
	if errors.As(err, &semantic) {
		pointer = semantic.JSONPointer
	} else if errors.As(err, &syntactic) {
		pointer = syntactic.JSONPointer
	}
	for name := range pointer.Tokens() {
		if _, err := strconv.Atoi(name); err != nil { // else it is a place in a list
			field = printable(name)
		}
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return field + " comes twice"
	}
	return "the value of " + field + " is not what belongs there"
}

func (in *otlpSpan) span() (*Span, error) {
	s := &Span{
		TraceID: idOf(string(in.TraceID), 16), ID: idOf(in.ID, 8), ParentID: idOf(in.ParentID, 8), Name: string(in.Name),
		Start: unixNano(in.Start), End: unixNano(in.End),
		Attributes: orEmpty(in.Attributes), Failed: bool(in.Status.Code), Message: string(in.Status.Message),
	}
	for _, e := range in.Events {
		s.Events = append(s.Events, Event{string(e.Name), unixNano(e.Time), orEmpty(e.Attributes)})
	}
	for _, l := range in.Links {
		s.Links = append(s.Links, Link{idOf(string(l.TraceID), 16), idOf(l.ID, 8), orEmpty(l.Attributes)})
	}
	switch {
	case s.ParentID == "" && in.ParentID != "":
		return nil, errors.New("parentSpanId is not 16 hex digits")
	case in.End == 0:
		return nil, errors.New("endTimeUnixNano is missing")
	}
	return s, s.check()
}

// check says what keeps the span from being drawn, and mends what doesn't.
func (s *Span) check() error {
	zero := func(id string) bool { return strings.Trim(id, "0") == "" }
	switch {
	case s.TraceID == "":
		return errors.New("traceId is not 32 hex digits")
	case zero(s.TraceID):
		return errors.New("traceId is all zeros")
	case s.ID == "":
		return errors.New("spanId is not 16 hex digits")
	case zero(s.ID):
		return errors.New("spanId is all zeros")
	case s.Start.UnixNano() == 0:
		return errors.New("startTimeUnixNano is missing")
	case s.Start.UnixNano() < 0, s.End.UnixNano() < 0:
		return errors.New("a time is after the year 2262")
	}
	if zero(s.ParentID) {
		s.ParentID = ""
	}
	if s.End.Before(s.Start) && s.ParentID == "" {
		return errors.New("it ends before it starts")
	}
	if s.End.Before(s.Start) { // a clock was set back; the phases around it tell the time
		s.End = s.Start
	}
	return nil
}

func orEmpty[L ~[]Attribute](list L) []Attribute {
	if list == nil {
		return []Attribute{}
	}
	return list
}

// idOf is an id of n bytes as hex; empty if it is none. OTLP writes ids as hex, protobuf's own encoding (Tempo's answers) as base64.
func idOf(id string, n int) string {
	if digits := strings.ToLower(id); len(digits) == 2*n && strings.Trim(digits, "0123456789abcdef") == "" {
		return digits
	}
	if raw, err := base64.StdEncoding.DecodeString(id); err == nil && len(raw) == n {
		return hex.EncodeToString(raw)
	}
	return ""
}

func unixNano(n uint64) time.Time { return time.Unix(0, int64(n)).UTC() } //nolint:gosec // until 2262
