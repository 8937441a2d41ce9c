// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The part of OTLP's JSON encoding that is read here: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
// Ids are hex, 64-bit integers are strings or numbers, enums are numbers (their names are taken as well).
type exportRequest struct {
	ResourceSpans []struct {
		Resource struct {
			Attributes []keyValue `json:"attributes"`
		} `json:"resource"`
		ScopeSpans []struct {
			Scope struct {
				Name    string `json:"name"`
				Version string `json:"version"`
			} `json:"scope"`
			Spans []spanJSON `json:"spans"`
		} `json:"scopeSpans"`
	} `json:"resourceSpans"`
	ResourceMetrics json.RawMessage `json:"resourceMetrics"`
	ResourceLogs    json.RawMessage `json:"resourceLogs"`
}

type spanJSON struct {
	TraceID      string     `json:"traceId"`
	SpanID       string     `json:"spanId"`
	ParentSpanID string     `json:"parentSpanId"`
	Name         string     `json:"name"`
	Start        nanos      `json:"startTimeUnixNano"`
	End          nanos      `json:"endTimeUnixNano"`
	Attributes   []keyValue `json:"attributes"`
	Events       []struct {
		Name       string     `json:"name"`
		Time       nanos      `json:"timeUnixNano"`
		Attributes []keyValue `json:"attributes"`
	} `json:"events"`
	Status struct {
		Code    enum   `json:"code"`
		Message string `json:"message"`
	} `json:"status"`
}

type keyValue struct {
	Key   string   `json:"key"`
	Value anyValue `json:"value"`
}

type anyValue struct {
	String *string      `json:"stringValue"`
	Bool   *bool        `json:"boolValue"`
	Int    *json.Number `json:"intValue"`
	Double *float       `json:"doubleValue"`
	Bytes  []byte       `json:"bytesValue"`
	Array  *struct {
		Values []anyValue `json:"values"`
	} `json:"arrayValue"`
	List *struct {
		Values []keyValue `json:"values"`
	} `json:"kvlistValue"`
}

func (v anyValue) value() any {
	switch {
	case v.String != nil:
		return *v.String
	case v.Bool != nil:
		return *v.Bool
	case v.Int != nil:
		if n, err := v.Int.Int64(); err == nil {
			return n
		}
		return v.Int.String()
	case v.Double != nil:
		return float64(*v.Double)
	case v.Bytes != nil:
		return v.Bytes
	case v.Array != nil:
		out := make([]any, 0, len(v.Array.Values))
		for _, item := range v.Array.Values {
			out = append(out, item.value())
		}
		return out
	case v.List != nil:
		return attributes(v.List.Values)
	}
	return nil
}

func attributes(in []keyValue) []Attribute {
	out := make([]Attribute, 0, len(in))
	for _, kv := range in {
		out = append(out, Attribute{Key: kv.Key, Value: kv.Value.value()})
	}
	return out
}

// nanos is a time as nanoseconds since 1970, a string or a number.
type nanos int64

func (n *nanos) UnmarshalJSON(b []byte) error {
	value, err := strconv.ParseInt(unquote(b), 10, 64)
	if err != nil {
		return fmt.Errorf("%.40s is not a time in nanoseconds", b)
	}
	*n = nanos(value)
	return nil
}

func (n nanos) time() time.Time { return time.Unix(0, int64(n)).UTC() }

// float is a number, or the string that JSON has instead: "NaN", "Infinity", "-Infinity".
type float float64

func (f *float) UnmarshalJSON(b []byte) error {
	value, err := strconv.ParseFloat(unquote(b), 64)
	if err != nil {
		return fmt.Errorf("%.40s is not a number", b)
	}
	*f = float(value)
	return nil
}

// enum is a protobuf enum's number or name.
type enum string

func (e *enum) UnmarshalJSON(b []byte) error {
	*e = enum(unquote(b))
	return nil
}

func (e enum) is(number int, name string) bool {
	return string(e) == strconv.Itoa(number) || string(e) == name
}

func unquote(b []byte) string { return strings.Trim(string(b), `"`) }
