// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// split cuts a log in memory.
func split(log []byte) *splitter {
	return &splitter{in: bufio.NewReaderSize(bytes.NewReader(log), sampled)}
}

// fixtureLines are all lines of the logs in testdata.
func fixtureLines(tb testing.TB) [][]byte {
	tb.Helper()
	logs, err := filepath.Glob("testdata/*.log")
	if err != nil {
		tb.Fatal(err)
	}
	var lines [][]byte
	for _, log := range logs {
		raw, err := os.ReadFile(log)
		if err != nil {
			tb.Fatal(err)
		}
		s := split(raw)
		for line, ok := s.next(); ok; line, ok = s.next() {
			lines = append(lines, bytes.Clone(line))
		}
	}
	return lines
}

func TestLinesThatSayNothingCostNoMemory(t *testing.T) {
	r := ByName("vllm").NewReader(Options{})
	r.Line(noon, []byte("INFO 03-01 12:00:00 [x.py:1] first"))
	line := []byte("(EngineCore_DP0 pid=2) INFO 03-01 12:00:00 [x.py:1] Using attention backend " + strings.Repeat("x", 300))
	if n := testing.AllocsPerRun(1000, func() { r.Line(noon, line) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAHostileLogDoesNotGrowTheReader(t *testing.T) {
	r := ByName("vllm").NewReader(Options{})
	for i := range 3 * maxRanks {
		r.Line(noon, fmt.Appendf(nil, "(Worker pid=%d) Loading weights took %d seconds", i, i))
		r.Line(noon, fmt.Appendf(nil, "(Worker pid=%d) Traceback (most recent call last):", i))
	}
	s := r.start
	if n := len(s.figures["weights_load_seconds"]); n > maxRanks {
		t.Errorf("figures of %d ranks", n)
	}
	if n := len(s.tracks["weights_load"].stretches); n > maxRanks+1 {
		t.Errorf("spans of %d ranks", n)
	}
	if len(r.open) > maxRanks || len(s.failures) > 64 || len(s.engines) > maxRanks {
		t.Errorf("%d open tracebacks, %d failures", len(r.open), len(s.failures))
	}
}

// BenchmarkLines is the cost per line of whole start-up logs: the reader's, and that of trying a regexp per text.
func BenchmarkLines(b *testing.B) {
	lines := fixtureLines(b)
	size := 0
	for _, line := range lines {
		size += len(line)
	}
	each := func(b *testing.B, read func(line []byte)) {
		b.SetBytes(int64(size / len(lines)))
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			read(lines[i%len(lines)])
			i++
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
	}
	b.Run("reader", func(b *testing.B) {
		r := ByName("vllm").NewReader(Options{})
		each(b, func(line []byte) { r.Line(noon, line) })
	})
	b.Run("reader, nothing said", func(b *testing.B) {
		r := ByName("vllm").NewReader(Options{})
		line := []byte("(EngineCore_DP0 pid=2) INFO 03-01 12:00:00 [cuda.py:351] Using FLASH_ATTN attention backend out of potential backends")
		r.Line(noon, line)
		b.SetBytes(int64(len(line)))
		b.ReportAllocs()
		for b.Loop() {
			r.Line(noon, line)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
	})
	b.Run("regexp per text", func(b *testing.B) {
		var all []*regexp.Regexp
		for i := range ByName("vllm").rules {
			all = append(all, regexp.MustCompile(strings.TrimPrefix(compile(ByName("vllm").rules[i].Says), "^")))
		}
		each(b, func(line []byte) {
			for _, re := range all {
				re.FindSubmatchIndex(line)
			}
		})
	})
}

// BenchmarkLog is a whole log of so many lines, made of those of the fixtures.
func BenchmarkLog(b *testing.B) {
	lines := fixtureLines(b)
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run("lines="+strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				r := ByName("vllm").NewReader(Options{})
				for i := range n {
					r.Line(noon, lines[i%len(lines)])
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(b.N), "ms/log")
		})
	}
}

// BenchmarkLineLength shows that the time per byte stays the same, and that what is beyond maxLine costs nothing.
func BenchmarkLineLength(b *testing.B) {
	for _, length := range []int{256, 4096, maxLine, 64 * maxLine} {
		for name, unit := range map[string]string{"plain": "x", "almost": "Loading weights too", "hits": "GatedRepoError ", "colours": "\x1b[1;36mx", "brackets": "[1", "bars": "1/2 [s/it]"} {
			line := bytes.Repeat([]byte(unit), length/len(unit)+1)[:length]
			b.Run(fmt.Sprintf("%s/%d", name, length), func(b *testing.B) {
				r := ByName("vllm").NewReader(Options{})
				b.SetBytes(int64(min(length, maxLine)))
				for b.Loop() {
					r.Line(noon, line)
				}
			})
		}
	}
}

func FuzzReaderSurvivesAnyLog(f *testing.F) {
	const few = 8 // small seeds are mutated and minimised fast
	for lines := fixtureLines(f); len(lines) > few; lines = lines[few:] {
		f.Add(bytes.Join(lines[:few], []byte("\n")), len(lines)%2 == 0)
	}
	f.Add([]byte(start+finish), false)
	f.Add([]byte("Model loading took -1 GiB and -99999999999999999999 seconds"), false)
	f.Fuzz(func(t *testing.T, log []byte, embedded bool) {
		for _, recipe := range recipes() {
			r := recipe.NewReader(Options{Start: noon.Add(-time.Second), Embedded: embedded, Now: noon, Location: time.UTC})
			s := split(log)
			s.width = wrapWidth(log)
			at := noon
			for line, ok := s.next(); ok; line, ok = s.next() {
				r.Line(at, line)
				at = at.Add(time.Millisecond)
			}
			checkPhases(t, r.Result(nil, at))
			checkPhases(t, r.Result(&Exit{Code: 1}, at))
		}
	})
}

func FuzzSplitterLosesNothing(f *testing.F) {
	f.Add([]byte("a\r\nb\rc"))
	f.Add([]byte("\rb\r"))
	f.Fuzz(func(t *testing.T, log []byte) {
		var got []byte
		s := split(log)
		for line, ok := s.next(); ok; line, ok = s.next() {
			if bytes.ContainsAny(line, "\r\n") {
				t.Fatal("a line holds a terminator")
			}
			got = append(got, line...)
		}
		want := bytes.ReplaceAll(bytes.ReplaceAll(log, []byte("\r"), nil), []byte("\n"), nil)
		if !bytes.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
