// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/startup"
)

// listener hands what is written to a recipe's reader, as the wrapper does: at once, split at \n and \r.
type listener struct {
	mu     sync.Mutex
	reader *recipe.Reader
}

type listenerStream struct {
	*listener
	rest []byte
	at   time.Time // when the last of rest came: a bar ends its line only when it draws the next one
}

func (l *listenerStream) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range b {
		if c != '\r' && c != '\n' {
			l.rest, l.at = append(l.rest, c), time.Now()
			continue
		}
		if len(l.rest) > 0 {
			l.reader.Line(l.at, l.rest)
			l.rest = l.rest[:0]
		}
	}
	return len(b), nil
}

// play runs a server's script to its end. Called within a bubble of synctest, where waiting takes no time and clocks are exact.
func play(t *testing.T, e engine, version string, speed float64, args ...string) (*server, recipe.Result) {
	t.Helper()
	given, err := e.parser(e.name, version).parse(args)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	s := newServer(e, given, version, start, make(chan struct{}))
	r := recipe.ByName(e.name)
	l := &listener{reader: r.NewReader(recipe.Options{Start: start})}
	s.player.speed = speed
	s.player.out = &listenerStream{listener: l}
	s.player.err = &listenerStream{listener: l}
	steps, err := readScript(e.script(version))
	if err != nil {
		t.Fatal(err)
	}
	s.player.warming = func() error { return nil }
	if err := s.player.play(steps); err != nil {
		t.Fatal(err)
	}
	return s, l.reader.Result(nil, time.Now())
}

var versions = []string{
	"0.4.1", "0.5.0", "0.5.4", "0.6.2", "0.6.4", "0.6.6", "0.7.0", "0.7.3", "0.8.2", "0.8.5.post1", "0.9.0", "0.9.2", "0.10.0",
	"0.10.1.1", "0.10.2", "0.11.0", "0.12.0", "0.13.0", "0.14.1", "0.15.1", "0.16.0", "0.17.1", "0.18.0", "0.19.0", "0.20.2",
	"0.21.0", "0.23.0", "0.25.1", "0.26.0", "0.27.1", "0.28.0",
}

func TestReaderFindsThePhasesOfEveryVersionWithin100ms(t *testing.T) {
	shapes := [][]string{
		{"--model", "/"}, {"--model", "/", "--tensor-parallel-size", "4"}, {"--model", "/", "--enforce-eager"}, {"--model", "org/model"},
	}
	for _, version := range versions {
		for _, args := range shapes {
			t.Run(version+" "+args[len(args)-1], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					for _, speed := range []float64{1, 7, 40} {
						s, got := play(t, vllm, version, speed, args...)
						if got.Outcome != recipe.OutcomeReady || got.Version != version {
							t.Errorf("%s %s (%s)", got.Version, got.Outcome, got.Reason)
						}
						compare(t, s, got)
					}
				})
			})
		}
	}
}

func TestReaderFindsThePhasesOfOtherEngines(t *testing.T) {
	for name, e := range map[string]engine{"sglang": sglang, "tgi": tgi, "lightllm": lightllm, "triton": triton} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, got := play(t, e, "1.0", 1)
				if got.Outcome != recipe.OutcomeReady {
					t.Errorf("outcome %s (%s)", got.Outcome, got.Reason)
				}
				compare(t, s, got)
			})
		})
	}
}

// between are phases that scripts don't simulate, since no line tells of their edges but those of their neighbours.
var between = []string{
	startup.SpanEngineConfig, startup.SpanWorkerLaunch, startup.SpanDistributedInit, startup.SpanDynamo, startup.SpanMemoryProfiling,
	startup.SpanKVCacheInit, startup.SpanKernelWarmup, startup.SpanAPIServerInit, startup.SpanServerWarmup,
}

// compare holds what the reader found against what was simulated. Phases that a version does not tell are not asked for.
func compare(t *testing.T, s *server, got recipe.Result) {
	t.Helper()
	found := map[string]startup.Span{}
	for _, p := range got.Phases {
		if _, twice := found[p.Name]; twice && !slices.Contains(between, p.Name) {
			t.Errorf("%s twice", p.Name)
		}
		if _, known := s.truth.record.Phases[p.Name]; known && found[p.Name].End.Sub(found[p.Name].Start) > p.End.Sub(p.Start) {
			continue // a short stretch of the same stage
		}
		found[p.Name] = p
	}
	for name, want := range s.truth.record.Phases {
		if untold := name == "hf_download" && older(s.player.version, "0.7.3") && s.engine.name == "vllm"; untold {
			continue
		}
		p, ok := found[name]
		if !ok {
			t.Errorf("%s not found", name)
			continue
		}
		for edge, d := range map[string]time.Duration{
			"start": p.Start.Sub(time.Unix(0, want.Start)), "end": p.End.Sub(time.Unix(0, want.End)),
		} {
			if late := name == startup.SpanPythonImport && edge == "end" && d > 0; !late && d.Abs() > 100*time.Millisecond {
				t.Errorf("%s: %s is off by %s", name, edge, d)
			}
		}
		delete(found, name)
	}
	for name, p := range found {
		if !slices.Contains(between, name) {
			t.Errorf("%s was not simulated: %v", name, p)
		}
	}
}
