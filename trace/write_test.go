// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestWhatIsWrittenIsReadAgainAsItWas(t *testing.T) {
	files, err := filepath.Glob("testdata/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	read := func(text []byte) map[string]*Span {
		spans, _, err := Read("test", bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]*Span{}
		for _, s := range spans {
			out[s.TraceID+s.ID+s.Name+s.Start.String()+s.End.String()] = s
		}
		return out
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want := read(text)
		var spans []*Span
		for _, s := range want {
			spans = append(spans, s)
		}
		var out bytes.Buffer
		if err := Write(&out, spans); err != nil {
			t.Fatal(err)
		}
		got := read(out.Bytes())
		if len(got) != len(want) {
			t.Errorf("%s: %d spans, want %d", file, len(got), len(want))
		}
		for key, s := range want {
			if !reflect.DeepEqual(got[key], s) {
				t.Errorf("%s:\n%+v\nwant\n%+v", file, got[key], s)
			}
		}
	}
}

func TestWhatGoesOnIsNotWritten(t *testing.T) {
	var out bytes.Buffer
	if err := Write(&out, []*Span{{TraceID: "a", ID: "b", Name: "c", Open: true}}); err != nil || out.Len() > 0 {
		t.Errorf("%v %s", err, out.String())
	}
}
