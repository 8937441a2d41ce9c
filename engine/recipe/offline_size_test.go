// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bytes"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
)

// served is what a server writes for years after it is up.
const served = "(APIServer pid=1) INFO 03-01 12:05:00 [loggers.py:248] Engine 000: Avg prompt throughput: 512.3 tokens/s, Avg generation throughput: 321.4 tokens/s, Running: 3 reqs, Waiting: 0 reqs, KV cache usage: 4.1%\n" +
	"(APIServer pid=1) INFO:     10.0.3.7:53120 - \"POST /v1/completions HTTP/1.1\" 200 OK\n"

// endless is a start, and what is served after it, of so many bytes.
func endless(size int64) io.Reader {
	text := strings.NewReader((start + finish)[1:])
	return io.LimitReader(io.MultiReader(text, &again{text: bytes.Repeat([]byte(served), 1000)}), size)
}

type again struct {
	text []byte
	at   int
}

// Read implements io.Reader.
func (a *again) Read(to []byte) (int, error) {
	n := copy(to, a.text[a.at:])
	a.at = (a.at + n) % len(a.text)
	return n, nil
}

func TestALogOfAnyLengthTakesTheSameMemory(t *testing.T) {
	const mib = 1 << 20
	var of [2]uint64
	for i, size := range []int64{8 * mib, 64 * mib} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := ReadLog(endless(size), LogOptions{Now: noon.Add(time.Hour), Location: time.UTC})
		if err != nil || got.Outcome != OutcomeReady {
			t.Fatalf("%v %s", err, got.Outcome)
		}
		runtime.ReadMemStats(&after)
		of[i] = (after.TotalAlloc - before.TotalAlloc) / mib
	}
	if of[0] > 16 || of[1] > of[0]+7 {
		t.Errorf("allocates %d MiB for 8 MiB, %d MiB for 64 MiB", of[0], of[1])
	}
}

// BenchmarkReadLog is the speed at which a log is read of which nobody says whose it is, nearly all of it what a server says that is up.
func BenchmarkReadLog(b *testing.B) {
	const size = 16 << 20
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReadLog(endless(size), LogOptions{Now: noon.Add(time.Hour), Location: time.UTC}); err != nil {
			b.Fatal(err)
		}
	}
}
