// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// What the newest sources of engines other than vLLM print while they start, cut to the lines that tell of it.
func TestWhatNewerEnginesPrintIsTold(t *testing.T) {
	const uvicorn = "INFO:     Started server process [1]\nINFO:     Waiting for application startup.\nINFO:     Application startup complete.\n"
	for name, c := range map[string]struct {
		log    string
		want   map[string]string
		tokens any
	}{
		"SGLang 0.5.23, which prepares itself in parallel parts": {`[2026-03-01 12:00:00] server_args=ServerArgs(model_path='m', tp_size=1)
[2026-03-01 12:00:04] Using default HuggingFace chat template with detected content format: string
[2026-03-01 12:00:15] Init parallel begin.
[2026-03-01 12:00:18] Init parallel ends. elapsed=3.00 s
[2026-03-01 12:00:19] Load weight begin. avail mem=70.00 GB
[2026-03-01 12:00:49] Load weight end. elapsed=30.00 s, type=MForCausalLM, avail mem=60.00 GB, mem usage=10.00 GB.
[2026-03-01 12:00:52] KV Cache is allocated. dtype: torch.bfloat16, #tokens: 44288, K size: 1.00 GB, V size: 1.00 GB
[2026-03-01 12:00:53] Memory pool end. avail mem=20.00 GB
[2026-03-01 12:00:55] Capture target decode CUDA graph begin. backend=full, avail mem=19.00 GB
[2026-03-01 12:01:05] Capture target decode CUDA graph end. elapsed=10.00 s, mem usage=1.00 GB, avail mem=18.00 GB.
[2026-03-01 12:01:06] max_total_num_tokens=44288, chunked_prefill_size=8192
[2026-03-01 12:01:08] The server is fired up and ready to roll!
`, map[string]string{
			"engine_config": "0.00-4.00", "worker_launch": "4.00-15.00", "distributed_init": "15.00-19.00", "model_load": "19.00-49.00", "weights_load": "19.00-49.00",
			"kv_cache_init": "49.00-53.00", "kernel_warmup": "53.00-55.00", "cuda_graph_capture": "55.00-65.00", "kernel_warmup/2": "65.00-66.00", "server_ready": "66.00-68.00", "api_server_init": "66.00-68.00",
		}, int64(44288)},
		"LMDeploy 0.18 with TurboMind, whose log has a form of its own": {`2026-03-01 12:00:00,000 - lmdeploy - INFO - async_engine.py:133 - input backend=turbomind, backend_config=TurbomindEngineConfig(tp=1)
2026-03-01 12:00:04,000 - lmdeploy - INFO - turbomind.py:271 - turbomind engine config: x
` + "Loading:   0%|          | 0/36 [00:00<?, ?it/s]\rLoading: 100%|██████████| 36/36 [00:05<00:00,  7.2it/s]\n" + `[TM][INFO][0301.12:00:10.000000][turbomind.cc:305] Object cache budget: 55634.70 MB from free 63488.19 MB and ratio 0.876
[TM][INFO][0301.12:00:12.500000][turbomind.cc:407] Warm-up lengths: 8192
[TM][INFO][0301.12:00:20.000000][turbomind.cc:459] Warm-up finished in 7.50 seconds.
2026-03-01 12:00:20,500 - lmdeploy - INFO - async_engine.py:168 - updated backend_config=TurbomindEngineConfig(tp=1)
HINT:    Please open http://0.0.0.0:23333 in a browser for detailed api usage!!!
` + uvicorn, map[string]string{
			"engine_config": "0.00-4.00", "model_load": "4.00-10.00", "weights_load": "4.00-10.00", "kv_cache_init": "10.00-12.50", "kernel_warmup": "12.50-20.50",
			"server_ready": "20.50-20.50",
		}, nil},
		"TGI 3, whose warm-up has parts": {`2026-03-01T12:00:00.500000Z  INFO text_generation_launcher: Args {
2026-03-01T12:00:01.500000Z  INFO download: text_generation_launcher: Starting check and download process for m
2026-03-01T12:00:05.500000Z  INFO download: text_generation_launcher: Successfully downloaded weights for m
2026-03-01T12:00:05.500000Z  INFO shard-manager: text_generation_launcher: Starting shard rank=0
2026-03-01T12:00:45.500000Z  INFO shard-manager: text_generation_launcher: Shard ready in 40s rank=0
2026-03-01T12:00:45.500000Z  INFO text_generation_launcher: Starting Webserver
2026-03-01T12:00:46.500000Z  INFO text_generation_router_v3: backends/v3/src/lib.rs:125: Warming up model
2026-03-01T12:00:54.500000Z  INFO text_generation_launcher: KV-cache blocks: 52719, size: 1
2026-03-01T12:00:55.500000Z  INFO text_generation_launcher: Cuda Graphs are enabled for sizes [2, 1]
2026-03-01T12:01:00.500000Z  INFO text_generation_router_v3: backends/v3/src/lib.rs:137: Setting max batch total tokens to 52125
2026-03-01T12:01:06.500000Z  INFO text_generation_router::server: router/src/server.rs:2298: Connected
`, map[string]string{
			"engine_config": "0.50-1.50", "hf_download": "1.50-5.50", "model_load": "5.50-45.50", "engine_config/2": "45.50-46.50", "kernel_warmup": "46.50-54.50",
			"kv_cache_init": "54.50-55.50", "cuda_graph_capture": "55.50-60.50", "server_ready": "60.50-66.50", "api_server_init": "60.50-66.50",
		}, int64(52125)},
		"LightLLM, which captures several kinds of graphs": {`INFO 03-01 12:00:00 [api_start.py:328] all start args:Namespace(model_dir='m', tp=1)
INFO 03-01 12:00:20 [mem_manager.py:74] 60.0 GB space is available after load the model weight
INFO 03-01 12:00:22 [basemodel.py:1052] begin check max_len infer
INFO 03-01 12:00:25 [basemodel.py:1088] check max_len 8192 infer ok
INFO 03-01 12:00:27 [cuda_graph.py:209] Begin capture cudagraph, use the --disable_cudagraph to disable it.
INFO 03-01 12:00:37 [cuda_graph.py:259] Capture cudagraph success, batch_size <=16 and max_len_in_batch <= 8192 will infer with cudagraph.
INFO 03-01 12:00:37 [prefill_cuda_graph.py:164] Begin capture prefill cudagraph, remove the --enable_prefill_cudagraph to disable it.
INFO 03-01 12:00:42 [prefill_cuda_graph.py:218] Capture repfill cudagraph success, token_num <=512 will infer with cudagraph.
INFO 03-01 12:00:42 [base_backend.py:189] loaded model class M
INFO 03-01 12:00:45 [start_utils.py:111] http server pid 99
INFO 03-01 12:00:49 [api_http.py:570] server start up ok, loop use is x
`, map[string]string{
			"model_load": "0.00-20.00", "kv_cache_init": "20.00-22.00", "memory_profiling": "22.00-25.00", "kernel_warmup": "25.00-27.00", "cuda_graph_capture": "27.00-42.00",
			"server_ready": "42.00-49.00", "api_server_init": "42.00-49.00",
		}, nil},
		"vLLM on Ascend, which has graphs of its own": {`INFO 03-01 12:00:00 [utils.py:1] vLLM API server version 0.11.0
(EngineCore_DP0 pid=2) INFO 03-01 12:00:10 [core.py:1] Initializing a V1 LLM engine (v0.11.0) with config: model='m'
(EngineCore_DP0 pid=2) INFO 03-01 12:00:20 [model_runner_v1.py:1] Starting to load model m...
(EngineCore_DP0 pid=2) INFO 03-01 12:00:50 [model_runner_v1.py:1] Loading model weights took 28.4835 GB
(EngineCore_DP0 pid=2) INFO 03-01 12:00:55 [kv_cache_utils.py:1] GPU KV cache size: 487,424 tokens
(EngineCore_DP0 pid=2) INFO 03-01 12:00:55 [kv_cache_utils.py:1] Maximum concurrency for 40,960 tokens per request: 11.90x
(EngineCore_DP0 pid=2) INFO 03-01 12:00:58 [model_runner_v1.py:1] Starting to capture ACL graphs for cases: [512, 1], mode: PIECEWISE, uniform_decode: False
Capturing ACL graphs (mixed prefill-decode, PIECEWISE): 100%|██████████| 2/2 [00:10<00:00,  5.00s/it]
(EngineCore_DP0 pid=2) INFO 03-01 12:01:08 [model_runner_v1.py:1] Graph capturing finished in 10 secs, took 1.40 GiB
(EngineCore_DP0 pid=2) INFO 03-01 12:01:20 [core.py:1] init engine (profile, create kv cache, warmup model) took 30.00 seconds
INFO:     Application startup complete.
`, map[string]string{
			"engine_config": "0.00-10.00", "worker_launch": "10.00-20.00", "model_load": "20.00-50.00", "memory_profiling": "50.00-55.00", "kv_cache_init": "55.00-55.00",
			"kernel_warmup": "55.00-58.00", "cuda_graph_capture": "58.00-68.00", "kernel_warmup/2": "68.00-80.00", "server_ready": "80.00-80.00",
		}, int64(487424)},
		"TensorRT-LLM 1.3 with its second kind of cache": {`[TensorRT-LLM] TensorRT LLM version: 1.3.0
[03/01/2026-12:00:00] [TRT-LLM] [I] Using LLM with PyTorch backend
Model init total -- 10.00s
[03/01/2026-12:00:12] [TRT-LLM] [I] Using Sampler: TorchSampler
[03/01/2026-12:00:14] [TRT-LLM] [I] KV cache manager v2 device quota set to 40.5GiB
[03/01/2026-12:00:16] [TRT-LLM] [I] Running autotuner warmup (TRT-LLM=True, native MXFP8=False, FlashInfer MXFP8=False)...
[03/01/2026-12:00:26] [TRT-LLM] [I] Creating CUDA graph instances for 2 batch sizes.
[03/01/2026-12:00:36] [TRT-LLM] [I] Setting PyTorch memory fraction to 0.9
` + uvicorn, map[string]string{
			"model_load": "0.00-10.00", "memory_profiling": "10.00-14.00", "kv_cache_init": "14.00-16.00", "kernel_warmup": "16.00-26.00",
			"cuda_graph_capture": "26.00-36.00", "server_ready": "36.00-36.00",
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := readText(t, c.log)
			if got.Outcome != OutcomeReady || got.Figures["kv_cache_tokens"] != c.tokens {
				t.Errorf("%s %s %v", got.Outcome, got.Reason, got.Figures)
			}
			is := edges(got)
			delete(is, got.Engine+"_init")
			if !reflect.DeepEqual(is, c.want) {
				t.Errorf("got  %v\nwant %v", is, c.want)
			}
			checkPhases(t, got)
		})
	}
}

