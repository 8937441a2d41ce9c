// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// What the backends answer for a trace of two spans: a root from 12:00:00 for 10 s, and what failed in it.
const (
	ofCollector = `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"watcher"}}]},"scopeSpans":[{"scope":{"name":"s","version":"1"},"spans":[
{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"root","startTimeUnixNano":"1795348800000000000","endTimeUnixNano":"1795348810000000000"},
{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b175","parentSpanId":"eee19b7ec3c1b174","name":"pull","startTimeUnixNano":"1795348801000000000","endTimeUnixNano":"1795348809000000000",
"attributes":[{"key":"bytes","value":{"intValue":"9007199254740993"}},{"key":"cached","value":{"boolValue":true}}],"events":[{"timeUnixNano":"1795348802000000000","name":"retry","attributes":[{"key":"count","value":{"intValue":"2"}}]}],
"status":{"code":2,"message":"not_found"}}]}]}]}`

	ofTempo = `{"batches":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"watcher"}}]},"scopeSpans":[{"scope":{"name":"s","version":"1"},"spans":[
{"traceId":"W47/95gDgQPSabYzgT/GDA==","spanId":"7uGbfsPBsXQ=","name":"root","kind":"SPAN_KIND_INTERNAL","startTimeUnixNano":"1795348800000000000","endTimeUnixNano":"1795348810000000000","status":{}},
{"traceId":"W47/95gDgQPSabYzgT/GDA==","spanId":"7uGbfsPBsXU=","parentSpanId":"7uGbfsPBsXQ=","name":"pull","startTimeUnixNano":"1795348801000000000","endTimeUnixNano":"1795348809000000000",
"attributes":[{"key":"bytes","value":{"intValue":"9007199254740993"}},{"key":"cached","value":{"boolValue":true}}],"events":[{"timeUnixNano":"1795348802000000000","name":"retry","attributes":[{"key":"count","value":{"intValue":"2"}}]}],
"status":{"message":"not_found","code":"STATUS_CODE_ERROR"}}]}]}]}`

	ofJaeger = `{"data":[{"traceID":"5b8efff798038103d269b633813fc60c","spans":[
{"traceID":"5b8efff798038103d269b633813fc60c","spanID":"eee19b7ec3c1b174","operationName":"root","references":[],"startTime":1795348800000000,"duration":10000000,"processID":"p1","logs":[],
"tags":[{"key":"otel.scope.name","type":"string","value":"s"},{"key":"otel.scope.version","type":"string","value":"1"},{"key":"span.kind","type":"string","value":"internal"}]},
{"traceID":"5b8efff798038103d269b633813fc60c","spanID":"eee19b7ec3c1b175","operationName":"pull","references":[{"refType":"FOLLOWS_FROM","traceID":"5b8efff798038103d269b633813fc60c","spanID":"0000000000000001"},
{"refType":"CHILD_OF","traceID":"5b8efff798038103d269b633813fc60c","spanID":"eee19b7ec3c1b174"}],"startTime":1795348801000000,"duration":8000000,"processID":"p1",
"logs":[{"timestamp":1795348802000000,"fields":[{"key":"event","type":"string","value":"retry"},{"key":"count","type":"int64","value":2}]}],
"tags":[{"key":"otel.scope.name","type":"string","value":"s"},{"key":"otel.scope.version","type":"string","value":"1"},{"key":"bytes","type":"int64","value":9007199254740993},{"key":"cached","type":"bool","value":true},
{"key":"error","type":"bool","value":true},{"key":"otel.status_code","type":"string","value":"ERROR"},{"key":"otel.status_description","type":"string","value":"not_found"}]}],
"processes":{"p1":{"serviceName":"watcher","tags":[]}}}],"total":0,"errors":null}`
)

