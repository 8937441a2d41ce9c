// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/startup"
)

var dawn = time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)

// begun is a story in which a command line has been seen for a second and has said some lines since, one a second.
func begun(role startup.Role, argv, log string) (s *told, p *Process, now time.Time) {
	s = newTold(dawn)
	s.begin.Role = role
	p = &Process{PID: 7, Argv: strings.Fields(argv), Start: dawn}
	s.Became(p)
	now = dawn
	for line := range strings.Lines(log) {
		now = now.Add(time.Second)
		s.Line(now, []byte(strings.TrimSuffix(line, "\n")))
	}
	return s, p, now
}

func lastOf(s *told, key string) (startup.Span, bool) {
	spans := s.spans[key]
	if len(spans) == 0 {
		return startup.Span{}, false
	}
	return spans[len(spans)-1], true
}

func valueOf(sp startup.Span, name string) any {
	for _, a := range sp.Attributes {
		if string(a.Key) == name {
			return a.Value.AsInterface()
		}
	}
	return nil
}

const (
	vllmServe   = "vllm serve m --port 8000"
	speaks      = "(APIServer pid=1) INFO 03-01 06:00:01 [utils.py:1] vLLM server version 0.31.0, serving model m\n" + introduced
	introduced  = "(EngineCore pid=9) INFO 03-01 06:00:02 [core.py:1] Initializing a V1 LLM engine (v0.31.0) with config: model='m'\n"
	initialised = "(EngineCore pid=9) INFO 03-01 06:00:03 [core.py:1] init engine (profile, create kv cache, warmup model) took 1.00 s\n"
)

func TestASilentStartIsReadyWhenItAnswersAndInventsNoPhase(t *testing.T) {
	for name, c := range map[string]struct{ argv, log string }{
		"vLLM":          {vllmServe, "Loading safetensors checkpoint shards:   0% Completed | 0/2 [00:00<?, ?it/s]\n"},
		"vLLM's module": {"python -m vllm.entrypoints.openai.api_server", "WARNING 03-01 06:00:05 [x.py:1] x\n"},
		"SGLang":        {"python -m sglang.launch_server --model-path m", "Loading safetensors checkpoint shards:   0% Completed | 0/2 [00:00<?, ?it/s]\n"},
		"TGI":           {"text-generation-launcher --model-id m", ""},
		"LightLLM":      {"python -m lightllm.server.api_server --model_dir m", ""},
		"LMDeploy":      {"lmdeploy serve api_server m", "Loading weights from safetensors:  20%|██        | 1/5\n"},
		"TensorRT-LLM":  {"trtllm-serve m", "Loading weights:  20%|██        | 1/5\n"},
		"Triton":        {"tritonserver --model-repository m --log-info=false", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, now := begun(startup.RoleServer, c.argv, c.log)
			now = now.Add(time.Minute)
			s.Answered(now, "")
			if s.state != "ready" || !s.spans[startup.KeyInContainer][0].End.Equal(now) {
				t.Fatalf("%s %s", s.state, s.reason)
			}
			for key, spans := range s.spans {
				if key != startup.KeyInContainer && !strings.HasSuffix(key, "_init") && key != startup.SpanServerReady || spans[0].Failure != "" {
					t.Errorf("%+v", spans[0])
				}
			}
		})
	}
}

func TestAnEngineThatSpeaksHoldsHealthBackUntilItIsUp(t *testing.T) {
	s, _, now := begun(startup.RoleServer, vllmServe, speaks)
	if s.Answered(now, ""); s.done {
		t.Fatal("its own log says that it is not up yet")
	}
	now = now.Add(time.Second)
	s.Line(now, []byte(strings.TrimSuffix(initialised, "\n")))
	if s.Answered(now, ""); s.state != "ready" {
		t.Error(s.state)
	}
}

