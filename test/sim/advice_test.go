// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/advice"
)

// told is the trace of what a log told of an engine.
func told(r recipe.Result) *trace.Trace {
	spans := []*trace.Span{{Name: startup.SpanStartup, Start: r.Phases[0].Start}}
	for _, p := range r.Phases {
		s := &trace.Span{Name: p.Name, Start: p.Start, End: p.End, Attributes: []trace.Attribute{
			{Key: startup.AttrEngine, Value: r.Engine}, {Key: startup.AttrEngineVersion, Value: r.Version},
		}}
		for key, value := range startup.Figures(p.Attributes) {
			s.Attributes = append(s.Attributes, trace.Attribute{Key: key, Value: value})
		}
		s.ParentID = id(0)
		for i, q := range r.Phases {
			if q.Name == p.ParentKey && !q.Start.After(p.Start) {
				s.ParentID = id(i + 1)
			}
		}
		spans = append(spans, s)
		if p.End.After(spans[0].End) {
			spans[0].End = p.End
		}
	}
	for i, s := range spans {
		s.TraceID, s.ID = startup.MD5.TraceID("u").String(), id(i)
	}
	return trace.Build(spans)[0]
}

func id(i int) string { return fmt.Sprintf("%016x", i+1) }

// A cold start says what a warm cache would save, at most; the warm start saves that but for what it takes to load the cache.
func TestAWarmCompileCacheSavesWhatAColdStartsAdviceSays(t *testing.T) {
	const rule = "compile-cache"
	for _, version := range []string{"0.9.2", "0.10.2", "0.13.0", "0.18.0", "0.28.0"} {
		for _, ranks := range []string{"1", "4"} {
			t.Run(version+" on "+ranks, func(t *testing.T) {
				starts := map[string]*trace.Trace{}
				for _, cache := range []string{"cold", "warm"} {
					t.Setenv("SIM_COMPILE_CACHE", cache)
					synctest.Test(t, func(t *testing.T) {
						_, result := play(t, vllm, version, 1, "--model", "/", "--tensor-parallel-size", ranks)
						starts[cache] = told(result)
					})
				}
				saved := starts["cold"].Total() - starts["warm"].Total()
				predicted := saves(starts["cold"], rule)
				loading := phase(starts["warm"], startup.SpanTorchCompile) - phase(starts["warm"], startup.SpanDynamo)
				t.Logf("%v cold, %v warm: up to %v predicted, %v measured, %v to load the cache", starts["cold"].Total(), starts["warm"].Total(), predicted, saved, loading)
				if off := predicted - loading - saved; predicted < saved || off.Abs() > 100*time.Millisecond {
					t.Errorf("saved %v, want the %v that were predicted but for the %v of loading", saved, predicted, loading)
				}
				if again := saves(starts["warm"], rule); again != 0 {
					t.Errorf("the cache was hit, and that would save %v", again)
				}
			})
		}
	}
}

// saves is what a rule says of a start; 0: nothing.
func saves(t *trace.Trace, rule string) time.Duration {
	for _, a := range advice.For(t, nil) {
		if a.Rule == rule {
			return a.Saves
		}
	}
	return 0
}

// phase is how long the phases of a name took.
func phase(t *trace.Trace, name string) (took time.Duration) {
	t.Walk(func(n *trace.Node) {
		if n.Name == name {
			took += n.Duration()
		}
	})
	return took
}