// paused are a launch's lines at a time after noon: an introduction behind other words of its process, and a load.
func paused(engine string, after time.Duration) (intro, load, finish string) {
	at := func(seconds int, layout, text string) string {
		return noon.Add(after+time.Duration(seconds)*time.Second).Format(layout) + text + "\n"
	}
	const vllm, sglang, trtllm = "INFO 01-02 15:04:05 [x.py:1] ", "[2006-01-02 15:04:05] ", "[01/02/2006-15:04:05] [TRT-LLM] [I] "
	switch engine {
	case "vLLM":
		return at(0, vllm, "Automatically detected platform cuda.") + at(5, vllm, "vLLM API server version 0.10.0"),
			at(20, vllm, "Starting to load model m...") + at(30, vllm, "Model loading took 1.5 GiB memory and 10.000000 seconds"),
			at(40, vllm, "init engine (profile, create kv cache, warmup model) took 10.00 seconds") + "INFO:     Application startup complete.\n"
	case "SGLang":
		return at(0, sglang, "Attention backend not specified. Use flashinfer backend by default.") + at(5, sglang, "server_args=ServerArgs(model_path='m', tp_size=1)"),
			at(20, sglang, "Load weight begin. avail mem=70.00 GB") + at(30, sglang, "Load weight end. elapsed=10.00 s, type=M, avail mem=60.00 GB"),
			at(35, sglang, "max_total_num_tokens=44288, chunked_prefill_size=8192") + at(40, sglang, "The server is fired up and ready to roll!")
	default:
		return "[TensorRT-LLM] TensorRT LLM version: 1.2.0\n" + at(0, trtllm, "Using LLM with PyTorch backend"),
			"Model init total -- 10.00s\n" + at(30, trtllm, "Using Sampler: TorchSampler"),
			"[TensorRT-LLM][INFO] [MemUsageChange] Allocated 1.50 GiB for max tokens in paged KV cache (8224).\n" + at(40, trtllm, "max_seq_len=8224, max_num_requests=64") +
				"INFO:     Started server process [1]\nINFO:     Application startup complete.\n"
	}
}

