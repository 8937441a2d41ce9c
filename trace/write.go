// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// Write writes finished spans as OTLP JSON, a line for the spans of each resource, as the collector's file exporter does. What
// goes on is left out: nobody could take it back.
func Write(w io.Writer, spans []*Span) error {
	encoder := json.NewEncoder(w)
	for len(spans) > 0 {
		first := spans[0]
		var of []any
		spans = slices.DeleteFunc(slices.Clone(spans), func(s *Span) bool {
			ours := s.Scope == first.Scope && slices.EqualFunc(s.Resource, first.Resource, func(a, b Attribute) bool { return a.Key == b.Key && a.Text() == b.Text() })
			if ours && !s.Open {
				of = append(of, s.object())
			}
			return ours
		})
		if len(of) == 0 {
			continue
		}
		line := object{"resourceSpans": []any{object{
			"resource": object{"attributes": objects(first.Resource)},
			"scopeSpans": []any{object{
				"scope": object{"name": first.Scope}, "spans": of,
			}},
		}}}
		if err := encoder.Encode(line); err != nil {
			return fmt.Errorf("write OTLP JSON: %w", err)
		}
	}
	return nil
}

// object is one of OTLP's in JSON: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding.
type object map[string]any

func (s *Span) object() object {
	o := object{
		"traceId": s.TraceID, "spanId": s.ID, "name": s.Name, "kind": 1,
		"startTimeUnixNano": nano(s.Start), "endTimeUnixNano": nano(s.End), "attributes": objects(s.Attributes),
	}
	if s.ParentID != "" {
		o["parentSpanId"] = s.ParentID
	}
	if s.Failed {
		o["status"] = object{"code": 2, "message": s.Message}
	}
	events := make([]any, len(s.Events))
	for i, e := range s.Events {
		events[i] = object{"name": e.Name, "timeUnixNano": nano(e.Time), "attributes": objects(e.Attributes)}
	}
	if len(events) > 0 {
		o["events"] = events
	}
	links := make([]any, len(s.Links))
	for i, l := range s.Links {
		links[i] = object{"traceId": l.TraceID, "spanId": l.ID, "attributes": objects(l.Attributes)}
	}
	if len(links) > 0 {
		o["links"] = links
	}
	return o
}

func nano(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

func objects(attributes []Attribute) []any {
	out := make([]any, len(attributes))
	for i, a := range attributes {
		out[i] = object{"key": a.Key, "value": valueObject(a.Value)}
	}
	return out
}

func valueObject(value any) object {
	switch v := value.(type) {
	case bool:
		return object{"boolValue": v}
	case int64:
		return object{"intValue": strconv.FormatInt(v, 10)}
	case float64:
		return object{"doubleValue": v}
	case []byte:
		return object{"bytesValue": v}
	case []any:
		items := make([]any, len(v))
		for i := range v {
			items[i] = valueObject(v[i])
		}
		return object{"arrayValue": object{"values": items}}
	case []Attribute:
		return object{"kvlistValue": object{"values": objects(v)}}
	}
	text, _ := value.(string)
	return object{"stringValue": text}
}
