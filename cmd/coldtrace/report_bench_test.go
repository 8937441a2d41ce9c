// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// manyStarts writes a file with so many starts, each that of the fixture with ids and a pod of its own: 22 kB a start, as
// the collector's file exporter writes it.
func manyStarts(tb testing.TB, n int) string {
	tb.Helper()
	one, err := os.ReadFile(traceFixtures + "ready.jsonl")
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(tb.TempDir(), "many.jsonl")
	file, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	out := bufio.NewWriterSize(file, 1<<20)
	for i := range n {
		start := bytes.ReplaceAll(one, []byte("5a44de008fd208065638a802730aea79"), fmt.Appendf(nil, "%032x", i+1))
		start = bytes.ReplaceAll(start, []byte("0f0e2c1a-6d1b-4f2e-9c55-3d2b1a0e7f10"), fmt.Appendf(nil, "%08x-6d1b-4f2e-9c55-3d2b1a0e7f10", i))
		start = bytes.ReplaceAll(start, []byte("-x2x7k"), fmt.Appendf(nil, "-%05x", i))
		start = bytes.ReplaceAll(start, []byte(`{"stringValue":"llama-3-1-8b-instruct"}`), fmt.Appendf(nil, `{"stringValue":"llama-%d"}`, i%20))
		if _, err := out.Write(start); err != nil {
			tb.Fatal(err)
		}
	}
	if err := out.Flush(); err != nil {
		tb.Fatal(err)
	}
	if err := file.Close(); err != nil {
		tb.Fatal(err)
	}
	return path
}

// BenchmarkReport is the whole command, as a process of its own: its time, by the clock and of processors, and the most memory that
// it ever had.
func BenchmarkReport(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "coldtrace")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for _, starts := range []int{1000, 10_000} {
		b.Run(fmt.Sprintf("starts=%d", starts), func(b *testing.B) {
			path := manyStarts(b, starts)
			most, busy := int64(0), time.Duration(0)
			for b.Loop() {
				cmd := exec.CommandContext(b.Context(), binary, "report", path)
				out, err := cmd.CombinedOutput()
				if err != nil || !bytes.HasPrefix(out, fmt.Appendf(nil, "%d starts of 20 endpoints", starts)) {
					b.Fatalf("%v\n%s", err, out[:min(len(out), 500)])
				}
				busy += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
				if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
					most = max(most, usage.Maxrss)
				}
			}
			b.ReportMetric(float64(most)/1000, "MB")
			b.ReportMetric(busy.Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/op")
		})
	}
}