func TestWhoServesNothingIsReadyWithItsEngine(t *testing.T) {
	executor := "INFO 03-01 06:00:00 [serve.py:1] Launching vLLM (v0.31.0) headless multiproc executor, with head node address 10.0.0.4:1 for x.\n" +
		"(Worker_TP8 pid=9) INFO 03-01 06:00:09 [gpu_model_runner.py:1] Graph capturing finished in 5 secs, took 0.60 GiB\n"
	for name, c := range map[string]struct {
		role      startup.Role
		argv, log string
		want      time.Duration // after dawn
		settles   bool          // it takes a while to be sure
	}{
		"a worker, by the webhook's word": {startup.RoleWorker, vllmServe + " --headless", speaks + initialised, 3 * time.Second, false},
		"a headless engine, by its own":   {startup.RoleServer, vllmServe + " --headless", "INFO 03-01 06:00:00 [serve.py:1] Launching 1 data parallel engine(s) in headless mode, with x.\n" + introduced + initialised, 3 * time.Second, false},
		"workers of an engine elsewhere":  {startup.RoleServer, vllmServe + " --headless", executor, 2 * time.Second, true},
		"the same, by the webhook's word": {startup.RoleWorker, vllmServe + " --headless", executor, 2 * time.Second, true},
		"a node of SGLang":                {startup.RoleServer, "python -m sglang.launch_server --node-rank 1", "[2026-03-01 06:00:00] server_args=ServerArgs(model_path='m', node_rank=1)\n[2026-03-01 06:00:09 TP8] max_total_num_tokens=7, x\n", 2 * time.Second, false},
		"a worker of SGLang":              {startup.RoleWorker, "python -m sglang.launch_server --node-rank 1", "[2026-03-01 06:00:00] server_args=ServerArgs(model_path='m', node_rank=1)\n[2026-03-01 06:00:09] Dummy health check server started in background thread at 0.0.0.0:30000\n", 2 * time.Second, false},
		"a batch":                         {startup.RoleBatch, "python vllm_batch.py", speaks + initialised, 3 * time.Second, false},
	} {
		for _, timeout := range []bool{false, true} {
			s, _, now := begun(c.role, c.argv, c.log)
			if s.done == c.settles {
				t.Errorf("%s: done %v", name, s.done)
			}
			if timeout {
				s.End(now.Add(time.Second), nil, startup.ReasonTimedOut)
			} else {
				s.Settle(now.Add(settlePhase))
			}
			if s.state != "ready" {
				t.Errorf("%s: %s %s", name, s.state, s.reason)
				continue
			}
			if sp := s.spans[startup.KeyInContainer][0]; sp.End.Sub(dawn) != c.want {
				t.Errorf("%s: ready after %v", name, sp.End.Sub(dawn))
			}
			if len(s.spans[startup.SpanServerReady]) > 0 {
				t.Errorf("%s: no server was to be ready", name)
			}
		}
	}
}

func TestAServerWithoutHTTPIsReadyByItsOwnWord(t *testing.T) {
	for name, c := range map[string]struct{ argv, log string }{
		"vLLM":          {vllmServe + " --grpc", speaks + initialised + "(APIServer pid=1) INFO 03-01 06:00:04 [grpc_server.py:1] vLLM gRPC server started on 0.0.0.0:8000\n"},
		"vLLM's module": {"python -m vllm.entrypoints.grpc_server --model m", speaks + initialised + "(APIServer pid=1) INFO 03-01 06:00:04 [grpc_server.py:1] vLLM gRPC server started on 0.0.0.0:50051\n"},
		"SGLang":        {"python -m sglang.launch_server --grpc-mode", "[2026-03-01 06:00:00] server_args=ServerArgs(model_path='m')\n[2026-03-01 06:00:09 TP0] max_total_num_tokens=7, x\n[2026-03-01 06:00:10] gRPC server listening on 0.0.0.0:30000\n[2026-03-01 06:00:12] The server is fired up and ready to roll!\n"},
	} {
		s, _, now := begun(startup.RoleServer, c.argv, c.log)
		if s.state != "ready" || !s.spans[startup.KeyInContainer][0].End.Equal(now) || len(s.spans[startup.SpanServerReady]) != 1 {
			t.Errorf("%s: %s %v", name, s.state, s.spans)
		}
	}
}

