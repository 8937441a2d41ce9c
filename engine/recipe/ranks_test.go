// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

const (
	banner = "(APIServer pid=1) INFO 03-01 12:00:01 [utils.py:1] vLLM server version 0.31.0, serving model m\n"
	dp0    = "(EngineCore_DP0 pid=20) "
	dp1    = "(EngineCore_DP1 pid=21) "
	engine = "INFO 03-01 12:00:02 [core.py:1] Initializing a V1 LLM engine (v0.31.0) with config: model='m'\n"
	loads  = "INFO 03-01 12:00:03 [gpu_model_runner.py:1] Starting to load model m...\n"
	took   = "INFO 03-01 12:00:08 [gpu_model_runner.py:1] Model loading took 1.5 GiB memory and 4.000000 seconds\n"
	inited = "INFO 03-01 12:00:09 [core.py:1] init engine (profile, create kv cache, warmup model) took 1.00 s\n"
	wrong  = "Traceback (most recent call last):\n  File \"x.py\", line 1, in f\nAssertionError: x\n"
)

func prefixed(rank, text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(rank + line)
	}
	return b.String()
}

func TestARankThatFailsOrIntroducesItselfLateResetsNothing(t *testing.T) {
	gaveUp := "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}\n"
	died := prefixed("(APIServer pid=1) ", "Traceback (most recent call last):\n  x\n"+gaveUp)
	for name, c := range map[string]struct {
		log     string
		outcome Outcome
		reason  startup.Reason
		imports time.Duration // from 3 s before noon
	}{
		"one engine fails before another introduces itself": {
			banner + dp1 + engine + prefixed(dp1, wrong) + dp0 + engine + died, OutcomeFailed, "python_exception:AssertionError", 3 * time.Second,
		},
		"one engine says that it failed before another introduces itself": {
			banner + dp1 + engine + prefixed(dp1, wrong) + dp1 + "ERROR 03-01 12:00:04 [core.py:1] EngineCore failed to start.\n" +
				"INFO 03-01 12:00:04 [__init__.py:1] Automatically detected platform cuda.\n" + dp0 + engine + died,
			OutcomeFailed, "python_exception:AssertionError", 3 * time.Second,
		},
		"one engine fails before it introduces itself": {
			banner + prefixed(dp1, wrong) + dp0 + engine + died, OutcomeFailed, "python_exception:AssertionError", 3 * time.Second,
		},
		"one engine fails and another goes on": {
			banner + dp0 + engine + dp1 + engine + prefixed(dp1, wrong) + dp0 + loads + dp0 + took + dp0 + inited + died,
			OutcomeFailed, "python_exception:AssertionError", 3 * time.Second,
		},
		"what one rank survived": {
			banner + dp0 + engine + dp1 + engine + prefixed(dp1, wrong) + dp1 + loads + dp1 + took + dp0 + inited + dp1 + inited,
			OutcomeEngineReady, "", 3 * time.Second,
		},
		"another of several API servers introduces itself": {
			prefixed("(APIServer_DP0 pid=5) ", banner[len("(APIServer pid=1) "):]) + dp0 + engine + prefixed("(APIServer_DP1 pid=6) ", banner[len("(APIServer pid=1) "):]) + dp0 + inited,
			OutcomeEngineReady, "", 3 * time.Second,
		},
		"the same engine again is another launch": {
			banner + dp0 + engine + prefixed(dp0, wrong) + "(EngineCore_DP0 pid=33) " + engine + "(EngineCore_DP0 pid=33) " + inited, OutcomeEngineReady, "", time.Second, // since the one before ended
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, end := live(t, "vllm", c.log)
			got := r.Result(nil, end)
			if got.Outcome != c.outcome || got.Reason != c.reason {
				t.Errorf("%s %q", got.Outcome, got.Reason)
			}
			for _, p := range got.Phases {
				if p.Name == startup.SpanServerReady || p.Name == startup.SpanVLLMInit && (p.Failure != "") != (c.outcome == OutcomeFailed) {
					t.Errorf("%+v", p)
				}
				if p.Name == startup.SpanPythonImport && p.End.Sub(p.Start) != c.imports {
					t.Errorf("imported for %v, want %v", p.End.Sub(p.Start), c.imports)
				}
			}
		})
	}
}

func TestABannerOfAProcessThatRunsIsNoNewLaunch(t *testing.T) {
	for _, one := range []bool{true, false} {
		r := ByName("vllm").NewReader(Options{Start: noon, Location: time.UTC, One: one})
		at := noon
		for line := range strings.Lines(banner + dp0 + engine + dp0 + loads + dp0 + took + strings.Replace(banner, "pid=1", "pid=2", 1)) {
			at = at.Add(time.Second)
			r.Line(at, []byte(strings.TrimRight(line, "\n")))
		}
		if kept := len(r.Result(nil, at).Figures) > 0; kept != one {
			t.Errorf("one process: %v, figures kept: %v", one, kept)
		}
	}
}

