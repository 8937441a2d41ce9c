// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// results are the benchmarks of one run, in the order in which they ran.
type results struct {
	// header is what the runs say of themselves: machine, versions, date, command. Where they differ, all of it.
	header map[string][]string
	rows   []row
}

// row is one benchmark. It has several values for a unit when it ran several times.
type row struct {
	pkg    string // import path, without the module's
	name   string // without "Benchmark" and the number of processors
	values map[string][]float64
}

const module = "github.com/coldtrace/coldtrace/"

// read takes the standard format, with `key: value` lines for the header.
func read(files []string) (results, error) {
	out := results{header: map[string][]string{}}
	for _, name := range files {
		file, err := os.Open(name) //nolint:gosec // the user names it
		if err != nil {
			return out, fmt.Errorf("open benchmarks: %w", err)
		}
		err = out.add(file, name)
		if err := errors.Join(err, file.Close()); err != nil {
			return out, fmt.Errorf("read benchmarks: %w", err)
		}
	}
	if len(out.rows) == 0 {
		return out, fmt.Errorf("read benchmarks: %s holds none", strings.Join(files, ", "))
	}
	return out, nil
}

func (r *results) add(file io.Reader, name string) error {
	reader := benchfmt.NewReader(file, name)
	for reader.Scan() {
		result, ok := reader.Result().(*benchfmt.Result)
		if !ok {
			continue // what tests print between benchmarks
		}
		for _, c := range result.Config {
			if value := string(c.Value); !slices.Contains(r.header[c.Key], value) {
				r.header[c.Key] = append(r.header[c.Key], value)
			}
		}
		full := result.Name.String()
		if i := strings.LastIndexByte(full, '-'); i > 0 && strings.Trim(full[i+1:], "0123456789") == "" {
			full = full[:i]
		}
		r.record(strings.TrimPrefix(result.GetConfig("pkg"), module), full, result.Values)
	}
	return reader.Err()
}

func (r *results) record(pkg, name string, values []benchfmt.Value) {
	i := slices.IndexFunc(r.rows, func(known row) bool { return known.pkg == pkg && known.name == name })
	if i < 0 {
		i = len(r.rows)
		r.rows = append(r.rows, row{pkg: pkg, name: name, values: map[string][]float64{}})
	}
	for _, v := range values {
		unit, value := v.Unit, v.Value
		if v.OrigUnit != "" {
			unit, value = v.OrigUnit, v.OrigValue
		}
		r.rows[i].values[unit] = append(r.rows[i].values[unit], value)
	}
}

// value is the median of a unit's values; false: there is none.
func (r row) value(unit string) (float64, bool) {
	values := slices.Clone(r.values[unit])
	if len(values) == 0 {
		return 0, false
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 0 {
		return (values[middle-1] + values[middle]) / 2, true
	}
	return values[middle], true
}

// without is the name without the benchmark's own and without key=N.
func (r row) without(key string) string {
	_, rest, _ := strings.Cut(r.name, "/")
	parts := slices.DeleteFunc(strings.Split(rest, "/"), func(part string) bool { return strings.HasPrefix(part, key+"=") })
	return strings.Join(parts, "/")
}

// size is N of a name with key=N in it; false: there is none.
func (r row) size(key string) (float64, bool) {
	_, after, found := strings.Cut(r.name, key+"=")
	if !found {
		return 0, false
	}
	var n float64
	_, err := fmt.Sscanf(after, "%g", &n)
	return n, err == nil
}
