// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"encoding/json"
	"slices"
	"strings"
)

// isRead goes on with what is read, where something is not.
const isRead = "; OTLP JSON (the collector's file exporter) and answers of Tempo and Jaeger are: docs/find-a-trace.md"

// strangers are what people have at hand where a trace is asked for, by keys of its object, or else by others; "a/b" is b in a, or in
// the first of a list. What can be done where is not to ask for one of the formats that are read.
var strangers = []struct {
	keys     []string
	is, does string
}{
	{[]string{"rootTraceName", "traceID durationMs startTimeUnixNano"}, "what a search has found, which are no spans", "ask for the trace by its id: /api/traces/ID"},
	{[]string{"traceId id timestamp", "traceId id localEndpoint"}, "spans of Zipkin's", ""},
	{[]string{"root_id spans", "attributes/spans"}, "a trace of Datadog's", ""},
	{[]string{"trace_id span_id resource", "attributes/trace_id"}, "spans of Datadog's", ""},
	{[]string{"trace.trace_id", "results/data"}, "events of Honeycomb's", ""},
	{[]string{"Traces"}, "traces of X-Ray's", ""},
	{[]string{"TraceSummaries"}, "what a search of X-Ray's has found", ""},
	{[]string{"trace_id id start_time"}, "a segment of X-Ray's", ""},
	{[]string{"projectId traceId spans"}, "a trace of Cloud Trace's", ""},
	{[]string{"traceID spans/parentSpanID"}, "a trace of otel-desktop-viewer's", ""},
	{[]string{"context/trace_id start_time", "SpanContext StartTime"}, "what an SDK's console exporter prints", ""},
	{[]string{"hits"}, "what a search of Elasticsearch's has found", ""},
	{[]string{"results/A", "schema data"}, "data frames of Grafana's", "Explore's inspector downloads the trace itself"},
	{[]string{"traceEvents"}, "a profile, Chrome's or PyTorch's", ""},
	{[]string{"resultType result"}, "what Prometheus answers", ""},
	{[]string{"apiVersion kind"}, "an object of Kubernetes", "coldtrace trace KIND/NAME asks the cluster, coldtrace explain -f reads manifests"},
	{[]string{"message level"}, "a log in JSON", "coldtrace phases reads it"},
	{[]string{"error", "errors", "code message"}, "an answer that there is an error, and no trace", "is the id right, and the trace not older than what is kept?"},
}

// stranger says what an object is whose format is none that is read, and what to do instead; empty: nobody knows.
func stranger(fields map[string]json.RawMessage) string {
	for _, s := range strangers {
		switch {
		case !slices.ContainsFunc(s.keys, func(keys string) bool { return hasAll(fields, strings.Fields(keys)) }):
		case s.does != "":
			return s.is + ": " + s.does
		default:
			return s.is + ", which coldtrace does not read" + isRead
		}
	}
	return ""
}

func hasAll(fields map[string]json.RawMessage, paths []string) bool {
	return !slices.ContainsFunc(paths, func(path string) bool { return !has(fields, path) })
}

func has(fields map[string]json.RawMessage, path string) bool {
	key, rest, deeper := strings.Cut(path, "/")
	value, ok := fields[key]
	if !deeper {
		return ok && string(value) != "null"
	}
	return has(fieldsOf(value), rest)
}

// fieldsOf are those of an object, or of a list's first; none, if it is neither.
func fieldsOf(value json.RawMessage) (fields map[string]json.RawMessage) {
	var list []json.RawMessage
	if json.Unmarshal(value, &list) == nil && len(list) > 0 {
		value = list[0]
	}
	_ = json.Unmarshal(value, &fields)
	return fields
}
