// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// Span is a finished span as an exporter sent it.
type Span struct {
	TraceID, ID string // lower-case hex
	ParentID    string // empty for a root
	Name        string
	Start, End  time.Time // End is never before Start
	Attributes  []Attribute
	Events      []Event
	Links       []Link
	Failed      bool
	Open        bool   // it goes on; End is when that was seen. No exporter sends such a span
	Message     string // the status description

	Resource []Attribute
	Scope    string // name and version of the instrumentation scope
}

// Attribute is a key with a string, bool, int64, float64, []byte, []any or []Attribute.
type Attribute struct {
	Key   string
	Value any
}

// Link leads to another span, of another trace.
type Link struct {
	TraceID, ID string
	Attributes  []Attribute
}

// Event is a point in time within a span.
type Event struct {
	Name       string
	Time       time.Time
	Attributes []Attribute
}

// Duration is never negative.
func (s *Span) Duration() time.Duration { return s.End.Sub(s.Start) }

// Reason says why a span failed, as far as it tells.
func (s *Span) Reason() string {
	if !s.Failed {
		return ""
	}
	return cmp.Or(s.attribute(startup.AttrReason), s.Message, "error")
}

// Get finds an attribute of the span, then of its resource; nil if there is none.
func (s *Span) Get(key string) any {
	if v := valueIn(s.Attributes, key); v != nil {
		return v
	}
	return valueIn(s.Resource, key)
}

// own finds an attribute of the span itself, as text; empty if there is none.
func (s *Span) own(key string) string { return textIn(s.Attributes, key) }

func (s *Span) attribute(key string) string { return Attribute{Value: s.Get(key)}.Text() }

// valueIn finds an attribute by its key; nil if there is none.
func valueIn(attributes []Attribute, key string) any {
	for _, a := range attributes {
		if a.Key == key {
			return a.Value
		}
	}
	return nil
}

func textIn(attributes []Attribute, key string) string {
	return Attribute{Value: valueIn(attributes, key)}.Text()
}

func (s *Span) number(key string) (float64, bool) {
	switch v := s.Get(key).(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// Text is the value as a person reads it.
func (a Attribute) Text() string {
	switch v := a.Value.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case []byte:
		return strconv.Itoa(len(v)) + " bytes"
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = Attribute{Value: item}.Text()
		}
		return "[" + strings.Join(items, ", ") + "]"
	case []Attribute:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = item.Key + ": " + item.Text()
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
	return ""
}
