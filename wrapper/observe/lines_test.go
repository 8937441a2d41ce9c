// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestLinesEndAtNewlinesAndCarriageReturns(t *testing.T) {
	for text, want := range map[string]string{
		"a\nb\n":         "a|b",
		"a\r\nb":         "a|b",
		"10%\r20%\rdone": "10%|20%|done",
		"\n\n\r":         "",
		"no end":         "no end",
	} {
		for size := 1; size <= len(text); size++ {
			if got := strings.Join(split([]byte(text), size), "|"); got != want {
				t.Errorf("%q in pieces of %d: %q, want %q", text, size, got, want)
			}
		}
	}
}

func split(text []byte, size int) (out []string) {
	var s splitter
	line := func(b []byte, _ time.Time) { out = append(out, string(b)) }
	for len(text) > 0 {
		n := min(size, len(text))
		s.write(text[:n], time.Time{}, line)
		text = text[n:]
	}
	s.flush(line)
	return out
}

func TestALongLineIsCut(t *testing.T) {
	for _, size := range []int{1000, 64 << 10, 1 << 20} {
		got := split(append(bytes.Repeat([]byte{'x'}, 1<<20), "\nnext\n"...), size)
		if len(got) != 2 || len(got[0]) != maxLine || got[1] != "next" {
			t.Errorf("in pieces of %d: %d lines", size, len(got))
		}
	}
}

func FuzzSplitter(f *testing.F) {
	f.Add([]byte("a\nb\r\nc"), 3)
	f.Add(bytes.Repeat([]byte{'x'}, maxLine+2), 100)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		size = max(1, size)
		whole, pieces := split(text, len(text)+1), split(text, size)
		if strings.Join(whole, "\n") != strings.Join(pieces, "\n") {
			t.Fatalf("%q in pieces of %d: %q, whole %q", text, size, pieces, whole)
		}
		for _, l := range whole {
			if l == "" || len(l) > maxLine || strings.ContainsAny(l, "\r\n") {
				t.Fatalf("line %q", l)
			}
		}
	})
}

func BenchmarkSplitter(b *testing.B) {
	text := bytes.Repeat([]byte("INFO 11-20 02:22:30 [file.py:123] a line of a log\n"), 1300)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var s splitter
	for b.Loop() {
		s.write(text, time.Time{}, func([]byte, time.Time) {})
	}
}