func TestAStartIsReadyWithTheLastOfItsServers(t *testing.T) {
	const up = "INFO:     Application startup complete.\n"
	first := banner + dp0 + engine + dp0 + inited
	word := func(server string) string {
		return server + "INFO 03-01 12:00:11 [api_server.py:1] Starting vLLM server on http://0.0.0.0:8000\n"
	}
	for name, c := range map[string]struct {
		log  string
		want int // the line that makes it ready, from 0; -1: none
		may  bool
	}{
		"one":                        {first + word("(APIServer pid=1) ") + "(APIServer pid=1) " + up, 4, true},
		"two, with names":            {first + word("(ApiServer_0 pid=5) ") + word("(ApiServer_1 pid=6) ") + "(ApiServer_1 pid=6) " + up + "(ApiServer_0 pid=5) " + up, 6, true},
		"two, without names":         {first + word("(ApiServer_0 pid=5) ") + word("(ApiServer_1 pid=6) ") + up + up, 6, true},
		"two, of which one is up":    {first + word("(ApiServer_0 pid=5) ") + word("(ApiServer_1 pid=6) ") + up, -1, false},
		"two by the arguments":       {"(APIServer pid=1) INFO 03-01 12:00:00 [utils.py:1] non-default args: {'api_server_count': 2}\n" + first + up, -1, false},
		"two whose uvicorn is quiet": {first + word("(ApiServer_0 pid=5) ") + word("(ApiServer_1 pid=6) "), -1, true},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := live(t, "vllm", c.log)
			at, ready := r.Ready()
			if ready != (c.want >= 0) || ready && at.Sub(noon) != time.Duration(c.want)*time.Second {
				t.Errorf("ready %v after %v", ready, at.Sub(noon))
			}
			if r.MayServe() != c.may {
				t.Errorf("a healthy answer counts: %v", r.MayServe())
			}
		})
	}
}

func TestAPartOfAnEngineThatServesNothingIsReadyWhenItIsInitialised(t *testing.T) {
	const (
		engines  = "INFO 03-01 12:00:00 [serve.py:1] Launching %d data parallel engine(s) in headless mode, with head node address tcp://10.0.0.4:13345.\n"
		executor = "INFO 03-01 12:00:00 [serve.py:1] Launching vLLM (v0.31.0) headless multiproc executor, with head node address 10.0.0.4:29501 for torch.distributed process group.\n"
		captured = "INFO 03-01 12:00:09 [gpu_model_runner.py:1] Graph capturing finished in 5 secs, took 0.60 GiB\n"
		memory   = "INFO 03-01 12:00:09 [gpu_worker.py:1] Available KV cache memory: 20.1 GiB\n"
		eager    = "INFO 03-01 12:00:00 [vllm.py:1] Cudagraph is disabled under eager mode\n"
	)
	tp8, tp9 := "(Worker_TP8 pid=20) ", "(Worker_TP9 pid=21) "
	for name, c := range map[string]struct {
		engine, log string
		want        int           // the line that told, from 0; -1: none
		after       time.Duration // that much later it is sure
	}{
		"a data-parallel engine":  {"vllm", strings.Replace(engines, "%d", "1", 1) + dp1 + engine + dp1 + loads + dp1 + took + dp1 + inited, 4, 0},
		"one of two engines":      {"vllm", strings.Replace(engines, "%d", "2", 1) + dp1 + engine + dp1 + inited, -1, time.Hour},
		"two engines":             {"vllm", strings.Replace(engines, "%d", "2", 1) + dp1 + engine + dp1 + inited + "(EngineCore_DP2 pid=22) " + inited, 3, 0},
		"workers of an engine":    {"vllm", executor + tp8 + loads + tp9 + loads + tp8 + took + tp9 + took + tp8 + captured + tp9 + captured, 6, settled},
		"workers without graphs":  {"vllm", eager + executor + tp8 + loads + tp8 + took + tp8 + memory, 4, settled},
		"workers that load":       {"vllm", executor + tp8 + loads + tp8 + took, -1, time.Hour},
		"workers before graphs":   {"vllm", executor + tp8 + loads + tp8 + took + tp8 + memory, -1, time.Hour},
		"a node of SGLang":        {"sglang", "[2026-03-01 12:00:00] server_args=ServerArgs(model_path='m', node_rank=1)\n[2026-03-01 12:00:09 TP8] max_total_num_tokens=7, x\n", 1, 0},
		"a node of SGLang, later": {"sglang", "[2026-03-01 12:00:00] server_args=ServerArgs(model_path='m', node_rank=1)\n[2026-03-01 12:00:09] Dummy health check server started in background thread at 0.0.0.0:30000\n", 1, 0},
		"SGLang's first node":     {"sglang", "[2026-03-01 12:00:00] server_args=ServerArgs(model_path='m', node_rank=0)\n", -1, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			r, end := live(t, c.engine, c.log)
			last := end.Add(-time.Second)
			if c.after > 0 {
				if _, sure := r.Initialised(last.Add(c.after - time.Second)); sure {
					t.Error("another rank may still be busy")
				}
			}
			at, sure := r.Initialised(last.Add(c.after))
			if sure != (c.want >= 0) || sure && at.Sub(noon) != time.Duration(c.want)*time.Second {
				t.Errorf("%v, after %v", sure, at.Sub(noon))
			}
			if headless := !strings.Contains(c.log, "node_rank=0"); r.Headless() != headless {
				t.Errorf("headless: %v", r.Headless())
			}
			if got := r.Result(nil, end).Outcome; c.want >= 0 && got != OutcomeEngineReady && got != OutcomeReady {
				t.Errorf("%s", got)
			}
		})
	}
}