func TestALaunchEndsWhereWhoRanItSaysSo(t *testing.T) {
	intro, load, _ := paused("vLLM", 0)
	later, weights, ready := paused("vLLM", 3*time.Hour)
	const exited = "2026-03-01 12:20:30,000 WARN exited: vllm (exit status 1; not expected)\n"
	for name, log := range map[string]string{"the last": intro + load + exited + "2026-03-01 14:00:00,000 INFO waiting\n", "an earlier one": intro + load + exited + later + weights + ready} {
		got := readText(t, log)
		last := Launch{Start: got.Phases[0].Start, End: got.Phases[0].End, Outcome: got.Outcome, Reason: got.Reason}
		if len(got.Earlier) > 0 {
			last = got.Earlier[0]
		}
		if last.Outcome != OutcomeFailed || last.Reason != "exit_code=1" || last.End.Sub(last.Start) != 20*time.Minute+30*time.Second {
			t.Errorf("%s: %+v", name, last)
		}
	}
}

// Hours may lie between an engine's death and the next launch, in one container's log or where two logs are in one file.
func TestAPauseBetweenTwoLaunchesIsOfNeither(t *testing.T) {
	const crash = "Traceback (most recent call last):\n  File \"x.py\", line 1, in f\nKeyError: 'x'\n"
	for _, engine := range []string{"vLLM", "SGLang", "TensorRT-LLM"} {
		intro, load, finish := paused(engine, 0)
		later, weights, ready := paused(engine, 3*time.Hour)
		again := later + weights + ready
		alone := readText(t, again)
		for name, c := range map[string]struct {
			before string
			reason startup.Reason
			length time.Duration
		}{
			"that was ready":        {intro + load + finish, "", 0},
			"that crashed":          {intro + load + crash, "python_exception:KeyError", 30 * time.Second},
			"that ended in silence": {intro + load, "", 30 * time.Second},
			"that said who it was":  {intro, "", 5 * time.Second},
		} {
			if engine == "TensorRT-LLM" && name == "that said who it was" {
				continue // so do its workers, and no line of theirs has a time
			}
			t.Run(engine+" after one "+name, func(t *testing.T) {
				got := readText(t, c.before+again)
				if got.Outcome != OutcomeReady || got.Version != alone.Version || !reflect.DeepEqual(got.Phases, alone.Phases) {
					t.Errorf("%s %s\n%v, alone\n%v", got.Outcome, got.Version, edges(got), edges(alone))
				}
				if c.length == 0 {
					if len(got.Earlier) != 0 {
						t.Errorf("%+v", got.Earlier)
					}
					return
				}
				if len(got.Earlier) != 1 || got.Earlier[0].Reason != c.reason || got.Earlier[0].End.Sub(got.Earlier[0].Start) != c.length {
					t.Errorf("%+v, want %s of %s", got.Earlier, c.reason, c.length)
				}
			})
		}
	}
}