func TestWhatFailsWithTheCommandSaysHowItEnded(t *testing.T) {
	for name, c := range map[string]struct {
		told         int // a signal that asks for an end
		exit         *recipe.Exit
		reason       startup.Reason
		code, signal any
	}{
		"a status":                       {0, &recipe.Exit{Code: 3}, "", int64(3), nil},
		"killed":                         {0, &recipe.Exit{Signal: 9}, "", int64(137), int64(9)},
		"killed, in a shell":             {0, &recipe.Exit{Code: 137}, "", int64(137), nil},
		"told to end":                    {15, &recipe.Exit{Signal: 15}, "", int64(143), int64(15)},
		"told to end, which it notices":  {2, &recipe.Exit{Code: 130}, "", int64(130), nil},
		"told to end, and well":          {15, &recipe.Exit{}, "", int64(0), nil},
		"told to end, and not ended yet": {15, nil, "", nil, nil},
		"nobody waited":                  {0, nil, startup.ReasonTimedOut, nil, nil},
		"gone without a word":            {0, nil, "killed", nil, nil},
	} {
		s, _, now := begun(startup.RoleServer, vllmServe, speaks+"(EngineCore pid=9) INFO 03-01 06:00:03 [x.py:1] Starting to load model m...\n")
		if c.told != 0 {
			s.Interrupted(now, c.told)
		}
		s.End(now, c.exit, c.reason)
		for _, key := range []string{startup.KeyInContainer, startup.SpanVLLMInit, startup.SpanModelLoad} {
			sp, ok := lastOf(s, key)
			if !ok || sp.Failure == "" || valueOf(sp, startup.AttrExitCode) != c.code || valueOf(sp, startup.AttrSignal) != c.signal {
				t.Errorf("%s: %s: %+v", name, key, sp)
			}
		}
		if sp, ok := lastOf(s, startup.SpanPythonImport); !ok || valueOf(sp, startup.AttrExitCode) != nil {
			t.Errorf("%s: what was done before has no part in it: %+v", name, sp)
		}
	}
}

