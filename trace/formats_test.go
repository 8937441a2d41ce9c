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
		"Grafana's download":                 ofGrafana,
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
				t.Errorf("read\n%+v\n%+v\nwant\n%+v\n%+v", got[0], got[1], want[0], want[1])
			}
		})
	}
}

// ofGrafana is what Explore's inspector downloads: Tempo's answer, made anew by JavaScript.
var ofGrafana = strings.NewReplacer("W47/95gDgQPSabYzgT/GDA==", "5b8efff798038103d269b633813fc60c", "7uGbfsPBsXQ=", "eee19b7ec3c1b174", "7uGbfsPBsXU=", "eee19b7ec3c1b175",
	`"kind":"SPAN_KIND_INTERNAL"`, `"kind":1,"parentSpanId":""`, `"STATUS_CODE_ERROR"`, "2").Replace(ofTempo)

// snake is the JSON with the names that fields have in protobuf's files.
func snake(of string) string {
	return regexp.MustCompile(`"([a-z]+[A-Z][A-Za-z]*)":`).ReplaceAllStringFunc(of, func(key string) string {
		return strings.ToLower(regexp.MustCompile(`[A-Z]`).ReplaceAllString(key, "_$0"))
	})
}

func TestSpansAreReadWithNothingAroundThem(t *testing.T) {
	_, bare, _ := strings.Cut(ofCollector, `"spans":[`)
	bare = strings.TrimSuffix(bare, `]}]}]}`)
	for name, in := range map[string]string{"a span after another": bare, "a list": "[" + bare + "]", "with protobuf's names of fields": snake(bare)} {
		spans, problems, err := Read("in", strings.NewReader(in))
		if err != nil || len(problems) > 0 || len(spans) != 2 || spans[1].Name != "pull" || spans[1].ParentID != spans[0].ID || spans[1].own("cached") != "true" {
			t.Errorf("%s: read %d spans, problems %v, error %v", name, len(spans), problems, err)
		}
	}
}