// What another program wrote hours before, or by another clock, is no launch.
func TestWhatCameBeforeTheEngineIsNoAttempt(t *testing.T) {
	intro, load, finish := paused("vLLM", 3*time.Hour)
	got := readText(t, "Date: 2026-03-01T12:00:00Z\nnode: a\nDate: 2026-03-01T12:00:09Z, driver_version 535.86\n"+intro+load+finish)
	if len(got.Earlier) != 0 || got.Phases[0].Start.Sub(noon) != 3*time.Hour {
		t.Errorf("%+v after %+v", got.Phases[0], got.Earlier)
	}
}

func TestAnEngineWhoseServerDiesBeforeItListensHasFailed(t *testing.T) {
	const head = `INFO 03-01 12:00:00 [api_start.py:328] all start args:Namespace(model_dir='m', tp=1)
INFO 03-01 12:00:20 [mem_manager.py:74] 60.0 GB space is available after load the model weight
INFO 03-01 12:00:42 [base_backend.py:189] loaded model class M
`
	const crash = "Traceback (most recent call last):\n  File \"x.py\", line 1, in f\nKeyError: 'x'\n"
	for _, log := range []string{head + crash, head + "INFO 03-01 12:00:45 [start_utils.py:111] http server pid 99\n" + crash} {
		got := readText(t, log)
		last := got.Phases[len(got.Phases)-1]
		if got.Outcome != OutcomeFailed || got.Reason != "python_exception:KeyError" || got.Phases[0].Failure != "" || last.Name == startup.SpanModelLoad {
			t.Errorf("%s %s %+v", got.Outcome, got.Reason, got.Phases)
		}
	}
}

