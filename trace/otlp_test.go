// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// same says whether a line is read quickly, and fails where that is not what fromObject makes of it.
func same(t *testing.T, r *otlpReader, line []byte) bool {
	t.Helper()
	got, ok := r.line(line)
	if !ok {
		return false
	}
	want, problems := fromObject(line)
	if len(problems) > 0 {
		t.Errorf("%q was read, though %v", line, problems)
	}
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("%q:\nread   %+v\nwant   %+v", line, got, want)
	}
	return true
}

func TestALineReadQuicklyIsReadTheSame(t *testing.T) {
	files, err := filepath.Glob("testdata/*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	r := newOTLPReader(nil) // what it keeps of a line changes none of the next
	lines, quickly := 0, 0
	for _, file := range append(files, "report/testdata/before.jsonl") {
		in, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(in) {
			lines++
			if same(t, r, line) {
				quickly++
			}
		}
	}
	if quickly*2 < lines {
		t.Errorf("%d of %d lines are read quickly", quickly, lines)
	}
}

const ordinary = `{"resourceSpans":[{"resource":{"attributes":[{"key":"a","value":{"stringValue":"b"}}]},"scopeSpans":[{"scope":{"name":"n","version":"v"},"spans":[{"traceId":"5a44de008fd208065638a802730aea79","spanId":"22a736ca8f593796","parentSpanId":"","name":"x","startTimeUnixNano":"1763735630000000000","endTimeUnixNano":"1763735632000000000","attributes":[{"key":"i","value":{"intValue":"7"}},{"key":"l","value":{"arrayValue":{"values":[{"boolValue":true},{"doubleValue":1.5}]}}}],"events":[{"name":"e","timeUnixNano":"1763735631000000000"}],"status":{"code":2,"message":"m"}}]}]}]}`

func TestALineIsReadQuicklyHoweverItIsWrittenAndElseLeftToTheReaderThatJudges(t *testing.T) {
	want, ok := newOTLPReader(nil).line([]byte(ordinary))
	if !ok || len(want) != 1 {
		t.Fatalf("read %+v", want)
	}
	for name, c := range map[string]struct {
		old, new      string
		quickly, same bool
	}{
		"ordinary":                          {"", "", true, true},
		"a link":                            {`"events":[`, `"links":[{"traceId":"5a44de008fd208065638a802730aea79","spanId":"22a736ca8f593796","attributes":[{"key":"k","value":{"stringValue":"p"}}],"flags":256}],"events":[`, true, false},
		"a link with protobuf's own ids":    {`"events":[`, `"links":[{"traceId":"WkTeAI/SCAZWOKgCcwrqeQ==","spanId":"Iqc2yo9Zd5Y="}],"events":[`, true, false},
		"no status":                         {`,"status":{"code":2,"message":"m"}`, "", true, false},
		"ends before it starts":             {`"1763735632000000000"`, `"1"`, false, false},
		"an empty value":                    {`{"intValue":"7"}`, `{}`, true, false},
		"a number as a number":              {`"7"`, `7`, true, true},
		"a time as other languages' floats": {`"1763735632000000000"`, `1.763735632e18`, true, true},
		"an integer as a float in quotes":   {`"7"`, `"7.0"`, true, true},
		"an integer with a fraction":        {`"7"`, `7.5`, false, false},
		"a time as a number":                {`"1763735632000000000"`, `1763735632000000000`, true, true},
		"upper case":                        {"5a44de", "5A44DE", true, true},
		"protobuf's own ids":                {"5a44de008fd208065638a802730aea79", "WkTeAI/SCAZWOKgCcwrqeQ==", true, true},
		"protobuf's own names":              {"startTimeUnixNano", "start_time_unix_nano", true, true},
		"no id":                             {`"spanId":"22a736ca8f593796",`, "", false, false},
		"an id of zeros":                    {"22a736ca8f593796", "0000000000000000", false, false},
		"an id that is too short":           {"22a736ca8f593796", "22a736ca8f5937", false, false},
		"a parent that is none":             {`"parentSpanId":""`, `"parentSpanId":"x"`, false, false},
		"no start":                          {`"startTimeUnixNano":"1763735630000000000",`, "", false, false},
		"a status in words":                 {`"code":2`, `"code":"STATUS_CODE_ERROR"`, true, true},
		"a number beyond all numbers":       {"1.5", `"Infinity"`, true, false},
		"a list of keys":                    {`{"stringValue":"b"}`, `{"kvlistValue":{"values":[]}}`, true, false},
		"an escape":                         {`"x"`, `"\u0078"`, true, true},
		"a field that is new":               {`"name":"x"`, `"name":"x","colour":1`, true, true},
		"a field that comes twice":          {`"name":"x"`, `"name":"x","name":"y"`, false, false},
		"a field that is null":              {`"parentSpanId":""`, `"parentSpanId":null`, true, true},
		"an attribute that is null":         {`{"key":"i","value":{"intValue":"7"}}`, `null`, false, false},
		"two values of one":                 {`{"intValue":"7"}`, `{"intValue":"7","boolValue":true}`, false, false},
		"no value":                          {`{"intValue":"7"}`, `null`, true, false},
		"logs beside it":                    {`{"resourceSpans"`, `{"resourceLogs":[],"resourceSpans"`, false, false},
		"logs behind it":                    {`]}]}]}`, `]}]}],"resourceLogs":[]}`, false, false},
		"more after it":                     {`]}]}]}`, `]}]}]} {}`, false, false},
		"cut off":                           {`]}]}]}`, `]}]`, false, false},
		"text that is no UTF-8":             {`"stringValue":"b"`, "\"stringValue\":\"\xff\"", false, false},
		"an integer beyond all integers":    {`"7"`, `"77777777777777777777777"`, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			line := []byte(strings.Replace(ordinary, c.old, c.new, 1) + "\n")
			if got := same(t, newOTLPReader(nil), line); got != c.quickly {
				t.Errorf("read quickly: %v, want %v", got, c.quickly)
			}
			if got, _ := newOTLPReader(nil).line(line); c.same && !reflect.DeepEqual(got, want) {
				t.Errorf("read\n%+v\nwant\n%+v", got, want)
			}
		})
	}
}

