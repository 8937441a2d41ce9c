// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An export is a log as a cloud gives it back: of Cloud Logging, CloudWatch, Loki, Elasticsearch, journald … an object for each line.
// Its time is when the line was collected, which may be long after; what the engine wrote into the line is better.
type export struct {
	first   time.Time // of an entry
	stamped bool      // a line had a time of its own
}

// Keys of an object that holds a line. Those of the text come in the order in which they are looked for, and so do times.
var (
	exportTexts = []string{
		"textPayload", "jsonPayload", "line", "@message", "LogMessage", "LogEntry", "Log_s", "log", "message", "MESSAGE", "_source", "attributes", "properties",
		"body", "stringValue", // of OTLP
	}
	exportTimes = []string{"timestamp", "@timestamp", "time", "ts", "__REALTIME_TIMESTAMP", "TimeGenerated", "date", "ingestionTime", "receiveTimestamp", "timeUnixNano", "observedTimeUnixNano"}
	// exportMarks are in no line that an engine writes in JSON itself. An object without any has two keys, the text and the time.
	exportMarks = []string{
		"textPayload", "jsonPayload", "insertId", "logName", "ingestionTime", "eventId", "logStreamName", "@logStream", "@ptr",
		"labels", "kubernetes", "stream", "_source", "_HOSTNAME", "__REALTIME_TIMESTAMP", "TimeGenerated", "ContainerName", "containerName",
		"podName", "attributes", "resourceId", "body",
	}
	// exportLists hold such objects, in a document.
	exportLists = []string{"events", "entries", "results", "data", "result", "hits", "logs", "values", "tables", "records", "resourceLogs", "scopeLogs", "logRecords"}
)

// exportedLine is what an export holds of one.
type exportedLine struct {
	at   time.Time // zero: it does not say
	text string
}

// exported is the line that an object holds, if it is one of an export.
func exported(object []byte) (exportedLine, bool) {
	var of map[string]json.RawMessage
	if len(object) == 0 || object[0] != '{' || json.Unmarshal(object, &of) != nil {
		return exportedLine{}, false
	}
	return exportedOf(of)
}

func exportedOf(of map[string]json.RawMessage) (exportedLine, bool) {
	e, ok := lineOf(of)
	if !ok {
		return e, false
	}
	if inner, ok := exported([]byte(e.text)); ok { // a collector's, in a cloud's
		return exportedLine{cmp.Or(e.at, inner.at), inner.text}, true
	}
	if inner, ok := containerd([]byte(e.text)); ok {
		e.text = inner.text
	}
	marked := slices.ContainsFunc(exportMarks, func(key string) bool { return of[key] != nil })
	return e, marked || len(of) == 2 && !e.at.IsZero()
}

// lineOf is a line and its time. Where the text is in an object, the time may be there, too.
func lineOf(of map[string]json.RawMessage) (e exportedLine, ok bool) {
	for _, key := range exportTexts {
		if e, ok = textOf(of[key]); ok {
			break
		}
	}
	for _, key := range exportTimes {
		if at := timeOf(of[key]); !at.IsZero() {
			return exportedLine{at, e.text}, ok
		}
	}
	return e, ok
}

// textOf is a line: a string, or what an object holds. What has no text is an engine's own JSON.
func textOf(value json.RawMessage) (exportedLine, bool) {
	var text string
	switch {
	case len(value) == 0:
		return exportedLine{}, false
	case value[0] == '"':
		err := json.Unmarshal(value, &text)
		return exportedLine{text: strings.TrimRight(text, "\r\n")}, err == nil
	case value[0] != '{':
		return exportedLine{}, false
	}
	var of map[string]json.RawMessage
	if json.Unmarshal(value, &of) != nil {
		return exportedLine{}, false
	}
	if e, ok := lineOf(of); ok {
		return e, true
	}
	return exportedLine{text: string(value)}, true
}

// timeOf reads a time: RFC 3339, or seconds, milliseconds, microseconds or nanoseconds since 1970, which differ by their size.
func timeOf(value json.RawMessage) time.Time {
	text := strings.Trim(string(value), `"`)
	if n, err := strconv.ParseFloat(text, 64); err == nil && n > 1e9 {
		for n < 1e17 {
			n *= 1e3
		}
		return time.Unix(0, int64(min(n, math.MaxInt64/2))).UTC()
	}
	if t, ok := stamped([]byte(text), time.Unix(0, 0), time.UTC); ok {
		return t
	}
	return time.Time{}
}