// A proxy's lines between an engine's are no rest of a line that a terminal broke.
func TestAnotherContainersRequestsAreNoPartOfALine(t *testing.T) {
	raw, err := os.ReadFile("testdata/tgi-two-shards.log")
	if err != nil {
		t.Fatal(err)
	}
	var both strings.Builder
	for line := range strings.Lines(string(raw)) {
		both.WriteString(line + `10.0.0.7 - - [01/Mar/2026:12:00:00 +0000] "GET /healthz HTTP/1.1" 200 2 "-" "kube-probe/1.33"` + "\n")
	}
	got, alone := readText(t, both.String()), readText(t, string(raw))
	if !reflect.DeepEqual(got.Figures, alone.Figures) || !reflect.DeepEqual(got.Phases, alone.Phases) {
		t.Errorf("%v %v, alone %v %v", got.Figures, edges(got), alone.Figures, edges(alone))
	}
}

func TestAProgramThatIsNoPythonsImportsNothing(t *testing.T) {
	r, end := live(t, "llama_cpp", "system info: n_threads = 8, n_threads_batch = 8, total_threads = 16\nmain: loading model\nsrv    load_model: loading model 'm'\n"+
		"srv    load_model: initializing slots, n_slots = 1\nmain: model loaded\nmain: server is listening on http://0.0.0.0:8080\n")
	if !r.MayServe() {
		t.Error("its health does not count")
	}
	want := map[string]string{"llama_cpp_init": "-3.00-4.00", "engine_config": "-3.00-2.00", "model_load": "2.00-3.00", "kv_cache_init": "3.00-4.00", "api_server_init": "4.00-5.00"}
	if got := edges(r.Result(nil, end)); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
