// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// jaegerTrace is the part of Jaeger's API answer that is read here; times are in microseconds.
type jaegerTrace struct {
	Spans []struct {
		TraceID       string `json:"traceID"`
		SpanID        string `json:"spanID"`
		OperationName string `json:"operationName"`
		References    []struct {
			RefType string `json:"refType"`
			SpanID  string `json:"spanID"`
		} `json:"references"`
		ParentSpanID string      `json:"parentSpanID"` // where it has no references: of stored spans
		StartTime    int64       `json:"startTime"`
		Duration     int64       `json:"duration"`
		Tags         []jaegerTag `json:"tags"`
		Logs         []struct {
			Timestamp int64       `json:"timestamp"`
			Fields    []jaegerTag `json:"fields"`
		} `json:"logs"`
		ProcessID string `json:"processID"`
	} `json:"spans"`
	Processes map[string]struct {
		ServiceName string      `json:"serviceName"`
		Tags        []jaegerTag `json:"tags"`
	} `json:"processes"`
}

type jaegerTag struct {
	Key   string          `json:"key"`
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
}

// fromJaeger reads the traces of an answer of Jaeger's API.
func fromJaeger(data []byte) (spans []*Span, problems []string) {
	var traces []jaegerTrace
	if strange := stranger(fieldsOf(data)); strange != "" {
		return nil, []string{strange}
	}
	if err := json.Unmarshal(data, &traces); err != nil {
		return nil, []string{"not Jaeger's answer: data is no list of traces"}
	}
	for _, t := range traces {
		resources := map[string][]Attribute{}
		for id, p := range t.Processes {
			resources[id] = append([]Attribute{{startup.ResourceService, p.ServiceName}}, jaegerAttributes(p.Tags)...)
		}
		for _, s := range t.Spans {
			span := &Span{
				TraceID: jaegerID(s.TraceID, 16), ID: jaegerID(s.SpanID, 8), Name: s.OperationName,
				Start: time.UnixMicro(s.StartTime).UTC(), End: time.UnixMicro(s.StartTime + s.Duration).UTC(),
				Attributes: jaegerAttributes(s.Tags), Resource: resources[s.ProcessID], ParentID: jaegerID(s.ParentSpanID, 8),
			}
			for _, r := range s.References {
				if r.RefType == "CHILD_OF" {
					span.ParentID = jaegerID(r.SpanID, 8)
				}
			}
			for _, l := range s.Logs {
				e := Event{Time: time.UnixMicro(l.Timestamp).UTC(), Attributes: jaegerAttributes(l.Fields)}
				e.Name, e.Attributes = pull(e.Attributes, "event")
				span.Events = append(span.Events, e)
			}
			span.fromTags()
			if err := span.check(); err != nil {
				problems = append(problems, fmt.Sprintf("span %q: %v", s.OperationName, err))
				continue
			}
			spans = append(spans, span)
		}
	}
	return spans, problems
}

// fromTags takes what OpenTelemetry has fields for back out of the tags it became:
// https://opentelemetry.io/docs/specs/otel/trace/sdk_exporters/jaeger/
func (s *Span) fromTags() {
	var code, name, version string
	code, s.Attributes = pull(s.Attributes, "otel.status_code")
	s.Message, s.Attributes = pull(s.Attributes, "otel.status_description")
	name, s.Attributes = pull(s.Attributes, "otel.scope.name")
	version, s.Attributes = pull(s.Attributes, "otel.scope.version")
	s.Failed, s.Scope = code == "ERROR" || s.own("error") == "true", strings.TrimSpace(name+" "+version)
	for _, key := range []string{"error", "span.kind", "internal.span.format"} {
		_, s.Attributes = pull(s.Attributes, key)
	}
}

// pull takes an attribute out of others, as text.
func pull(from []Attribute, key string) (text string, others []Attribute) {
	for _, a := range from {
		if a.Key == key {
			text = a.Text()
			continue
		}
		others = append(others, a)
	}
	return text, others
}

func jaegerAttributes(tags []jaegerTag) []Attribute {
	out := make([]Attribute, 0, len(tags))
	for _, tag := range tags {
		var value any
		switch tag.Type {
		case "int64":
			var n json.Number // Jaeger quotes what JavaScript would round
			if json.Unmarshal([]byte(strings.Trim(string(tag.Value), `"`)), &n) == nil {
				value, _ = n.Int64()
			}
		default:
			if json.Unmarshal(tag.Value, &value) != nil {
				value = nil
			}
		}
		out = append(out, Attribute{Key: tag.Key, Value: value})
	}
	return out
}

// jaegerID fills up the leading zeros that Jaeger leaves out.
func jaegerID(id string, bytes int) string {
	if id == "" || len(id) > 2*bytes || strings.Trim(strings.ToLower(id), "0123456789abcdef") != "" {
		return ""
	}
	return strings.Repeat("0", 2*bytes-len(id)) + strings.ToLower(id)
}