// Where somebody has a trace in another format, they are told which it is and what to ask for instead.
func TestOtherFormatsAreCalledByTheirNames(t *testing.T) {
	for name, c := range map[string]struct{ in, is string }{
		"Zipkin's, as it answers":        {`[[{"traceId":"5b8efff798038103d269b633813fc60c","id":"eee19b7ec3c1b174","name":"root","timestamp":1795348800000000,"duration":10000000,"localEndpoint":{"serviceName":"watcher"},"tags":{}}]]`, "spans of Zipkin's"},
		"Zipkin's, still open":           {`[{"traceId":"5b8efff798038103","id":"eee19b7ec3c1b174","localEndpoint":{}}]`, "spans of Zipkin's"},
		"what Tempo's search has found":  {`{"traces":[{"traceID":"5b8efff798038103d269b633813fc60c","startTimeUnixNano":"1795348800000000000","durationMs":10000}],"metrics":{}}`, "what a search has found"},
		"Datadog's, as its page has it":  {`{"trace":{"root_id":"17199","spans":{"17199":{"trace_id":"1","span_id":"17199","start":1795348800,"duration":10,"service":"watcher"}}},"is_truncated":false}`, "a trace of Datadog's"},
		"Datadog's, as its API has it":   {`{"data":{"id":"5b8e","type":"trace","attributes":{"is_truncated":false,"spans":[{"span_id":"17199"}]}}}`, "a trace of Datadog's"},
		"Datadog's, out of a search":     {`{"data":[{"id":"a","type":"spans","attributes":{"trace_id":"5b8e","span_id":"17199","service":"watcher"}}],"meta":{}}`, "spans of Datadog's"},
		"Datadog's, as the agent has it": {`[[{"trace_id":1,"span_id":2,"parent_id":0,"name":"root","resource":"root","service":"watcher","start":1795348800000000000,"duration":10,"meta":{}}]]`, "spans of Datadog's"},
		"Honeycomb's rows":               {`[{"trace.trace_id":"5b8e","trace.span_id":"eee1","name":"root","duration_ms":10000}]`, "events of Honeycomb's"},
		"Honeycomb's query":              {`{"data":{"results":[{"data":{"name":"root"}}]}}`, "events of Honeycomb's"},
		"X-Ray's":                        {`{"Traces":[{"Id":"1-5759e988-bd862e3fe1be46a994272793","Duration":10.0,"Segments":[{"Id":"a","Document":"{}"}]}],"UnprocessedTraceIds":[]}`, "traces of X-Ray's"},
		"a segment of X-Ray's":           {`{"trace_id":"1-5759e988-bd862e3fe1be46a994272793","id":"70de5b6f19ff9a0a","start_time":1.7e9,"end_time":1.7e9,"name":"root"}`, "a segment of X-Ray's"},
		"otel-desktop-viewer's":          {`{"traceID":"5b8efff798038103d269b633813fc60c","spans":[{"traceID":"5b8e","spanID":"eee1","parentSpanID":"","name":"root","startTime":"2026-11-22T12:00:00Z"}]}`, "a trace of otel-desktop-viewer's"},
		"a console exporter's, Python's": {`{"name":"root","context":{"trace_id":"0x5b8e","span_id":"0xeee1"},"parent_id":null,"start_time":"2026-11-22T12:00:00Z"}`, "what an SDK's console exporter prints"},
		"a console exporter's, Go's":     {`{"Name":"root","SpanContext":{"TraceID":"5b8e"},"StartTime":"2026-11-22T12:00:00Z"}`, "what an SDK's console exporter prints"},
		"Grafana's panel":                {`{"results":{"A":{"status":200,"frames":[]}}}`, "data frames of Grafana's"},
		"a profile of PyTorch's":         {`{"schemaVersion":1,"traceEvents":[{"ph":"X"}]}`, "a profile"},
		"Elasticsearch's":                {`{"took":1,"hits":{"total":{"value":1},"hits":[{"_source":{"traceID":"5b8e"}}]}}`, "what a search of Elasticsearch's has found"},
		"Prometheus'":                    {`{"status":"success","data":{"resultType":"matrix","result":[]}}`, "what Prometheus answers"},
		"a pod":                          {`{"apiVersion":"v1","kind":"Pod","metadata":{}}`, "an object of Kubernetes"},
		"a log":                          {`{"level":"info","message":"starting"}`, "a log in JSON"},
		"Jaeger's, that it has none":     {`{"data":null,"total":0,"errors":[{"code":404,"msg":"trace not found"}]}`, "an answer that there is an error"},
		"Jaeger's third, the same":       {`{"error":{"httpCode":404,"message":"No traces found"}}`, "an answer that there is an error"},
		"of nobody that is known":        {`{"hello":"world"}`, "no trace that is read; OTLP JSON"},
		"an object with nothing in it":   {`{}`, "no trace that is read; OTLP JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			spans, problems, err := Read("in", strings.NewReader(c.in))
			if err != nil || len(spans) > 0 || len(problems) != 1 || !strings.HasPrefix(problems[0].What, c.is) {
				t.Errorf("%d spans, error %v, said %v; want %q", len(spans), err, problems, c.is)
			}
		})
	}
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
		"one that a word too much spoils":            {strings.Join(lines[:9], "") + "}\n" + strings.Join(lines[9:], "") + "\n" + whole, 2, []string{"in:1: not JSON 11 lines further down"}},
		"the last one, still being written":          {whole + whole[:300], 2, []string{"in:2: incomplete; is it still being written?"}},
		"prose":                                      {"Hello,\nworld\n" + whole, 2, []string{"in:1: not JSON from byte 1 on", "in:2: not JSON from byte 1 on"}},
		"nothing where a trace should be":            {`{"trace":null}`, 0, []string{"in:1: no trace that is read" + isRead}},
		"an answer that holds no traces":             {`{"data":{"result":[]}}` + "\n" + `{"trace":"x"}`, 0, []string{"in:1: not Jaeger's answer: data is no list of traces", "in:2: not an object"}},
		"what Tempo's search answers":                {`{"traces":[{"traceID":"5b8efff798038103d269b633813fc60c","rootTraceName":"pod_startup"}],"metrics":{}}`, 0, []string{"in:1: what a search has found, which are no spans: ask for the trace by its id: /api/traces/ID"}},
		"ids of another length":                      {strings.Replace(whole, "eee19b7ec3c1b174", "eee19b7ec3c1", 1), 1, []string{`in:1: span "root": spanId is not 16 hex digits`}},
		"ids that are all zeros":                     {strings.ReplaceAll(whole, "5b8efff798038103d269b633813fc60c", strings.Repeat("0", 32)), 0, []string{`in:1: span "root": traceId is all zeros`, `in:1: span "pull": traceId is all zeros`}},
		"a span without a beginning":                 {strings.Replace(whole, `"startTimeUnixNano":"1795348800000000000",`, "", 1), 1, []string{`in:1: span "root": startTimeUnixNano is missing`}},
		"a root that ends before it starts":          {strings.Replace(whole, `"endTimeUnixNano":"1795348810000000000"`, `"endTimeUnixNano":"1795348790000000000"`, 1), 1, []string{`in:1: span "root": it ends before it starts`}},
		"a span that ends at zero":                   {strings.Replace(whole, `"endTimeUnixNano":"1795348810000000000"`, `"endTimeUnixNano":"0"`, 1), 1, []string{`in:1: span "root": endTimeUnixNano is missing`}},
		"a span without an end":                      {strings.Replace(whole, `,"endTimeUnixNano":"1795348810000000000"`, "", 1), 1, []string{`in:1: span "root": endTimeUnixNano is missing`}},
		"the largest number as the end":              {strings.Replace(whole, `"endTimeUnixNano":"1795348810000000000"`, `"endTimeUnixNano":"18446744073709551615"`, 1), 1, []string{`in:1: span "root": a time is after the year 2262`}},
		"the largest number as the begin":            {strings.Replace(whole, `"startTimeUnixNano":"1795348800000000000"`, `"startTimeUnixNano":"18446744073709551615"`, 1), 1, []string{`in:1: span "root": a time is after the year 2262`}},
		"a phase during which a clock was set back":  {strings.Replace(whole, `"endTimeUnixNano":"1795348809000000000"`, `"endTimeUnixNano":"1795348800500000000"`, 1), 2, nil},
		"a list where text belongs":                  {strings.Replace(whole, `"name":"root"`, `"name":["secret"]`, 1) + whole, 2, []string{"in:1: not OTLP JSON: the value of name is not what belongs there"}},
		"one behind text of other letters":           {strings.Replace(whole, `"name":"root"`, `"traceState":"模型模型模型模型模型模型模型模型","name":["secret"]`, 1) + whole, 2, []string{"in:1: not OTLP JSON: the value of name is not what belongs there"}},
		"a list where an object belongs":             {strings.Replace(whole, `"resource":{`, `"resource":["secret"],"x":{`, 1) + whole, 2, []string{"in:1: not OTLP JSON: the value of resource is not what belongs there"}},
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
