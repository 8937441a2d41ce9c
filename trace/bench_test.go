// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"os"
	"testing"
)

func BenchmarkReadAndDraw(b *testing.B) {
	in, err := os.ReadFile("testdata/several.jsonl")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		spans, _, err := Read("in", bytes.NewReader(in))
		if err != nil {
			b.Fatal(err)
		}
		traces := Build(spans)
		Table(traces, traces[0], Options{})
		Waterfall(traces[0], Options{})
	}
}