func TestAttributesThatNobodyAsksForAreLeftOutInEveryLayout(t *testing.T) {
	asked := func(in string) (keys []string) {
		spans, problems, err := Read("in", strings.NewReader(in), "i")
		if err != nil || len(problems) > 0 || len(spans) != 2 {
			t.Fatalf("%d spans, problems %v, error %v", len(spans), problems, err)
		}
		for _, s := range spans {
			for _, a := range s.Attributes {
				keys = append(keys, a.Key)
			}
		}
		return keys
	}
	whole := asked(ordinary + "\n" + ordinary + "\n")
	array := asked("[" + ordinary + ",\n " + ordinary + "]\n")
	if want := []string{"l", "l"}; !reflect.DeepEqual(whole, want) || !reflect.DeepEqual(array, want) {
		t.Errorf("lines have %q and an array %q, want %q", whole, array, want)
	}
	// Of one request, lists that are equal are kept once.
	before, span, _ := strings.Cut(ordinary, `"spans":[`)
	span, after := strings.TrimSuffix(span, "]}]}]}"), "]}]}]}"
	if got := asked(before + "\n" + `"spans":[` + span + "," + span + after); !reflect.DeepEqual(got, whole) {
		t.Errorf("two spans with one list have %q, want %q", got, whole)
	}
}

func FuzzQuick(f *testing.F) {
	f.Add([]byte(ordinary))
	f.Fuzz(func(t *testing.T, line []byte) {
		if !bytes.Contains(line, []byte("\n")) {
			same(t, newOTLPReader(nil), line)
		}
	})
}