func TestEveryBackendsAnswerIsReadAsTheCollectorsFile(t *testing.T) {
	want, problems, err := Read("in", strings.NewReader(ofCollector))
	if err != nil || len(problems) != 0 || len(want) != 2 {
		t.Fatalf("of the collector: %d spans, problems %v, error %v", len(want), problems, err)
	}
	pull := want[1]
	if !pull.Failed || pull.Message != "not_found" || pull.Duration() != 8*time.Second || pull.own("bytes") != "9007199254740993" || pull.Scope != "s 1" {
		t.Errorf("read %+v", pull)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(ofCollector), "", "    "); err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]string{
		"the collector's, on one line":       strings.ReplaceAll(ofCollector, "\n", ""),
		"the collector's, indented":          indented.String(),
		"with Windows' line ends and a mark": "\ufeff" + strings.ReplaceAll(indented.String(), "\n", "\r\n"),
		"in an array":                        "[" + ofCollector + "]",
		"in an indented array":               "[\n  " + strings.ReplaceAll(indented.String(), "\n", "\n  ") + "\n]\n",
		"Tempo's":                            ofTempo,
		"Tempo's second":                     `{"trace":` + strings.Replace(ofTempo, "batches", "resourceSpans", 1) + `,"metrics":{}}`,
		"Jaeger's":                           ofJaeger,
		"Jaeger's third":                     `{"result":` + ofCollector + `}`,
		"Jaeger's, a trace out of it":        strings.TrimSuffix(strings.TrimPrefix(ofJaeger, `{"data":[`), `],"total":0,"errors":null}`),
		"Jaeger's, as it stores spans":       strings.Replace(ofJaeger, `"references":[{"refType":"FOLLOWS_FROM","traceID":"5b8efff798038103d269b633813fc60c","spanID":"0000000000000001"},`+"\n"+`{"refType":"CHILD_OF","traceID":"5b8efff798038103d269b633813fc60c","spanID":"eee19b7ec3c1b174"}]`, `"parentSpanID":"eee19b7ec3c1b174"`, 1),
		"several of Tempo's":                 `{"traces":[` + ofTempo + `]}`,
		"a list of a request's resources":    strings.TrimSuffix(strings.TrimPrefix(ofCollector, `{"resourceSpans":`), `}`),
		"with protobuf's names of fields":    snake(ofCollector),
		"Tempo's with these names":           snake(strings.Replace(ofTempo, "batches", "resourceSpans", 1)),
		"with names of before 2022":          strings.NewReplacer("scopeSpans", "instrumentationLibrarySpans", `"scope"`, `"instrumentationLibrary"`).Replace(ofCollector),
		"with times that are numbers":        regexp.MustCompile(`UnixNano":"(\d+)"`).ReplaceAllString(ofCollector, `UnixNano":$1`),
		"with ids in capitals":               strings.NewReplacer("5b8efff798038103d269b633813fc60c", "5B8EFFF798038103D269B633813FC60C", "eee19b7ec3c1b17", "EEE19B7EC3C1B17").Replace(ofCollector),
		"one after another on a line":        strings.ReplaceAll(ofCollector, "\n", "") + `{"resourceSpans":[]}`,
		"beside metrics":                     `{"resourceMetrics":[]}` + "\n" + ofCollector + `{"resourceLogs":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, problems, err := Read("in", strings.NewReader(in))
			if err != nil || len(problems) != 0 {
				t.Fatalf("problems %v, error %v", problems, err)
			}
			for i, s := range got {
				if len(s.Events) == 0 && len(s.Attributes) == 0 {
					s.Attributes = want[i].Attributes // none, or an empty list
				}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("read\n%+v\nwant\n%+v", got, want)
			}
		})
	}
}

// snake is the JSON with the names that fields have in protobuf's files.
func snake(of string) string {
	return regexp.MustCompile(`"([a-z]+[A-Z][A-Za-z]*)":`).ReplaceAllStringFunc(of, func(key string) string {
		return strings.ToLower(regexp.MustCompile(`[A-Z]`).ReplaceAllString(key, "_$0"))
	})
}

func TestWhatIsDamagedCostsNoMoreThanItself(t *testing.T) {
	whole := strings.ReplaceAll(ofCollector, "\n", "") + "\n"
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(ofCollector), "", "  "); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(indented.String(), "\n")
	for name, c := range map[string]struct {
		in    string
		spans int
		said  []string
	}{
		"a line that was cut off within a string":    {whole[:60] + "\n" + whole, 2, []string{"in:1: incomplete; is it still being written?"}},
		"a line that was cut off between two values": {whole[:28] + "\n" + whole, 2, []string{"in:1: incomplete; is it still being written?"}},
		"a request over many lines that was cut off": {strings.Join(lines[:9], "") + whole, 2, []string{"in:1: incomplete; is it still being written?"}},
		"one that a word too much spoils":            {strings.Join(lines[:9], "") + "}\n" + strings.Join(lines[9:], "") + "\n" + whole, 2, []string{"in:1: not JSON 11 lines further down: invalid character '}' after array element"}},
		"the last one, still being written":          {whole + whole[:300], 2, []string{"in:2: incomplete; is it still being written?"}},
		"prose":                                      {"Hello,\nworld\n" + whole, 2, []string{"in:1: not JSON at byte 1: invalid character 'H' looking for beginning of value", "in:2: not JSON at byte 1: invalid character 'w' looking for beginning of value"}},
		"nothing where a trace should be":            {`{"trace":null}`, 0, []string{"in:1: neither OTLP JSON (resourceSpans, resourceMetrics, resourceLogs) nor an answer of Tempo or Jaeger"}},
		"an answer that holds no traces":             {`{"data":{"result":[]}}` + "\n" + `{"trace":"x"}`, 0, []string{"in:1: not Jaeger's answer: data is no list of traces", "in:2: not an object"}},
		"what Tempo's search answers":                {`{"traces":[{"traceID":"5b8efff798038103d269b633813fc60c","rootTraceName":"pod_startup"}],"metrics":{}}`, 0, []string{"in:1: what a search has found, which are no spans; ask for the trace by its id: /api/traces/ID"}},
		"ids of another length":                      {strings.Replace(whole, "eee19b7ec3c1b174", "eee19b7ec3c1", 1), 1, []string{`in:1: span "root": spanId is not 16 hex digits`}},
		"ids that are all zeros":                     {strings.ReplaceAll(whole, "5b8efff798038103d269b633813fc60c", strings.Repeat("0", 32)), 0, []string{`in:1: span "root": traceId is all zeros`, `in:1: span "pull": traceId is all zeros`}},
		"a span without a beginning":                 {strings.Replace(whole, `"startTimeUnixNano":"1795348800000000000",`, "", 1), 1, []string{`in:1: span "root": startTimeUnixNano is missing`}},
		"a root that ends before it starts":          {strings.Replace(whole, `"endTimeUnixNano":"1795348810000000000"`, `"endTimeUnixNano":"1795348790000000000"`, 1), 1, []string{`in:1: span "root": it ends before it starts`}},
		"a span that ends at zero":                   {strings.Replace(whole, `"endTimeUnixNano":"1795348810000000000"`, `"endTimeUnixNano":"0"`, 1), 1, []string{`in:1: span "root": endTimeUnixNano is missing`}},
		"a span without an end":                      {strings.Replace(whole, `,"endTimeUnixNano":"1795348810000000000"`, "", 1), 1, []string{`in:1: span "root": endTimeUnixNano is missing`}},
		"the largest number as the end":              {strings.Replace(whole, `"endTimeUnixNano":"1795348810000000000"`, `"endTimeUnixNano":"18446744073709551615"`, 1), 1, []string{`in:1: span "root": a time is after the year 2262`}},
		"the largest number as the begin":            {strings.Replace(whole, `"startTimeUnixNano":"1795348800000000000"`, `"startTimeUnixNano":"18446744073709551615"`, 1), 1, []string{`in:1: span "root": a time is after the year 2262`}},
		"a phase during which a clock was set back":  {strings.Replace(whole, `"endTimeUnixNano":"1795348809000000000"`, `"endTimeUnixNano":"1795348800500000000"`, 1), 2, nil},
		"a list where text belongs":                  {strings.Replace(whole, `"name":"root"`, `"name":["secret"]`, 1) + whole, 2, []string{"in:1: not OTLP JSON: the value of name is not what belongs there (string)"}},
		"a list where an object belongs":             {strings.Replace(whole, `"resource":{`, `"resource":["secret"],"x":{`, 1) + whole, 2, []string{"in:1: not OTLP JSON: a field has a value of another kind, or comes twice"}},
	} {
		t.Run(name, func(t *testing.T) {
			spans, problems, err := Read("in", strings.NewReader(c.in))
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			for _, p := range problems {
				said = append(said, p.String())
			}
			if len(spans) != c.spans || !reflect.DeepEqual(said, c.said) {
				t.Errorf("%d spans, want %d; said\n%s\nwant\n%s", len(spans), c.spans, strings.Join(said, "\n"), strings.Join(c.said, "\n"))
			}
		})
	}
}

func TestRequestsOverManyLinesAreReadAsThoseOnOne(t *testing.T) {
	in, err := os.ReadFile("testdata/several.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var indented bytes.Buffer
	for line := range bytes.Lines(in) {
		if err := json.Indent(&indented, line, "", "  "); err != nil {
			t.Fatal(err)
		}
	}
	want, _, _ := Read("in", bytes.NewReader(in))
	got, problems, err := Read("in", &indented)
	if err != nil || len(problems) != 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("%d spans of %d, problems %v, error %v", len(got), len(want), problems, err)
	}
}
