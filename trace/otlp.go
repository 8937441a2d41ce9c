// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// oldScopeSpans is what scopeSpans were called until OTLP 0.15 (April 2022).
const oldScopeSpans = "instrumentationLibrarySpans"

// fromOTLP reads a list of ResourceSpans in OTLP's JSON encoding or in protobuf's own, which differ in their ids:
// https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding. A span that is none becomes a problem.
func fromOTLP(resourceSpans json.RawMessage) (spans []*Span, problems []string) {
	var data tracepb.TracesData
	object := append(append([]byte(`{"resourceSpans":`), resourceSpans...), '}')
	if bytes.Contains(object, []byte(oldScopeSpans)) {
		object = bytes.ReplaceAll(object, []byte(`"`+oldScopeSpans+`"`), []byte(`"scopeSpans"`))
		object = bytes.ReplaceAll(object, []byte(`"instrumentationLibrary"`), []byte(`"scope"`))
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(object, &data); err != nil {
		return nil, []string{withoutContent(object, err)}
	}
	for _, ofResource := range data.GetResourceSpans() {
		resource := attributes(ofResource.GetResource().GetAttributes())
		for _, ofScope := range ofResource.GetScopeSpans() {
			scope := strings.TrimSpace(ofScope.GetScope().GetName() + " " + ofScope.GetScope().GetVersion())
			for _, s := range ofScope.GetSpans() {
				span, err := fromProto(s)
				if err != nil {
					problems = append(problems, fmt.Sprintf("span %q: %v", s.GetName(), err))
					continue
				}
				span.Resource, span.Scope = resource, scope
				spans = append(spans, span)
			}
		}
	}
	return spans, problems
}

var (
	placeOf = regexp.MustCompile(`\(line (\d+):(\d+)\)`) // in protojson's message, of which the rest is the input's
	keys    = regexp.MustCompile(`"(\w+)"\s*:`)
)

// withoutContent names the field that protojson found wrong without repeating the input.
func withoutContent(object []byte, err error) string {
	if m := placeOf.FindStringSubmatch(err.Error()); m != nil {
		line, _ := strconv.Atoi(m[1])
		column, _ := strconv.Atoi(m[2])
		lines := bytes.SplitAfter(object, []byte("\n"))
		runes := []rune(string(lines[line-1])) // of which protojson counts columns
		before := slices.Concat(bytes.Join(lines[:line-1], nil), []byte(string(runes[:min(column-1, len(runes))])))
		if found := keys.FindAllSubmatch(before, -1); len(found) > 0 {
			field := found[len(found)-1][1]
			if strings.Contains(err.Error(), "duplicate field") {
				return fmt.Sprintf("not OTLP JSON: %s comes twice", field)
			}
			return fmt.Sprintf("not OTLP JSON: the value of %s is not what belongs there", field)
		}
	}
	return "not OTLP JSON"
}

func fromProto(s *tracepb.Span) (*Span, error) {
	out := &Span{
		TraceID: idOf(s.GetTraceId(), 16), ID: idOf(s.GetSpanId(), 8), ParentID: idOf(s.GetParentSpanId(), 8),
		Name: s.GetName(), Start: unixNano(s.GetStartTimeUnixNano()), End: unixNano(s.GetEndTimeUnixNano()),
		Attributes: attributes(s.GetAttributes()), Message: s.GetStatus().GetMessage(),
		Failed: s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR,
	}
	if out.ParentID == "" && len(s.GetParentSpanId()) > 0 {
		return nil, errors.New("parentSpanId is not 16 hex digits")
	}
	for _, e := range s.GetEvents() {
		out.Events = append(out.Events, Event{Name: e.GetName(), Time: unixNano(e.GetTimeUnixNano()), Attributes: attributes(e.GetAttributes())})
	}
	for _, l := range s.GetLinks() {
		out.Links = append(out.Links, Link{idOf(l.GetTraceId(), 16), idOf(l.GetSpanId(), 8), attributes(l.GetAttributes())})
	}
	if s.GetEndTimeUnixNano() == 0 {
		return nil, errors.New("endTimeUnixNano is missing")
	}
	return out, out.check()
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

// idOf is an id of n bytes as hex; empty if it is none. OTLP writes ids as hex, protobuf's own encoding (Tempo's
// answers) as base64. Both were read as base64: hex digits have become 3/4 of their number.
func idOf(id []byte, n int) string {
	switch len(id) {
	case n:
		return hex.EncodeToString(id)
	case 2 * n * 3 / 4:
		digits := strings.ToLower(base64.StdEncoding.EncodeToString(id))
		if _, err := hex.DecodeString(digits); err == nil {
			return digits
		}
	}
	return ""
}

func unixNano(n uint64) time.Time { return time.Unix(0, int64(n)).UTC() } //nolint:gosec // until 2262

func attributes(in []*commonpb.KeyValue) []Attribute {
	out := make([]Attribute, 0, len(in))
	for _, kv := range in {
		out = append(out, Attribute{Key: kv.GetKey(), Value: valueOf(kv.GetValue())})
	}
	return out
}

func valueOf(v *commonpb.AnyValue) any {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue
	case *commonpb.AnyValue_BoolValue:
		return v.BoolValue
	case *commonpb.AnyValue_IntValue:
		return v.IntValue
	case *commonpb.AnyValue_DoubleValue:
		return v.DoubleValue
	case *commonpb.AnyValue_BytesValue:
		return v.BytesValue
	case *commonpb.AnyValue_ArrayValue:
		out := make([]any, 0, len(v.ArrayValue.GetValues()))
		for _, item := range v.ArrayValue.GetValues() {
			out = append(out, valueOf(item))
		}
		return out
	case *commonpb.AnyValue_KvlistValue:
		return attributes(v.KvlistValue.GetValues())
	}
	return nil
}
