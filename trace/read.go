// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Problem is what could not be read of an input. The rest of it was.
type Problem struct {
	Source string
	Line   int // from 1
	What   string
}

func (p Problem) String() string { return fmt.Sprintf("%s:%d: %s", p.Source, p.Line, p.What) }

// Read takes OTLP JSON lines: one export request per line, trace, metric and log requests mixed. What isn't traces is
// left out. A line or span that cannot be read becomes a Problem; an error is one of r itself.
func Read(source string, r io.Reader) ([]*Span, []Problem, error) {
	var (
		spans    []*Span
		problems []Problem
		lines    = bufio.NewReaderSize(r, 1<<16)
	)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if text := bytes.TrimSpace(line); len(text) > 0 {
			found, wrong := parseLine(text)
			if len(found) == 0 && len(wrong) == 1 && errors.Is(err, io.EOF) && !json.Valid(text) {
				wrong[0] = "the last line is incomplete; is it still being written?"
			}
			spans = append(spans, found...)
			for _, what := range wrong {
				problems = append(problems, Problem{Source: source, Line: number, What: what})
			}
		}
		if errors.Is(err, io.EOF) {
			return spans, problems, nil
		}
		if err != nil {
			return spans, problems, fmt.Errorf("read %s: %w", source, err)
		}
	}
}

func parseLine(line []byte) ([]*Span, []string) {
	var request exportRequest
	if err := json.Unmarshal(line, &request); err != nil {
		return nil, []string{explain(err)}
	}
	if request.ResourceSpans == nil {
		if request.ResourceMetrics == nil && request.ResourceLogs == nil {
			return nil, []string{"not OTLP JSON: neither resourceSpans nor resourceMetrics nor resourceLogs"}
		}
		return nil, nil
	}
	var (
		spans    []*Span
		problems []string
	)
	for _, ofResource := range request.ResourceSpans {
		resource := attributes(ofResource.Resource.Attributes)
		for _, ofScope := range ofResource.ScopeSpans {
			scope := strings.TrimSpace(ofScope.Scope.Name + " " + ofScope.Scope.Version)
			for i := range ofScope.Spans {
				span, err := ofScope.Spans[i].span()
				if err != nil {
					problems = append(problems, fmt.Sprintf("span %q: %v", ofScope.Spans[i].Name, err))
					continue
				}
				span.Resource, span.Scope = resource, scope
				spans = append(spans, span)
			}
		}
	}
	return spans, problems
}

// explain says where in the line it went wrong, without repeating the line.
func explain(err error) string {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("not JSON at byte %d: %v", syntax.Offset, err)
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Sprintf("not OTLP JSON: %s at byte %d, where %s belongs", kind.Value, kind.Offset, kind.Field)
	}
	return "not OTLP JSON: " + err.Error()
}

func (s *spanJSON) span() (*Span, error) {
	out := &Span{
		TraceID: strings.ToLower(s.TraceID), ID: strings.ToLower(s.SpanID), ParentID: strings.ToLower(s.ParentSpanID),
		Name: s.Name, Start: s.Start.time(), End: s.End.time(), Attributes: attributes(s.Attributes),
		Failed: s.Status.Code.is(2, "STATUS_CODE_ERROR"), Message: s.Status.Message,
	}
	if strings.Trim(out.ParentID, "0") == "" {
		out.ParentID = ""
	}
	for _, id := range []struct {
		field, value string
		bytes        int
		optional     bool
	}{
		{"traceId", out.TraceID, 16, false},
		{"spanId", out.ID, 8, false},
		{"parentSpanId", out.ParentID, 8, true},
	} {
		raw, err := hex.DecodeString(id.value)
		switch {
		case id.value == "" && id.optional:
		case err != nil || len(raw) != id.bytes:
			return nil, fmt.Errorf("%s is not %d hex digits", id.field, 2*id.bytes)
		case !slices.ContainsFunc(raw, func(b byte) bool { return b != 0 }):
			return nil, fmt.Errorf("%s is all zeros", id.field)
		}
	}
	if s.Start == 0 {
		return nil, errors.New("startTimeUnixNano is missing")
	}
	if out.End.Before(out.Start) {
		out.End = out.Start
	}
	for _, e := range s.Events {
		out.Events = append(out.Events, Event{Name: e.Name, Time: e.Time.time(), Attributes: attributes(e.Attributes)})
	}
	return out, nil
}