// vLLM prints which of its processes died, or that none did: {}.
func TestAnEngineProcessThatWasKilledIsTheCause(t *testing.T) {
	gaveUp := "Traceback (most recent call last):\n  File \"x.py\", line 1, in f\nRuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
	own := "(EngineCore pid=9) ERROR 03-01 06:00:04 [core.py:1] Traceback (most recent call last):\n(EngineCore pid=9) ERROR 03-01 06:00:04 [core.py:1]   x\n(EngineCore pid=9) ERROR 03-01 06:00:04 [core.py:1] KeyError: 'x'"
	for name, c := range map[string]struct {
		before string // it dies
		signal int
		after  string
		reason startup.Reason
	}{
		"killed":                         {"", 9, gaveUp, "killed"},
		"a segmentation fault":           {"", 11, gaveUp, "segmentation_fault"},
		"ended by itself":                {own, 0, gaveUp, "python_exception:KeyError"},
		"killed by the others":           {own, 9, gaveUp, "python_exception:KeyError"},
		"nobody can see how":             {"", 0, gaveUp, "engine_failed"},
		"a process that was not missed":  {"", 9, "(EngineCore pid=9) INFO 03-01 06:00:05 [x.py:1] Model loading took 1.5 GiB memory and 2.000000 seconds", "exit_code=1"},
		"killed, and the cause is named": {"", 9, "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "killed"},
	} {
		s, p, now := begun(startup.RoleServer, vllmServe, speaks)
		core := &Process{PID: 8, Parent: p.PID, Argv: []string{"VLLM::EngineCore"}, Start: now}
		s.Became(core)
		say := func(text string) {
			for line := range bytes.SplitSeq([]byte(text), []byte("\n")) {
				now = now.Add(time.Millisecond)
				s.Line(now, line)
			}
		}
		say(c.before)
		core.End, core.Signal = now, c.signal
		s.Exited(core)
		say(c.after)
		if s.End(now, &recipe.Exit{Code: 1}, ""); s.reason != c.reason {
			t.Errorf("%s: %s", name, s.reason)
		}
	}
}

func TestAnotherServersBannerInTheSameCommandIsNoNewStart(t *testing.T) {
	s, p, now := begun(startup.RoleServer, vllmServe+" --data-parallel-size 2", speaks+"(EngineCore pid=9) INFO 03-01 06:00:05 [x.py:1] Model loading took 1.5 GiB memory and 2.000000 seconds\n")
	s.Became(&Process{PID: 8, Parent: p.PID, Argv: strings.Fields(vllmServe), Start: now})
	s.Line(now.Add(time.Second), []byte("(APIServer pid=8) INFO 03-01 06:00:06 [utils.py:1] vLLM server version 0.31.0, serving model m"))
	s.Ready(now.Add(time.Minute))
	if len(s.spans[startup.SpanModelLoad]) != 1 || s.spans[startup.SpanPythonImport][0].End.Sub(dawn) != time.Second {
		t.Errorf("%+v", s.spans)
	}
}

// What is told may not depend on the order of a map: the same input, the same spans.
func TestTheSameStartIsToldTheSameWay(t *testing.T) {
	log, err := os.ReadFile("../../engine/recipe/testdata/vllm-0.23.0-tp2.log")
	if err != nil {
		t.Fatal(err)
	}
	tell := func() (out []startup.Span) {
		s, _, now := begun(startup.RoleServer, vllmServe, string(log))
		s.Ready(now)
		return s.phases
	}
	first := tell()
	for range 20 {
		again := tell()
		for i := range first {
			if len(again) != len(first) || again[i].Key != first[i].Key || !again[i].Start.Equal(first[i].Start) || !again[i].End.Equal(first[i].End) {
				t.Fatalf("%+v\n%+v", again[i], first[i])
			}
		}
	}
}

// The end of a process is seen at once, its output is read every few milliseconds.
func TestADownloadsLastWordsAreItsOwn(t *testing.T) {
	file := []byte("cp s3://b/k f")
	at := func(ms int) time.Time { return dawn.Add(time.Duration(ms) * time.Millisecond) }
	begin := func(s *told, pid, ms int) *Process {
		p := &Process{PID: pid, Argv: strings.Fields("s5cmd cp s3://b/k f"), Start: at(ms)}
		s.Became(p)
		return p
	}
	end := func(s *told, p *Process, ms int) {
		p.End = at(ms)
		s.Exited(p)
	}
	for name, c := range map[string]struct {
		play func(*told)
		want []any // files, of each
	}{
		"its engine is seen first": {func(s *told) {
			end(s, begin(s, 7, 0), 400)
			s.Became(&Process{PID: 7, Argv: strings.Fields(vllmServe), Start: at(0)})
			s.Line(at(410), file)
		}, []any{int64(1)}},
		"another follows": {func(s *told) {
			end(s, begin(s, 7, 0), 400)
			other := begin(s, 8, 400)
			s.Line(at(410), file)
			s.Line(at(600), file)
			end(s, other, 700)
			s.Line(at(705), file)
		}, []any{int64(1), int64(2)}},
		"another of other words follows": {func(s *told) {
			end(s, begin(s, 7, 0), 400)
			p := &Process{PID: 8, Argv: strings.Fields("aws s3 cp s3://b/k f"), Start: at(400)}
			s.Became(p)
			s.Line(at(500), []byte("download: s3://b/k to f"))
			s.Line(at(500), file)
			end(s, p, 600)
		}, []any{int64(1), int64(1)}},
		"two at a time": {func(s *told) {
			first, second := begin(s, 7, 0), begin(s, 8, 0)
			s.Line(at(100), file)
			end(s, first, 400)
			end(s, second, 500)
		}, []any{nil, nil}},
	} {
		s := newTold(dawn)
		c.play(s)
		s.Ready(at(60_000))
		var got []any
		for _, sp := range s.phases {
			if strings.HasSuffix(sp.Name, "_download") {
				got = append(got, valueOf(sp, startup.AttrFiles))
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v files, want %v", name, got, c.want)
		}
	}
}
