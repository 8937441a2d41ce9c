// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// start is a log of which each line arrives a second after the one before.
const start = `
INFO 03-01 12:00:00 [__init__.py:1] Automatically detected platform cuda.
(APIServer pid=1) INFO 03-01 12:00:01 [api_server.py:1] vLLM API server version 0.13.0
(EngineCore_DP0 pid=2) INFO 03-01 12:00:02 [core.py:1] Initializing a V1 LLM engine (v0.13.0) with config: model='m'
(EngineCore_DP0 pid=2) INFO 03-01 12:00:03 [gpu_model_runner.py:1] Starting to load model m...
(EngineCore_DP0 pid=2) INFO 03-01 12:00:04 [default_loader.py:1] Loading weights took 0.50 seconds
(EngineCore_DP0 pid=2) INFO 03-01 12:00:05 [gpu_model_runner.py:1] Model loading took 1.5 GiB memory and 2.000000 seconds
`

const finish = `
(EngineCore_DP0 pid=2) INFO 03-01 12:00:06 [core.py:1] init engine (profile, create kv cache, warmup model) took 1.00 seconds
(APIServer pid=1) INFO 03-01 12:00:07 [api_server.py:1] Starting vLLM API server 0 on http://0.0.0.0:8000
(APIServer pid=1) INFO:     Application startup complete.
`

func before(s, sep string) string {
	head, _, _ := strings.Cut(s, sep)
	return head
}

// live feeds lines to a reader, a second apart from noon on.
func live(t *testing.T, engine, log string) (*Reader, time.Time) {
	t.Helper()
	r := ByName(engine).NewReader(Options{Start: noon.Add(-3 * time.Second), Location: time.UTC})
	at := noon
	for line := range strings.Lines(strings.TrimPrefix(log, "\n")) {
		r.Line(at, []byte(strings.TrimSuffix(line, "\n")))
		at = at.Add(time.Second)
	}
	return r, at
}

