// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Problem is what could not be read of an input. The rest of it was.
type Problem struct {
	Source string
	Line   int // from 1
	What   string
}

func (p Problem) String() string { return fmt.Sprintf("%s:%d: %s", p.Source, p.Line, p.What) }

// Read takes spans as JSON, in any layout: one request a line, as the collector's file exporter writes them, one over
// many lines, several in an array. A request is OTLP's, or what Tempo or Jaeger answers (see formats); those without
// spans are left out, and so are attributes of spans by these keys, for those who have many and don't ask for them. What cannot
// be read becomes a Problem; an error is one of r itself.
func Read(source string, r io.Reader, without ...string) ([]*Span, []Problem, error) {
	var (
		spans    []*Span
		problems []Problem
		cut      values
	)
	take := func(line int, found []*Span, wrong []string) {
		spans = append(spans, found...)
		for _, what := range wrong {
			problems = append(problems, Problem{Source: source, Line: line, What: what})
		}
	}
	err := eachLine(r, without, func(l inputLine) {
		if l.quickly && cut.whole() {
			take(cut.number, l.spans, nil)
			return
		}
		first := len(spans)
		cut.line(l.text, take)
		unwanted := func(a Attribute) bool { return slices.Contains(without, a.Key) }
		for _, s := range spans[first:] {
			if slices.ContainsFunc(s.Attributes, unwanted) { // several may have one list
				s.Attributes = slices.DeleteFunc(slices.Clone(s.Attributes), unwanted)
			}
		}
	})
	if err != nil {
		return spans, problems, fmt.Errorf("read %s: %w", source, err)
	}
	cut.end(take)
	return spans, problems, nil
}

// format is what spans come in, by a key of the outermost object.
type format struct {
	key  string
	read func(list []byte) ([]*Span, []string)
	item bool // the object is itself one of what is read as a list
}

var formats = []format{
	{"resourceSpans", fromOTLP, false},  // the collector's file exporter, OTLP over HTTP
	{"resource_spans", fromOTLP, false}, // what protobuf's encoders write that are told to keep the names of fields
	{"batches", fromOTLP, false},        // Tempo: GET /api/traces/ID; Grafana's download
	{"scopeSpans", fromOTLP, true},      // out of such a list
	{"scope_spans", fromOTLP, true},
	{"instrumentationLibrarySpans", fromOTLP, true}, // of before 2022
	{"data", fromJaeger, false},                     // Jaeger: GET /api/traces/ID; its UI's download
	{"processes", fromJaeger, true},                 // out of such a list
	{"resourceMetrics", nothing, false},
	{"resourceLogs", nothing, false},
	{"resourceProfiles", nothing, false},
}

// envelopes hold an object of such a format, or several.
var envelopes = []string{
	"trace",  // Tempo: GET /api/v2/traces/ID
	"traces", // several of these
	"result", // Jaeger: GET /api/v3/traces/ID
}

func nothing([]byte) ([]*Span, []string) { return nil, nil }

// fromObject reads an object that has a format's key.
func fromObject(object json.RawMessage) (spans []*Span, problems []string) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(object, &fields); err != nil {
		return nil, []string{notJSON(object, err)}
	}
	var items []json.RawMessage
	for _, key := range envelopes {
		inner, ok := fields[key]
		if !ok {
			continue
		}
		if json.Unmarshal(inner, &items) != nil || items == nil { // null is no list
			items = []json.RawMessage{inner}
		}
		for _, item := range items {
			found, wrong := fromObject(item)
			spans, problems = append(spans, found...), append(problems, wrong...)
		}
		return spans, problems
	}
	known := false
	for _, f := range formats {
		value := fields[f.key]
		if !has(fields, f.key) {
			continue
		}
		if f.item {
			value = slices.Concat([]byte("["), object, []byte("]"))
		}
		found, wrong := f.read(value)
		spans, problems, known = append(spans, found...), append(problems, wrong...), true
	}
	switch {
	case known:
		return spans, problems
	case has(fields, "endTimeUnixNano"), has(fields, "end_time_unix_nano"): // a span by itself, as otel-cli's server writes them
		return fromOTLP(slices.Concat([]byte(`[{"scopeSpans":[{"spans":[`), object, []byte(`]}]}]`)))
	}
	return nil, []string{cmp.Or(stranger(fields), "no trace that is read"+isRead)}
}

// notJSON says where in the value it went wrong, without repeating it.
func notJSON(value []byte, err error) string {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return "not an object"
	}
	before := value[:min(int(syntax.Offset), len(value))]
	if more := bytes.Count(before, []byte("\n")); more > 0 {
		return fmt.Sprintf("not JSON %d lines further down", more)
	}
	return fmt.Sprintf("not JSON from byte %d on", syntax.Offset)
}