func TestServersWithoutHTTPSayThatTheyAreReady(t *testing.T) {
	for name, c := range map[string]struct{ engine, log string }{
		"vLLM": {"vllm_grpc", banner + "(APIServer pid=1) INFO 03-01 12:00:01 [grpc_server.py:1] vLLM gRPC server args: Namespace(model='m')\n" +
			"(EngineCore pid=20) " + engine + "(EngineCore pid=20) " + inited + "(APIServer pid=1) INFO 03-01 12:00:11 [grpc_server.py:1] vLLM gRPC server started on 0.0.0.0:50051\n"},
		"SGLang": {"sglang_grpc", "[2026-03-01 12:00:00] server_args=ServerArgs(model_path='m', grpc_mode=True)\n[2026-03-01 12:00:09 TP0] max_total_num_tokens=7, x\n" +
			"[2026-03-01 12:00:10] gRPC server listening on 0.0.0.0:30000\n[2026-03-01 12:00:12] The server is fired up and ready to roll!\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r, end := live(t, c.engine, c.log)
			if at, ok := r.Ready(); !ok || !at.Equal(end.Add(-time.Second)) || !ByName(c.engine).ReadyByLog() {
				t.Errorf("ready %v at %v", ok, at)
			}
		})
	}
}

func TestRanksOfALogInJSONAreToldApart(t *testing.T) {
	shard := func(at, text, rank string) string {
		return `{"timestamp":"2026-03-01T12:00:` + at + `Z","level":"INFO","fields":{"message":"` + text + `"},"target":"text_generation_launcher","span":{"rank":` + rank + `,"name":"shard-manager"}}` + "\n"
	}
	got, err := ReadLog(strings.NewReader(shard("10.1", "Starting shard", "0")+shard("10.2", "Starting shard", "1")+
		shard("31.0", "Shard ready in 20.9s", "0")+shard("33.2", "Shard ready in 23.0s", "1")), LogOptions{Now: noon.Add(time.Hour), Location: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	var found []startup.Span
	for _, p := range got.Phases {
		if p.Name == startup.SpanModelLoad {
			found = append(found, p)
		}
	}
	if len(found) != 1 || found[0].End.Sub(found[0].Start) != 23*time.Second || !reflect.DeepEqual(got.Figures["model_load_seconds"], 23.0) {
		t.Errorf("%+v %v", found, got.Figures)
	}
}

// A cold compilation of many ranks: the first to close it is not the one that took longest, of which the phase is told.
func TestWhatOneRankSaysOfTheCompilationsCacheHoldsForThePhase(t *testing.T) {
	const worker = "(VllmWorker rank=%d pid=9) INFO 03-01 12:00:"
	for name, c := range map[string]struct{ says, want string }{
		"missed": {"[backends.py:1] Compiling a graph for dynamic shape takes 18.00 s", compileMiss},
		"hit":    {"[backends.py:1] Directly load the compiled graph(s) for dynamic shape from the cache, took 2.1 s", "hit"},
	} {
		var log strings.Builder
		log.WriteString(banner + dp0 + engine + dp0 + loads + dp0 + took)
		for i, dynamo := range []string{"4.00", "7.00", "5.00"} {
			fmt.Fprintf(&log, worker+"15 [backends.py:1] Dynamo bytecode transform time: %s s\n", i, dynamo)
		}
		for i := range 3 {
			fmt.Fprintf(&log, worker+"33 %s\n", i, c.says)
		}
		for i, total := range []string{"22.00", "25.00", "23.00"} {
			fmt.Fprintf(&log, worker+"34 [monitor.py:1] torch.compile takes %s s in total\n", i, total)
		}
		result, err := ReadLog(strings.NewReader(log.String()), LogOptions{})
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(result.Phases, func(p startup.Span) bool { return p.Name == startup.SpanTorchCompile })
		if i < 0 || startup.Figures(result.Phases[i].Attributes)[attrStated] != 25.0 || startup.Figures(result.Phases[i].Attributes)[attrCompileCache] != c.want {
			t.Errorf("%s: %+v", name, result.Phases)
		}
	}
}
