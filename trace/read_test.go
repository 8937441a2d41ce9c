// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestReadsASpanWithEveryKindOfValue(t *testing.T) {
	spans, problems, err := Read("in", strings.NewReader(everyValue))
	if err != nil || len(problems) != 0 || len(spans) != 1 {
		t.Fatalf("%d spans, problems %v, error %v", len(spans), problems, err)
	}
	s := spans[0]
	if s.TraceID != "0af7651916cd43dd8448eb211c80319c" || s.ParentID != "" || !s.Failed || s.Message != "m" || s.Scope != "scope 1" {
		t.Errorf("read %+v", s)
	}
	if s.Duration() != time.Second+1 || s.Start.UnixNano() != 1763735630000000001 {
		t.Errorf("from %v for %v", s.Start, s.Duration())
	}
	var texts []string
	for _, a := range append(s.Attributes, s.Events[0].Attributes...) {
		texts = append(texts, a.Key+"="+a.Text())
	}
	want := []string{"string=", "bool=false", "int=9007199254740993", "double=1.5", "nan=+Inf", "bytes=2 bytes", "array=[1, b]", "list={in: true}", "none=", "k=7"}
	if !reflect.DeepEqual(texts, want) {
		t.Errorf("attributes %q, want %q", texts, want)
	}
}

const everyValue = `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}}]},
"scopeSpans":[{"scope":{"name":"scope","version":"1"},"spans":[{"traceId":"0AF7651916CD43DD8448EB211C80319C","spanId":"00f067aa0ba902b7","parentSpanId":"0000000000000000","name":"n",
"startTimeUnixNano":1763735630000000001,"endTimeUnixNano":"1763735631000000002","status":{"code":"STATUS_CODE_ERROR","message":"m"},
"events":[{"timeUnixNano":"1763735630500000000","name":"e","attributes":[{"key":"k","value":{"intValue":7}}]}],"attributes":[
{"key":"string","value":{"stringValue":""}},{"key":"bool","value":{"boolValue":false}},{"key":"int","value":{"intValue":"9007199254740993"}},{"key":"double","value":{"doubleValue":1.5}},
{"key":"nan","value":{"doubleValue":"Infinity"}},{"key":"bytes","value":{"bytesValue":"AAE="}},{"key":"array","value":{"arrayValue":{"values":[{"intValue":"1"},{"stringValue":"b"}]}}},
{"key":"list","value":{"kvlistValue":{"values":[{"key":"in","value":{"boolValue":true}}]}}},{"key":"none","value":{}}]}]}]}]}`

func TestDamagedLinesAreNamedAndTheRestIsRead(t *testing.T) {
	file, err := os.Open("testdata/damaged.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	spans, problems, err := Read("damaged.jsonl", file)
	if err != nil {
		t.Fatal(err)
	}
	var names, said []string
	for _, s := range spans {
		names = append(names, s.Name)
	}
	for _, p := range problems {
		said = append(said, p.String())
	}
	if want := []string{"pod_startup", "pod_pending"}; !reflect.DeepEqual(names, want) {
		t.Errorf("read spans %q, want %q", names, want)
	}
	want := []string{
		"damaged.jsonl:2: not JSON from byte 20 on",
		"damaged.jsonl:3: no trace that is read" + isRead,
		`damaged.jsonl:5: span "image_pull": spanId is not 16 hex digits`,
		"damaged.jsonl:6: not OTLP JSON: the value of startTimeUnixNano is not what belongs there",
		"damaged.jsonl:7: incomplete; is it still being written?",
	}
	if !reflect.DeepEqual(said, want) {
		t.Errorf("said\n%s\nwant\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
	}
}

func TestAReadErrorIsReportedWithWhatWasRead(t *testing.T) {
	broken := errors.New("disk on fire")
	in := strings.NewReader(strings.ReplaceAll(everyValue, "\n", "") + "\n")
	spans, _, err := Read("in", iotest.TimeoutReader(in))
	if err != nil && !errors.Is(err, iotest.ErrTimeout) {
		t.Fatal(err)
	}
	if len(spans) != 1 {
		t.Errorf("%d spans, want the one before the error", len(spans))
	}
	if _, _, err := Read("in", iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
}

func FuzzReadAndDraw(f *testing.F) {
	for _, name := range []string{"ready", "damaged", "hostile"} {
		b, err := os.ReadFile("testdata/" + name + ".jsonl")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Add(everyValue)
	f.Add(ofTempo)
	f.Add(ofJaeger)
	f.Fuzz(func(t *testing.T, in string) {
		spans, _, err := Read("in", strings.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		traces := Build(spans)
		if len(traces) == 0 {
			return
		}
		for _, width := range []int{1, 40, 80, 200} {
			for text := range strings.Lines(Waterfall(traces[0], Options{Width: width}) + Table(traces, traces[0], Options{Width: width})) {
				if columns(strings.TrimSuffix(text, "\n")) > width {
					t.Fatalf("wider than %d: %q", width, text)
				}
			}
		}
		if _, err := Page(traces, traces[0], nil); err != nil {
			t.Fatal(err)
		}
	})
}
