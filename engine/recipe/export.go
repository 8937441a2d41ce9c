// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
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
	exportTexts = []string{"textPayload", "jsonPayload", "line", "@message", "LogMessage", "log", "message", "MESSAGE", "_source"}
	exportTimes = []string{"timestamp", "@timestamp", "time", "ts", "__REALTIME_TIMESTAMP", "TimeGenerated", "date", "ingestionTime", "receiveTimestamp"}
	// exportMarks are in no line that an engine writes in JSON itself. An object without any has two keys, the text and the time.
	exportMarks = []string{
		"textPayload", "jsonPayload", "insertId", "logName", "ingestionTime", "eventId", "logStreamName", "@logStream", "@ptr",
		"labels", "kubernetes", "stream", "_source", "_HOSTNAME", "__REALTIME_TIMESTAMP", "TimeGenerated", "ContainerName",
	}
	// exportLists hold such objects, in a document.
	exportLists = []string{"events", "entries", "results", "data", "result", "hits", "logs", "values"}
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
	marked := slices.ContainsFunc(exportMarks, func(key string) bool { return of[key] != nil })
	for _, key := range exportTexts {
		text, ok := textOf(of[key])
		if !ok {
			continue
		}
		e := exportedLine{text: text}
		for _, key := range exportTimes {
			if e.at = timeOf(of[key]); !e.at.IsZero() {
				break
			}
		}
		if inner, ok := exported([]byte(text)); ok { // a collector's, in a cloud's
			return exportedLine{cmp.Or(e.at, inner.at), inner.text}, true
		}
		if inner, ok := containerd([]byte(text)); ok {
			e.text = inner.text
		}
		return e, marked || len(of) == 2 && !e.at.IsZero()
	}
	return exportedLine{}, false
}

// textOf is a line: a string, or what an object holds. What has no text is an engine's own JSON.
func textOf(value json.RawMessage) (string, bool) {
	var text string
	switch {
	case len(value) == 0:
		return "", false
	case value[0] == '"':
		err := json.Unmarshal(value, &text)
		return strings.TrimRight(text, "\r\n"), err == nil
	case value[0] != '{':
		return "", false
	}
	var of map[string]json.RawMessage
	if json.Unmarshal(value, &of) != nil {
		return "", false
	}
	for _, key := range exportTexts {
		if text, ok := textOf(of[key]); ok {
			return text, true
		}
	}
	return string(value), true
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

// document says whether a log is one JSON value that goes over many lines, or an array.
func document(sample []byte) bool {
	text := bytes.TrimLeft(sample, " \t\r\n")
	switch {
	case len(text) == 0 || text[0] != '{' && text[0] != '[':
		return false
	case text[0] == '[':
		next := bytes.TrimLeft(text[1:], " \t\r\n")
		return len(next) > 0 && next[0] == '{'
	}
	next := bytes.TrimLeft(text[1:], " \t\r\n")
	line := bytes.TrimSpace(firstLine(text))
	return len(next) > 0 && next[0] == '"' && (!json.Valid(line) && len(line) < len(text) || json.Valid(line) && listed(line))
}

// listed says whether an object holds others, which hold lines.
func listed(object []byte) bool {
	var of map[string]json.RawMessage
	return !is(exported(object)) && json.Unmarshal(object, &of) == nil &&
		slices.ContainsFunc(exportLists, func(key string) bool { return len(of[key]) > 0 && (of[key][0] == '[' || of[key][0] == '{') })
}

// backwards says whether JSON lines have the newest first, as Cloud Logging gives them unless it is asked not to.
func (x *export) backwards(sample []byte) bool {
	var first time.Time
	for len(sample) > 0 {
		line := firstLine(sample)
		sample = sample[min(len(line)+1, len(sample)):]
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

// maxDocument is how long a document may be: unlike lines it is in memory as a whole.
const maxDocument = 8 << 20

var errDocument = errors.New("an export that is one JSON document, or has the newest first, of more than 8 MiB: export it as JSON lines, the oldest first")

// whole reads a document, and lines that have to be sorted.
func (x *export) whole(in io.Reader) io.Reader {
	raw, err := io.ReadAll(io.LimitReader(in, maxDocument+1))
	if err == nil && len(raw) > maxDocument {
		err = errDocument
	}
	if err != nil {
		return failing{err}
	}
	var lines []exportedLine
	for rest := json.NewDecoder(bytes.NewReader(raw)); rest.More(); {
		var value json.RawMessage
		if rest.Decode(&value) != nil {
			break // cut off: what came before is a log
		}
		lines = append(lines, entries(value)...)
	}
	if n := len(lines); n > 0 && lines[n-1].at.Before(lines[0].at) {
		slices.Reverse(lines) // so that those of one time are in their order
		slices.SortStableFunc(lines, func(a, b exportedLine) int { return a.at.Compare(b.at) })
	}
	var out bytes.Buffer
	for _, e := range lines {
		x.write(&out, e)
	}
	return &out
}

// failing is a reader of nothing but an error.
type failing struct{ err error }

// Read implements io.Reader.
func (f failing) Read([]byte) (int, error) { return 0, f.err }

// entries are the lines in a value: an object that holds one, a pair of a time and a line as Loki's answers have it, or lists of those.
func entries(value json.RawMessage) []exportedLine {
	if e, ok := exported(value); ok {
		return []exportedLine{e}
	}
	var (
		out  []exportedLine
		list []json.RawMessage
		of   map[string]json.RawMessage
		pair []string
	)
	switch {
	case json.Unmarshal(value, &pair) == nil && len(pair) >= 2:
		if at := timeOf(json.RawMessage(pair[0])); !at.IsZero() {
			return []exportedLine{{at, pair[1]}}
		}
	case json.Unmarshal(value, &list) == nil:
		for _, v := range list {
			out = append(out, entries(v)...)
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
