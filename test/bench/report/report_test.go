// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const docs = "../../../docs"

func TestTheDocumentIsMadeOfTheBaseline(t *testing.T) {
	results, err := read([]string{filepath.Join(docs, "benchmarks.txt")})
	if err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(filepath.Join(docs, "benchmarks.md"))
	if err != nil {
		t.Fatal(err)
	}
	if string(written) != render(results) {
		t.Error("docs/benchmarks.md is not what docs/benchmarks.txt makes: run `make bench-docs`")
	}
}

func TestSizesAreReadAndTheSlopeIsTheLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bench.txt")
	const text = "date: 2030-01-02\npkg: github.com/coldtrace/coldtrace/a/b\n" +
		"BenchmarkX/env=1/8-2 10 5 x-ms 1 y-ms\nBenchmarkX/env=2/8-2 10 7 x-ms 2 y-ms\n" +
		"some line of a log\nBenchmarkX/env=4/8-2 10 11 x-ms 4 y-ms\nBenchmarkX/env=4/8-2 10 13 x-ms 4 y-ms\nBenchmarkX/env=4/8-2 10 9 x-ms 4 y-ms\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := read([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.rows) != 3 || r.rows[0].pkg != "a/b" || r.rows[0].name != "X/env=1/8" || len(r.header["date"]) != 1 || r.header["date"][0] != "2030-01-02" {
		t.Fatalf("read %+v", r)
	}
	if v, ok := r.rows[2].value("x-ms"); !ok || v != 11 {
		t.Errorf("the median of 11, 13 and 9 is %v", v)
	}
	if slope, ok := (column{unit: "x-ms"}).fit(r.rows, "env"); !ok || math.Abs(slope-2) > 1e-9 {
		t.Errorf("slope %v, want 2", slope)
	}
	if _, ok := (column{unit: "x-ms"}).fit(r.rows[:2], "env"); ok {
		t.Error("two sizes make a line")
	}
	other := row{name: "X/env=1/64", values: map[string][]float64{"x-ms": {1}}}
	if g := groups(append(r.rows, other), "env"); len(g) != 2 || g[0].name != "8" || len(g[0].rows) != 3 || g[1].name != "64" {
		t.Errorf("grouped as %+v", g)
	}
	if g := groups(r.rows, "env"); len(g) != 1 || g[0].name != "" {
		t.Errorf("grouped as %+v", g)
	}
	if v, ok := (column{unit: "x-ms", of: "y-ms"}).ratio(r.rows[1]); !ok || v != 3.5 {
		t.Errorf("7 ÷ 2 is %v", v)
	}
}

func TestAFileWithoutBenchmarksIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "empty.txt")
	if err := os.WriteFile(path, []byte("PASS\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := read([]string{path}); err == nil || !strings.Contains(err.Error(), "holds none") {
		t.Errorf("error %v", err)
	}
}

func TestFiguresHaveThreeDigits(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.98765: "0.988", 12.345: "12.3", 999.6: "1,000", 123456: "123,456", -1234: "-1,234", 1234567: "1,234,567", 0.00123: "0.00123"} {
		if got := figure(v); got != want {
			t.Errorf("%v is written as %s, want %s", v, got, want)
		}
	}
}