// line writes what an object holds. A line without a time of its own has its collector's, until one has.
func (x *export) line(to io.Writer, object []byte) {
	e, ok := exported(bytes.TrimRight(bytes.TrimLeft(object, " \t"), ",\r "))
	if !ok {
		fmt.Fprintf(to, "%s\n", object)
		return
	}
	x.write(to, e)
}

func (x *export) write(to io.Writer, e exportedLine) {
	if x.first.IsZero() {
		x.first = e.at
	}
	x.stamped = x.stamped || is(stamped([]byte(e.text), time.Unix(0, 0), time.UTC))
	if !x.stamped && !e.at.IsZero() {
		fmt.Fprintf(to, "%s ", e.at.UTC().Format(time.RFC3339Nano))
	}
	fmt.Fprintf(to, "%s\n", e.text)
}

// listed says whether a log is one JSON value that holds a list of lines.
func listed(sample []byte) bool {
	text := bytes.TrimLeft(sample, " \t\r\n")
	inner := bytes.TrimLeft(text, "[ \t\r\n")
	switch {
	case len(inner) == 0:
		return false
	case text[0] == '[':
		return inner[0] == '{' || inner[0] == '"'
	}
	return text[0] == '{' && !is(exported(bytes.TrimSpace(firstLine(text)))) && descend(json.NewDecoder(bytes.NewReader(text)), 1)
}

// spread says whether a log is of JSON objects that go over many lines each.
func spread(sample []byte) bool {
	text := bytes.TrimLeft(sample, " \t\r\n")
	line := firstLine(text)
	return bytes.HasPrefix(text, []byte("{")) && bytes.HasPrefix(bytes.TrimLeft(text[1:], " \t\r\n"), []byte(`"`)) && len(line) < len(text) && !json.Valid(bytes.TrimSpace(line))
}

// backwards says whether JSON lines have the newest first, as Cloud Logging gives them unless it is asked not to.
func (x *export) backwards(sample []byte) bool {
	var first time.Time
	for line := range bytes.Lines(sample) {
		e, ok := exported(bytes.TrimSpace(line))
		switch {
		case !ok:
			return false
		case first.IsZero():
			first = e.at
		case !e.at.Equal(first):
			return e.at.Before(first)
		}
	}
	return false
}

// entries are the lines in a value: a string, an object that holds one, a pair of a time and a line as Loki's answers have it, a
// row of fields as CloudWatch Insights' have it, a table as Azure's, or lists of those.
func entries(value json.RawMessage) []exportedLine {
	if e, ok := exported(value); ok {
		return []exportedLine{e}
	}
	var (
		out    []exportedLine
		list   []json.RawMessage
		of     map[string]json.RawMessage
		pair   []string
		text   string
		fields []struct {
			Field string          `json:"field"`
			Value json.RawMessage `json:"value"`
		}
		table struct {
			Columns []struct {
				Name string `json:"name"`
			} `json:"columns"`
			Rows [][]json.RawMessage `json:"rows"`
		}
	)
	switch {
	case json.Unmarshal(value, &text) == nil:
		return []exportedLine{{text: text}}
	case json.Unmarshal(value, &pair) == nil && len(pair) >= 2:
		if at := timeOf(json.RawMessage(pair[0])); !at.IsZero() {
			return []exportedLine{{at, pair[1]}}
		}
	case json.Unmarshal(value, &fields) == nil && len(fields) > 0 && fields[0].Field != "":
		row := map[string]json.RawMessage{}
		for _, f := range fields {
			row[f.Field] = f.Value
		}
		if e, ok := exportedOf(row); ok {
			return []exportedLine{e}
		}
	case json.Unmarshal(value, &list) == nil:
		for _, v := range list {
			out = append(out, entries(v)...)
		}
	case json.Unmarshal(value, &table) == nil && len(table.Columns) > 0:
		for _, cells := range table.Rows {
			row := map[string]json.RawMessage{}
			for i := range min(len(cells), len(table.Columns)) {
				row[table.Columns[i].Name] = cells[i]
			}
			if e, ok := exportedOf(row); ok {
				out = append(out, e)
			}
		}
	case json.Unmarshal(value, &of) == nil:
		for _, key := range exportLists {
			if of[key] != nil {
				out = append(out, entries(of[key])...)
			}
		}
	}
	return out
}
