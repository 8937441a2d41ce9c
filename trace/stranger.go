// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"encoding/json"
	"strings"
)

// isRead goes on with what is read, where something is not.
const isRead = "; OTLP JSON (the collector's file exporter) and answers of Tempo and Jaeger are: docs/find-a-trace.md"

// strangers are what people have at hand where a trace is asked for, by keys of its object; "a/b" is b in a, or in the first of a
// list. What can be done where is not to ask for one of the formats that are read.
var strangers = []struct {
	keys     string
	is, does string
}{
	{"rootTraceName", "what a search has found, which are no spans", "ask for the trace by its id: /api/traces/ID"},
	{"traceID durationMs startTimeUnixNano", "what a search has found, which are no spans", "ask for the trace by its id: /api/traces/ID"},
	{"traceId id timestamp", "spans of Zipkin's", ""},
	{"traceId id localEndpoint", "spans of Zipkin's", ""},
	{"root_id spans", "a trace of Datadog's", ""},
	{"trace_id span_id resource", "spans of Datadog's", ""},
	{"attributes/trace_id", "spans of Datadog's", ""},
	{"attributes/spans", "a trace of Datadog's", ""},
	{"trace.trace_id", "events of Honeycomb's", ""},
	{"results/data", "events of Honeycomb's", ""},
	{"Traces", "traces of X-Ray's", ""},
	{"TraceSummaries", "what a search of X-Ray's has found", ""},
	{"trace_id id start_time", "a segment of X-Ray's", ""},
	{"projectId traceId spans", "a trace of Cloud Trace's", ""},
	{"traceID spans/parentSpanID", "a trace of otel-desktop-viewer's", ""},
	{"context/trace_id start_time", "what an SDK's console exporter prints", ""},
	{"SpanContext StartTime", "what an SDK's console exporter prints", ""},
	{"hits", "what a search of Elasticsearch's has found", ""},
	{"results/A", "data frames of Grafana's", "Explore's inspector downloads the trace itself"},
	{"schema data", "data frames of Grafana's", "Explore's inspector downloads the trace itself"},
	{"traceEvents", "a profile, Chrome's or PyTorch's", ""},
	{"resultType result", "what Prometheus answers", ""},
	{"apiVersion kind", "an object of Kubernetes", "coldtrace trace KIND/NAME asks the cluster, coldtrace explain -f reads manifests"},
	{"message level", "a log in JSON", "coldtrace phases reads it"},
	{"error", "an answer that there is an error, and no trace", "is the id right, and the trace not older than what is kept?"},
	{"errors", "an answer that there is an error, and no trace", "is the id right, and the trace not older than what is kept?"},
	{"code message", "an answer that there is an error, and no trace", "is the id right, and the trace not older than what is kept?"},
}

// stranger says what an object is whose format is none that is read, and what to do instead; empty: nobody knows.
func stranger(fields map[string]json.RawMessage) string {
	for _, s := range strangers {
		known := true
		for key := range strings.FieldsSeq(s.keys) {
			known = known && has(fields, key)
		}
		switch {
		case known && s.does != "":
			return s.is + ": " + s.does
		case known:
			return s.is + ", which coldtrace does not read" + isRead
		}
	}
	return ""
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
