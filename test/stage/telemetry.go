// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/coldtrace/coldtrace/trace"
)

// TelemetryFiles are what the collector, or the demo's receiver, has written.
func (s *Stage) TelemetryFiles() ([]string, error) {
	if s.guest != nil {
		if err := s.fetchTelemetry(); err != nil {
			return nil, err
		}
	}
	files, err := filepath.Glob(filepath.Join(s.Run(), "otlp", "*.jsonl"))
	if err != nil {
		return nil, fmt.Errorf("list the collector's files: %w", err)
	}
	return files, nil
}

// Spans are all that the collector has written.
func (s *Stage) Spans() ([]*trace.Span, error) {
	files, err := s.TelemetryFiles()
	if err != nil {
		return nil, err
	}
	var all []*trace.Span
	for _, name := range files {
		spans, err := readSpans(name)
		if err != nil {
			return nil, err
		}
		all = append(all, spans...)
	}
	return all, nil
}

func readSpans(name string) ([]*trace.Span, error) {
	file, err := os.Open(name) //nolint:gosec // the collector's
	if err != nil {
		return nil, fmt.Errorf("open the collector's file: %w", err)
	}
	defer file.Close()
	// A line that is still being written is a problem that the next look won't have.
	spans, _, err := trace.Read(name, file)
	if err != nil {
		return nil, fmt.Errorf("read the collector's file: %w", err)
	}
	return spans, nil
}

// AwaitTrace looks into the collector's files until a trace of the pod satisfies done, and returns it. When ctx ends
// first it returns the trace as far as it has come, with an error.
func (s *Stage) AwaitTrace(ctx context.Context, podUID string, done func(*trace.Trace) bool) (*trace.Trace, error) {
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		spans, err := s.Spans()
		if err != nil {
			return nil, err
		}
		found, _ := trace.Selection{PodUID: podUID}.Apply(trace.Build(spans))
		var last *trace.Trace
		if len(found) > 0 {
			last = found[0]
			if done(last) {
				return last, nil
			}
		}
		select {
		case <-ctx.Done():
			return last, fmt.Errorf("wait for the trace of pod %s: %w", podUID, ctx.Err())
		case <-look.C:
		}
	}
}

// Has is a condition for AwaitTrace: all of the named spans are there.
func Has(names ...string) func(*trace.Trace) bool {
	return func(t *trace.Trace) bool {
		there := map[string]bool{}
		t.Walk(func(n *trace.Node) { there[n.Name] = there[n.Name] || !n.Missing })
		for _, name := range names {
			if !there[name] {
				return false
			}
		}
		return true
	}
}