func TestOutcomeAndReasonOfAStart(t *testing.T) {
	traceback := func(prefix, exception string) string {
		return prefix + "Traceback (most recent call last):\n" + prefix + "  File \"x.py\", line 1, in <module>\n" +
			prefix + "    f()\n" + prefix + exception + "\n"
	}
	for name, c := range map[string]struct {
		log     string
		exit    *Exit
		outcome Outcome
		reason  startup.Reason
		died    string // the phase that failed, beside the engine's init
	}{
		"ready":                        {log: start + finish, outcome: OutcomeReady},
		"ready, whatever comes after":  {log: start + finish + traceback("", "ValueError: x"), exit: &Exit{Code: 1}, outcome: OutcomeReady},
		"still loading":                {log: start, outcome: OutcomeTruncated},
		"engine without a server":      {log: start + strings.SplitAfter(finish, "seconds\n")[0], outcome: OutcomeEngineReady},
		"batch done":                   {log: start + strings.SplitAfter(finish, "seconds\n")[0], exit: &Exit{}, outcome: OutcomeEngineReady},
		"killed":                       {log: start, exit: &Exit{Signal: 9}, outcome: OutcomeFailed, reason: "killed", died: "memory_profiling"},
		"killed in a shell":            {log: start, exit: &Exit{Code: 137}, outcome: OutcomeFailed, reason: "killed", died: "memory_profiling"},
		"terminated":                   {log: start, exit: &Exit{Signal: 15}, outcome: OutcomeInterrupted, reason: "terminated", died: "memory_profiling"},
		"terminated in a shell":        {log: start, exit: &Exit{Code: 143}, outcome: OutcomeInterrupted, reason: "terminated", died: "memory_profiling"},
		"another signal":               {log: start, exit: &Exit{Signal: 11}, outcome: OutcomeFailed, reason: "signal=11", died: "memory_profiling"},
		"another status":               {log: start, exit: &Exit{Code: 3}, outcome: OutcomeFailed, reason: "exit_code=3", died: "memory_profiling"},
		"gone with status 0":           {log: start, exit: &Exit{}, outcome: OutcomeFailed, reason: "exited_early", died: "memory_profiling"},
		"an exception":                 {log: start + traceback("", "KeyError: 'x'"), outcome: OutcomeFailed, reason: "python_exception:KeyError", died: "memory_profiling"},
		"an exception of a package":    {log: start + traceback("", "a.b_c.d.HarmonyError: x"), outcome: OutcomeFailed, reason: "python_exception:HarmonyError", died: "memory_profiling"},
		"an exception without a text":  {log: start + traceback("", "AssertionError"), outcome: OutcomeFailed, reason: "python_exception:AssertionError", died: "memory_profiling"},
		"an exception that Ray passes": {log: start + traceback("", "ray.exceptions.RayTaskError(ValueError): x"), outcome: OutcomeFailed, reason: "python_exception:ValueError", died: "memory_profiling"},
		"the first exception of two": {log: start + traceback("(EngineCore_DP0 pid=2) ", "TypeError: x") +
			traceback("(APIServer pid=1) ", "RuntimeError: Engine core initialization failed. See root cause above."),
			outcome: OutcomeFailed, reason: "python_exception:TypeError", died: "memory_profiling"},
		"an exception that was survived":        {log: traceback("", "ImportError: x") + start + finish, outcome: OutcomeReady},
		"an exception that was survived so far": {log: traceback("", "ImportError: x") + start, exit: &Exit{Code: 1}, outcome: OutcomeFailed, reason: "exit_code=1", died: "memory_profiling"},
		"a cause named beside an exception": {log: start + traceback("(EngineCore_DP0 pid=2) ", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"),
			outcome: OutcomeFailed, reason: "cuda_out_of_memory", died: "memory_profiling"},
		"out of memory in an older PyTorch": {log: start + traceback("", "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried"), outcome: OutcomeFailed, reason: "cuda_out_of_memory", died: "memory_profiling"},
		"HIP out of memory":                 {log: start + traceback("", "torch.OutOfMemoryError: HIP out of memory. Tried"), outcome: OutcomeFailed, reason: "hip_out_of_memory", died: "memory_profiling"},
		"one rank dies, another goes on": {log: start + traceback("(Worker_TP1 pid=4) ", "torch.OutOfMemoryError: CUDA out of memory. Tried") +
			"(Worker_TP0 pid=3) INFO 03-01 12:00:09 [default_loader.py:1] Loading weights took 9.50 seconds\n", exit: &Exit{Code: 1},
			outcome: OutcomeFailed, reason: "cuda_out_of_memory", died: "memory_profiling"},
		"only that the engine failed": {log: start + "ERROR 03-01 12:00:09 [core.py:1] EngineCore failed to start.\n", outcome: OutcomeFailed, reason: "engine_failed", died: "memory_profiling"},
		"Ctrl-C":                      {log: start + traceback("", "KeyboardInterrupt"), outcome: OutcomeInterrupted, reason: "interrupted", died: "memory_profiling"},
		"SIGTERM in vLLM's handler":   {log: start + traceback("(APIServer pid=1) ", "KeyboardInterrupt: terminated"), exit: &Exit{Code: 1}, outcome: OutcomeInterrupted, reason: "interrupted", died: "memory_profiling"},
		"what fails as it is interrupted": {log: start + traceback("", "ssl.SSLError: x") + "\nDuring handling of the above exception, another exception occurred:\n\n" +
			traceback("", "KeyboardInterrupt"), outcome: OutcomeInterrupted, reason: "interrupted", died: "memory_profiling"},
		"what fails after an interruption": {log: start + traceback("(APIServer pid=1) ", "KeyboardInterrupt") +
			traceback("(APIServer pid=1) ", "RuntimeError: Engine core initialization failed. See root cause above."),
			outcome: OutcomeInterrupted, reason: "interrupted", died: "memory_profiling"},
		"the port is taken": {log: start + before(finish, "(APIServer pid=1) INFO:") +
			"(APIServer pid=1) ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use\n",
			exit: &Exit{Code: 1}, outcome: OutcomeFailed, reason: "port_in_use"},
		"the port is taken, which uvicorn finds when all else is up": {log: start + finish +
			"(APIServer pid=1) ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use\n" +
			"(APIServer pid=1) INFO:     Waiting for application shutdown.\n",
			exit: &Exit{Code: 1}, outcome: OutcomeFailed, reason: "port_in_use"},
		"another port is taken, while it serves": {log: start + finish + "OSError: [Errno 98] Address already in use\n", exit: &Exit{Code: 1}, outcome: OutcomeReady},
		"a crash that is dumped after all":       {log: start + finish + "(EngineCore_DP0 pid=2) ERROR 03-01 12:01:00 [dump_input.py:1] Dumping input data for V1 LLM engine (v0.13.0) with config: model='m'\n" + traceback("(EngineCore_DP0 pid=2) ", "RuntimeError: x"), exit: &Exit{Code: 1}, outcome: OutcomeReady},
		"another implementation of a model":      {log: start + "WARNING 03-01 12:00:09 [utils.py:1] XForCausalLM has no vLLM implementation, falling back to Transformers implementation.\n", outcome: OutcomeTruncated},
		"no implementation of a model":           {log: start + "ValueError: XForCausalLM has no vLLM implementation and the Transformers implementation is not compatible with vLLM.\n", outcome: OutcomeFailed, reason: "model_unsupported", died: "memory_profiling"},
		"a length that is overridden": {log: start + "WARNING 03-01 12:00:09 [model.py:1] User-specified max_model_len (9000) is greater than the derived max_model_len (max_position_embeddings=4096).\n" +
			"(EngineCore_DP0 pid=2) ERROR 03-01 12:00:20 [core.py:1] ValueError: 4.7 GiB KV cache is needed, which is larger than the available KV cache memory (1.0 GiB).\n",
			outcome: OutcomeFailed, reason: "kv_cache_too_small", died: "kv_cache_init"},
		"a library that is only missed": {log: start + "WARNING 03-01 12:00:09 [interface.py:1] Failed to import from vllm._C: ImportError('libcuda.so.1: cannot open shared object file: No such file or directory')\n", outcome: OutcomeTruncated},
		"a flag it does not know": {log: "usage: vllm serve [model_tag] [options]\nvllm serve: error: unrecognized arguments: --otlp-traces-endpoint=x\n",
			exit: &Exit{Code: 2}, outcome: OutcomeFailed, reason: "bad_flag"},
		"another server's uvicorn":          {log: "INFO:     Application startup complete.\n" + start, outcome: OutcomeTruncated},
		"another server's uvicorn, at KV":   {log: start + "INFO:     Started server process [7]\nINFO:     Application startup complete.\n", outcome: OutcomeTruncated},
		"another server's uvicorn, late":    {log: start + strings.ReplaceAll(finish, "(APIServer pid=1) INFO:", "INFO:"), exit: nil, outcome: OutcomeEngineReady},
		"uvicorn silenced, requests served": {log: start + strings.ReplaceAll(finish, "INFO:     Application startup complete.", `INFO:     10.0.0.1:1 - "GET /health HTTP/1.1" 200 OK`), outcome: OutcomeReady},
		"a second launch after a failed one": {log: start + traceback("", "OSError: [Errno 98] Address already in use") + start + finish,
			outcome: OutcomeReady},
		"a second launch after a good one": {log: start + finish + start, exit: &Exit{Code: 1}, outcome: OutcomeFailed, reason: "exit_code=1", died: "memory_profiling"},
	} {
		t.Run(name, func(t *testing.T) {
			r, end := live(t, "vllm", c.log)
			got := r.Result(c.exit, end)
			if got.Outcome != c.outcome || got.Reason != c.reason {
				t.Errorf("%s %q, want %s %q", got.Outcome, got.Reason, c.outcome, c.reason)
			}
			died := ""
			for _, p := range got.Phases {
				if p.Failure != "" && p.Name != "vllm_init" {
					died = p.Name
				}
			}
			if died != c.died {
				t.Errorf("died in %q, want %q", died, c.died)
			}
			checkPhases(t, got)
		})
	}
}

func TestPhasesOfALiveStart(t *testing.T) {
	r, end := live(t, "vllm", start+finish[1:])
	got := map[string]string{}
	for _, p := range r.Result(nil, end).Phases {
		got[p.Name] = fmt.Sprintf("%s %.2f-%.2f", p.ParentKey, p.Start.Sub(noon).Seconds(), p.End.Sub(noon).Seconds())
	}
	want := map[string]string{
		startup.SpanVLLMInit:        " -3.00-6.00",
		startup.SpanPythonImport:    "vllm_init -3.00-0.00",
		startup.SpanEngineConfig:    "vllm_init 0.00-2.00",
		startup.SpanWorkerLaunch:    "vllm_init 2.00-3.00",
		startup.SpanModelLoad:       "vllm_init 3.00-5.00",
		startup.SpanWeightsLoad:     "model_load 3.50-4.00",
		startup.SpanMemoryProfiling: "vllm_init 5.00-6.00",
		startup.SpanAPIServerInit:   "server_ready 6.00-8.00",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFiguresOfManyShapesOfLog(t *testing.T) {
	weights := func(prefix, seconds string) string { return prefix + "Loading weights took " + seconds + " seconds\n" }
	for name, c := range map[string]struct {
		log  string
		want map[string]any
	}{
		"ranks: the largest":             {weights("(Worker_TP0 pid=1) ", "1.50") + weights("(Worker_TP1 pid=2) ", "2.50"), map[string]any{"weights_load_seconds": 2.5}},
		"a draft model beside a target":  {weights("(EngineCore pid=1) ", "9.50") + weights("(EngineCore pid=1) ", "2.50"), map[string]any{"weights_load_seconds": []float64{9.5, 2.5}}},
		"both: the largest of each":      {weights("(Worker_TP0 pid=1) ", "9.50") + weights("(Worker_TP1 pid=2) ", "9.70") + weights("(Worker_TP0 pid=1) ", "1") + weights("(Worker_TP1 pid=2) ", "3"), map[string]any{"weights_load_seconds": []float64{9.7, 3}}},
		"KV cache: the smallest":         {"GPU KV cache size: 1,407,894 tokens\nGPU KV cache size: 1,307,894 tokens\n", map[string]any{"kv_cache_tokens": int64(1307894)}},
		"V0: blocks of 16":               {"# CUDA blocks: 11770, # CPU blocks: 2730\n", map[string]any{"kv_cache_tokens": int64(188320)}},
		"the first V1: blocks alone":     {"INFO 02-13 15:01:40 kv_cache_utils.py:407] # GPU blocks: 33660\n", map[string]any{"kv_cache_tokens": int64(538560)}},
		"negative GiB":                   {"Graph capturing finished in 4 secs, took -0.41 GiB\n", map[string]any{"cuda_graph_capture_seconds": 4.0}},
		"JSON logging":                   {`{"level":"INFO","message":"Loading weights took 3.83 seconds","logger":"vllm"}` + "\n", map[string]any{"weights_load_seconds": 3.83}},
		"colours within the line":        {"\x1b[32mINFO\x1b[0m 03-01 12:00:00 \x1b[90m[x.py:1]\x1b[0m Loading weights took 3.83 seconds\x1b[0m\n", map[string]any{"weights_load_seconds": 3.83}},
		"carriage return at the end":     {"Loading weights took 3.83 seconds\r\n", map[string]any{"weights_load_seconds": 3.83}},
		"repeated by Ray":                {weights("(EngineCore_0 pid=1) \x1b[36m(RayWorkerWrapper pid=2, ip=10.0.0.1)\x1b[0m INFO 03-01 12:00:00 [l.py:1] ", "3.83"), map[string]any{"weights_load_seconds": 3.83}},
		"a size of few digits":           {"Model loading took 37.3 GiB memory and 12.5 seconds\n", map[string]any{"model_size": 37.3, "model_load_seconds": 12.5}},
		"total of an AOT hit":            {"torch.compile and initial profiling/warmup run together took 4.01 s in total\n", map[string]any{"torch_compile_seconds": 4.01}},
		"two parts of one model":         {"Dynamo bytecode transform time: 3.00 s\nDynamo bytecode transform time: 5.00 s\n", map[string]any{"dynamo_seconds": 5.0}},
		"compilation beside init engine": {"init engine (profile, create kv cache, warmup model) took 9.50 s (compilation: 8.00 s — language_model: 7.00 s, encoder: 1.00 s)\n", map[string]any{"init_engine_seconds": 9.5, "torch_compile_seconds": 8.0}},
		"a text within another":          {"Loading weights took a while\n", map[string]any{}},
	} {
		t.Run(name, func(t *testing.T) {
			r, end := live(t, "vllm", c.log)
			if got := r.Result(nil, end).Figures; !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestOtherEnginesTexts(t *testing.T) {
	for name, c := range map[string]struct {
		engine, log string
		outcome     Outcome
		reason      startup.Reason
		want        map[string]any
	}{
		"SGLang of 2024, four ranks": {engine: "sglang", outcome: OutcomeReady, log: `
[2024-12-13 01:44:40 TP0] Load weight begin. avail mem=23.1 GB
[2024-12-13 01:44:40 TP1] Load weight begin. avail mem=23.1 GB
[2024-12-13 01:44:59 TP1] Load weight end. type=MistralForCausalLM, dtype=torch.bfloat16, avail mem=9.69 GB
[2024-12-13 01:44:59 TP0] Load weight end. type=MistralForCausalLM, dtype=torch.bfloat16, avail mem=9.69 GB
[2024-12-13 01:44:59 TP0] Memory pool end. avail mem=2.44 GB
[2024-12-13 01:44:59 TP0] Capture cuda graph begin. This can take up to several minutes.
[2024-12-13 01:44:59 TP1] Capture cuda graph begin. This can take up to several minutes.
[2024-12-13 01:45:01 TP0] Capture cuda graph end. Time elapsed: 2.19 s
[2024-12-13 01:45:01 TP1] Capture cuda graph end. Time elapsed: 2.10 s
[2024-12-13 01:45:02 TP0] max_total_num_tokens=56524, max_prefill_tokens=16384
[2024-12-13 01:45:02 TP1] max_total_num_tokens=56520, max_prefill_tokens=16384
[2024-12-13 01:45:02] INFO:     Application startup complete.
[2024-12-13 01:45:09] The server is fired up and ready to roll!
`, want: map[string]any{"cuda_graph_capture_seconds": 2.19, "kv_cache_tokens": int64(56520), "ready_stamp": "01:45:09"}},
		"SGLang with a draft model's graphs": {engine: "sglang", outcome: OutcomeTruncated, log: `
[2025-12-13 01:45:01] Capture piecewise CUDA graph end. Time elapsed: 9.50 s. mem usage=0.60 GB. avail mem=12.61 GB.
[2025-12-13 01:45:02] Capture draft extend cuda graph end. Time elapsed: 2.50 s. mem usage=0.60 GB. avail mem=12.61 GB.
`, want: map[string]any{"cuda_graph_capture_seconds": []float64{9.5, 2.5}}},
		"TGI 1, two shards": {engine: "tgi", outcome: OutcomeReady, log: `
2023-11-03T15:22:51.124885Z  INFO text_generation_launcher: Starting shard 0
2023-11-03T15:22:51.124985Z  INFO text_generation_launcher: Starting shard 1
2023-11-03T15:24:00.803275Z  INFO text_generation_launcher: Shard 0 ready in 79.689004555s
2023-11-03T15:24:00.903275Z  INFO text_generation_launcher: Shard 1 ready in 79.789s
2023-11-03T15:24:02.946152Z  INFO text_generation_router: router/src/main.rs:190: Setting max batch total tokens to 78400
2023-11-03T15:24:02.946154Z  INFO text_generation_router: router/src/main.rs:203: Connected
`, want: map[string]any{"model_load_seconds": 79.789, "kv_cache_tokens": int64(78400), "ready_stamp": "15:24:02"}},
		"TGI in JSON": {engine: "tgi", outcome: OutcomeReady, log: `
{"timestamp":"2024-11-03T15:22:51.124885Z","level":"INFO","fields":{"message":"Starting shard"},"target":"text_generation_launcher","span":{"rank":0,"name":"shard-manager"}}
{"timestamp":"2024-11-03T15:24:00.803275Z","level":"INFO","fields":{"message":"Shard ready in 850.5ms"},"target":"text_generation_launcher","span":{"rank":0,"name":"shard-manager"}}
{"timestamp":"2024-11-03T15:24:02.946154Z","level":"INFO","message":"Connected","target":"text_generation_router"}
`, want: map[string]any{"model_load_seconds": 0.8505, "ready_stamp": "15:24:02"}},
		"TGI whose shard was killed": {engine: "tgi", outcome: OutcomeFailed, reason: "killed", log: `
2023-07-05T19:54:00.845415Z  INFO text_generation_launcher: Starting shard 0
2023-07-05T19:55:21.347050Z ERROR text_generation_launcher: Shard process was signaled to shutdown with signal 9
2023-07-05T19:55:21.362497Z ERROR text_generation_launcher: Shard 0 failed to start
Error: ShardCannotStart
`, want: map[string]any{}},
		"Triton": {engine: "tensorrt_llm", outcome: OutcomeReady, log: `
I0803 18:43:40.778509 1 model_lifecycle.cc:472] "loading: tensorrt_llm:1"
I0803 18:43:44.778509 1 model_lifecycle.cc:839] "successfully loaded 'tensorrt_llm'"
I0803 18:43:45.778509 1 grpc_server.cc:2560] "Started GRPCInferenceService at 0.0.0.0:8001"
I0803 18:43:45.978509 1 http_server.cc:4755] "Started HTTPService at 0.0.0.0:8000"
`, want: map[string]any{"ready_stamp": "18:43:45"}},
		"a batch on Ray, which ends its workers with SIGTERM": {engine: "vllm", outcome: OutcomeEngineReady, log: `
INFO 07-03 03:59:20 llm_engine.py:161] Initializing an LLM engine (v0.5.0.post1) with config: model='m', speculative_config=None
INFO 07-03 04:00:40 model_runner.py:965] Graph capturing finished in 14 secs.
Processed prompts: 100%|██████████| 4/4 [00:01<00:00,  3.31it/s]
*** SIGTERM received at time=1719989502 on cpu 71 ***
`, want: map[string]any{"cuda_graph_capture_seconds": 14.0, "first_stamp": "07-03 03:59:20"}},
		"NIM with vLLM's engine": {engine: "vllm", outcome: OutcomeReady, log: `
2024-07-23 22:27:24,016 [INFO] [TRT-LLM] [I] Starting TensorRT-LLM init.
[TensorRT-LLM] TensorRT-LLM version: 0.10.1.dev2024053000
INFO 07-23 22:27:24.927 api_server.py:489] NIM LLM API version 1.0.0
INFO 07-23 22:28:14.764 ngc_injector.py:172] Model workspace is now ready. It took 49.375 seconds
INFO 07-23 22:28:14.767 llm_engine.py:98] Initializing an LLM engine (v0.4.1) with config: model='/tmp/m', speculative_config=None
INFO 07-23 22:28:19 model_runner.py:173] Loading model weights took 14.9595 GB
INFO 07-23 22:28:20.644 gpu_executor.py:119] # GPU blocks: 27793, # CPU blocks: 2048
INFO 07-23 22:28:27 model_runner.py:1054] Graph capturing finished in 5 secs.
INFO 07-23 22:28:28.431 api_server.py:456] Serving endpoints:
INFO:     Started server process [32]
INFO:     Application startup complete.
`, want: map[string]any{
			"cuda_graph_capture_seconds": 5.0, "first_stamp": "07-23 22:27:24", "hf_download_seconds": 49.375, "kv_cache_tokens": int64(444688),
			"model_size": 14.9595, "ready_stamp": "22:28:28",
		}},
		"TurboMind, whose bar stops short of its end": {engine: "lmdeploy", outcome: OutcomeReady, log: `
Convert to turbomind format:   0%|          | 0/32 [00:00<?, ?it/s]
Convert to turbomind format:  97%|█████████▋| 31/32 [00:10<00:00,  8.31it/s]
INFO:     Started server process [39]
INFO:     Application startup complete.
`, want: map[string]any{}},
		"a log of TGI that begins late": {engine: "tgi", outcome: OutcomeReady, log: `
2023-10-26T06:37:55.196641Z  INFO shard-manager: text_generation_launcher: Shard ready in 12.5s rank=1
2023-10-26T06:37:56.919503Z  INFO text_generation_router: router/src/main.rs:247: Connected
`, want: map[string]any{"model_load_seconds": 12.5, "ready_stamp": "06:37:56"}},
		"TensorRT-LLM's executor of 2024": {engine: "tensorrt_llm", outcome: OutcomeTruncated, log: `
I0301 12:00:00.000000 1 model_lifecycle.cc:461] loading: tensorrt_llm:1
[TensorRT-LLM][INFO] Using 132608 tokens in paged KV cache.
`, want: map[string]any{"kv_cache_tokens": int64(132608)}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadLog(strings.NewReader(c.log), LogOptions{Now: noon.AddDate(1, 0, 0), Location: time.UTC})
			if err != nil {
				t.Fatal(err)
			}
			if got.Engine != c.engine || got.Outcome != c.outcome || got.Reason != c.reason || !reflect.DeepEqual(got.Figures, c.want) {
				t.Errorf("%s %s %q %v", got.Engine, got.Outcome, got.Reason, got.Figures)
			}
			checkPhases(t, got)
		})
	}
}

func TestPrefixesOfCollectorsStandNotInTheWay(t *testing.T) {
	for name, prefix := range map[string]string{
		"kubectl --timestamps": "2026-03-01T12:00:00.123456789Z ",
		"kubectl --prefix":     "[pod/x-1/main] ",
		"Docker Desktop":       "2026-03-01 12:00:00.123 | ",
		"docker compose":       "vllm-1  | ",
		"VLLM_LOGGING_PREFIX":  "[replica 7] ",
		"a sign":               "🚀 ",
		"an application":       "[12:00:01] [engine] ",
		"another logger":       "2026-03-01 12:00:00,500 | 🔥 app.engine | INFO | ",
		"a supervisor":         "2026-03-01 12:00:00.500 [Info] (Process) ",
		"a journal's tag":      "Mar  1 12:00:00 node-7 serve: ",
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			for line := range strings.Lines((start + "(APIServer pid=1) Traceback (most recent call last):\n(APIServer pid=1)   x\n(APIServer pid=1) KeyError: 'x'\n")[1:]) {
				log.WriteString(prefix + line)
			}
			got, err := ReadLog(strings.NewReader(log.String()), LogOptions{Now: noon.Add(time.Hour), Location: time.UTC})
			if err != nil {
				t.Fatal(err)
			}
			if got.Version != "0.13.0" || got.Reason != "python_exception:KeyError" || got.Figures["first_stamp"] != "03-01 12:00:00" {
				t.Errorf("%s %s %v", got.Version, got.Reason, got.Figures)
			}
		})
	}
}

func TestRayLinesAreTimedByTheirStampAndOthersByTheirReceipt(t *testing.T) {
	for name, c := range map[string]struct {
		prefix string
		want   time.Duration // before receipt
	}{
		"forwarded late":    {"(EngineCore_0 pid=1) (RayWorkerWrapper pid=2, ip=10.0.0.1) ", 30 * time.Second},
		"of our own node":   {"(EngineCore_0 pid=1) ", 0},
		"another time zone": {"(EngineCore_0 pid=1) (RayWorkerWrapper pid=2, ip=10.0.0.1) ", 0},
	} {
		t.Run(name, func(t *testing.T) {
			stamp := "11:59:30"
			if name == "another time zone" {
				stamp = "04:59:30"
			}
			r := ByName("vllm").NewReader(Options{Start: noon.Add(-time.Hour), Location: time.UTC})
			r.Line(noon, []byte(c.prefix+"INFO 03-01 "+stamp+" [l.py:1] Model loading took 1.0 GiB and 10.000000 seconds"))
			for _, p := range r.Result(nil, noon).Phases {
				if p.Name == startup.SpanModelLoad && noon.Sub(p.End) != c.want {
					t.Errorf("ends %s before its receipt, want %s", noon.Sub(p.End), c.want)
				}
			}
		})
	}
}

func TestHealthCountsOnlyAfterTheEnginesOwnMarker(t *testing.T) {
	for name, c := range map[string]struct {
		engine, log string
		want        bool
	}{
		"silent log":                          {"vllm", "", true},
		"foreign log":                         {"vllm", "hello\n", true},
		"loading":                             {"vllm", start, false},
		"engine ready":                        {"vllm", start + finish[:strings.Index(finish, "\n(API")+1], true},
		"a version without a marker we know":  {"vllm", start + "INFO 03-01 12:00:07 [launcher.py:1] Available routes are:\n", true},
		"SGLang serves but is not warm":       {"sglang", "[2026-03-01 12:00:00] max_total_num_tokens=7, x\nINFO:     Application startup complete.\n", false},
		"SGLang is warm":                      {"sglang", "[2026-03-01 12:00:00] The server is fired up and ready to roll!\n", true},
		"Triton has no marker to wait for":    {"tensorrt_llm", "I0301 12:00:00.000001 1 x.cc:1] \"loading: m:1\"\n", true},
		"a batch program is not asked at all": {"batch", start, false},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := live(t, c.engine, c.log)
			if c.engine == "batch" {
				if ByName("batch").Serves() || ByName("batch").Name() != "vllm" {
					t.Error("a batch program is vLLM without a server")
				}
				return
			}
			if got := r.MayServe(); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestNoLineLeavesTheReader(t *testing.T) {
	const secret = "sk-secret-value"
	log := strings.ReplaceAll(start, "m...", secret+"...") + "(APIServer pid=1) INFO x non-default args: {'api_key': '" + secret + "'}\n" +
		"Traceback (most recent call last):\n  x\nValueError: " + secret + "\n" + secret + ": x\nTime spent downloading weights for " + secret + ": 1.0 seconds\n"
	r, end := live(t, "vllm", log)
	if got := fmt.Sprintf("%+v", r.Result(&Exit{Code: 1}, end)); strings.Contains(got, secret) {
		t.Error(got)
	}
}
