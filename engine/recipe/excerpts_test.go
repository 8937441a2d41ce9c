// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// shards is a bar of so many updates, as libraries that engines share draw it.
func shards(n int) string {
	var out strings.Builder
	for i := range n + 1 {
		fmt.Fprintf(&out, "Loading safetensors checkpoint shards: %3d%% Completed | %d/%d [00:%02d<00:10,  3.10it/s]\r", 100*i/n, i, n, i%60)
	}
	return out.String() + "\n"
}

const (
	sglangHead = "[2026-03-01 12:00:00] server_args=ServerArgs(model_path='m', tp_size=1)\n"
	sglangLoad = "[2026-03-01 12:00:05] Load weight begin. avail mem=70.00 GB\n"
	sglangTail = "[2026-03-01 12:05:21] KV Cache is allocated. #tokens: 44288, K size: 1.00 GB, V size: 1.00 GB\n" +
		"[2026-03-01 12:05:40] max_total_num_tokens=44288, chunked_prefill_size=8192\n[2026-03-01 12:06:00] The server is fired up and ready to roll!\n"
)

// What engines print, in their own words, that was once told wrongly: each a kind of fault.
func TestWhatEnginesPrintIsToldAsItHappened(t *testing.T) {
	core := func(second int, text string) string {
		return fmt.Sprintf("(EngineCore_DP0 pid=2) INFO 03-01 12:%02d:%02d [x.py:1] %s\n", second/60, second%60, text)
	}
	for name, c := range map[string]struct {
		log     string
		engine  string
		version string
		outcome Outcome
		reason  startup.Reason
		figures map[string]any
		edges   map[string]string // seconds after noon; "": there is no such phase

		attribute map[string]string // of "phase name"; "": it has none
		earlier   int               // launches before
	}{
		"163 shards don't make a vLLM": {
			log:    sglangHead + sglangLoad + shards(163) + "[2026-03-01 12:05:20] Load weight end. elapsed=315.00 s, type=M, avail mem=50.00 GB\n" + sglangTail,
			engine: "sglang", outcome: OutcomeReady, figures: map[string]any{"kv_cache_tokens": int64(44288), "weights_load_seconds": 315.0},
		},
		"nor do those of a log that is cut before the load ends": {log: sglangHead + sglangLoad + shards(163), engine: "sglang", outcome: OutcomeTruncated},
		"nor multi-threaded ones": {
			log: sglangHead + sglangLoad + strings.ReplaceAll(shards(163), "Loading safetensors checkpoint shards:", "Multi-thread loading shards:"), engine: "sglang", outcome: OutcomeTruncated,
		},
		"an ended and a begun load without a length, twice": {
			log: sglangHead + sglangLoad + "[2026-03-01 12:01:05] Load weight end. type=M, avail mem=50.00 GB\n[2026-03-01 12:02:00] Load weight begin. avail mem=50.00 GB\n" +
				"[2026-03-01 12:02:30] Load weight end. type=D, avail mem=40.00 GB\n" + sglangTail,
			engine: "sglang", outcome: OutcomeReady, edges: map[string]string{"weights_load": "5.00-65.00", "weights_load/2": "120.00-150.00", "kv_cache_init": "65.00-120.00", "kv_cache_init/2": "150.00-321.00"},
		},
		"SGLang's version": {log: sglangHead + "[2026-03-01 12:00:01] SGLang Version 0.5.11+05fb6a52\n" + sglangTail, engine: "sglang", version: "0.5.11+05fb6a52", outcome: OutcomeReady},
		"SGLang's later node": {
			log:    strings.Replace(sglangHead, "tp_size=1", "tp_size=16, node_rank=1", 1) + before(sglangTail, "[2026-03-01 12:06") + "[2026-03-01 12:56:00 TP9] Watchdog caught collective operation timeout: x\n",
			engine: "sglang", outcome: OutcomeReady,
		},
		"TensorRT-LLM's version, both ways": {
			log:    "[TensorRT-LLM] TensorRT LLM version: 1.1.0\n[03/01/2026-12:00:00] [TRT-LLM] [I] Starting TensorRT LLM server\n",
			engine: "tensorrt_llm", version: "1.1.0", outcome: OutcomeTruncated,
		},
		"the Run:ai streamer": {
			log: start + core(100, "[RunAI Streamer] Overall time to stream 131.4 GiB of all files: 91.22s, 1.4 GiB/s"), engine: "vllm", version: "0.13.0", outcome: OutcomeTruncated,
			figures: map[string]any{"weights_load_seconds": []float64{0.5, 91.22}},
		},
		"a compilation that only the engine's init states": {
			log: start + core(200, "init engine (profile, create kv cache, warmup model) took 195.11 s (compilation: 122.74 s)"), engine: "vllm", version: "0.13.0",
			outcome: OutcomeEngineReady, figures: map[string]any{"torch_compile_seconds": 122.74},
		},
		"a running total": {
			log:    start + core(60, "torch.compile takes 31.05 s in total") + core(70, "Dynamo bytecode transform time: 0.51 s") + core(72, "torch.compile takes 32.36 s in total"),
			engine: "vllm", version: "0.13.0", outcome: OutcomeTruncated, edges: map[string]string{"torch_compile": "28.95-60.00", "torch_compile/2": "70.00-72.00"},
		},
		"a disk quota": {
			log: start + "OSError: [Errno 122] Disk quota exceeded\n", engine: "vllm", version: "0.13.0", outcome: OutcomeFailed, reason: "no_space_left",
		},
		"an echo of a reason": {
			log: start + "(APIServer pid=1) Traceback (most recent call last):\n(APIServer pid=1)   x\n(APIServer pid=1) TimeoutError: Timed out waiting for engines to send initial message on input socket.\n" +
				"(APIServer pid=1) Traceback (most recent call last):\n(APIServer pid=1)   x\n(APIServer pid=1) RuntimeError: Process ApiServer_0 (PID: 10466) died with exit code 1\n",
			engine: "vllm", version: "0.13.0", outcome: OutcomeFailed, reason: "engine_timeout",
		},
		"a request under Ray Serve": {
			log: strings.ReplaceAll(start[1:]+before(finish[1:], "(APIServer pid=1) INFO:"), "(", "(ServeReplica:app:Vllm pid=7) (") +
				"(ServeReplica:app:Vllm pid=7) ERROR 03-01 12:00:09 [serving_chat.py:1] Error in preprocessing prompt inputs\n(ServeReplica:app:Vllm pid=7) Traceback (most recent call last):\n(ServeReplica:app:Vllm pid=7)   x\n(ServeReplica:app:Vllm pid=7) ValueError: no template\n",
			engine: "vllm", version: "0.13.0", outcome: OutcomeEngineReady,
		},
		"a generation config that is not there": {
			log: sglangHead + sglangLoad + "[2026-03-01 12:00:06 TP1] Failed to load generation config for m: m does not appear to have a file named generation_config.json.\n", engine: "sglang", outcome: OutcomeTruncated,
		},
		"a log of old vLLM, without a word of the engine's init": {
			log: "INFO 03-01 12:00:00 api_server.py:1] vLLM API server version 0.5.0\nINFO 03-01 12:00:01 llm_engine.py:1] Initializing an LLM engine (v0.5.0) with config: model='m', speculative_config=None, x\n" +
				"INFO 03-01 12:00:20 model_runner.py:1] Loading model weights took 14.9 GB\nINFO 03-01 12:00:25 gpu_executor.py:1] # GPU blocks: 1000, # CPU blocks: 500\n" +
				"INFO 03-01 12:00:26 model_runner.py:1] Capturing the model for CUDA graphs.\nINFO 03-01 12:00:40 model_runner.py:1] Graph capturing finished in 14 secs.\n" +
				"INFO:     Started server process [1]\n",
			engine: "vllm", version: "0.5.0", outcome: OutcomeEngineReady, figures: map[string]any{"kv_cache_tokens": int64(16000), "cuda_graph_capture_seconds": 14.0},
		},
		"a log of a vLLM that doesn't say its version": {
			log: "INFO 03-01 12:00:00 api_server.py:209] args: Namespace(host=None, port=8000)\nINFO 03-01 12:00:03 llm_engine.py:72] Initializing an LLM engine with config: model='m', tokenizer='m'\n" +
				"INFO 03-01 12:00:25 llm_engine.py:316] # GPU blocks: 1000, # CPU blocks: 500\nINFO 03-01 12:00:26 model_runner.py:1] Capturing the model for CUDA graphs.\n" +
				"INFO 03-01 12:00:40 model_runner.py:1] Graph capturing finished in 14 secs.\nINFO:     Started server process [1]\nINFO:     Application startup complete.\n",
			engine: "vllm", outcome: OutcomeReady, figures: map[string]any{"kv_cache_tokens": int64(16000), "cuda_graph_capture_seconds": 14.0},
			edges: map[string]string{"engine_config": "0.00-3.00", "model_load": "3.00-25.00", "cuda_graph_capture": "26.00-40.00"},
		},
		"a vLLM that captures no graphs": {
			log: "INFO 03-01 12:00:00 [api_server.py:981] vLLM API server version 0.8.2\nINFO 03-01 12:00:05 [llm_engine.py:241] Initializing a V0 LLM engine (v0.8.2) with config: model='m', enforce_eager=True, x\n" +
				"INFO 03-01 12:00:06 [model_runner.py:1110] Starting to load model m...\nINFO 03-01 12:00:20 [model_runner.py:1146] Model loading took 6.7403 GB and 14.000000 seconds\n" +
				"INFO 03-01 12:00:40 [executor_base.py:116] Maximum concurrency for 8192 tokens per request: 8.00x\nINFO 03-01 12:00:47 [llm_engine.py:447] init engine (profile, create kv cache, warmup model) took 27.00 seconds\n",
			engine: "vllm", version: "0.8.2", outcome: OutcomeEngineReady, edges: map[string]string{"kernel_warmup": "40.00-47.00", "cuda_graph_capture": ""},
		},
		"a V0 engine, which says when it captures graphs": {
			log: "INFO 03-01 12:00:00 [api_server.py:981] vLLM API server version 0.8.2\nINFO 03-01 12:00:05 [llm_engine.py:241] Initializing a V0 LLM engine (v0.8.2) with config: model='m', enforce_eager=False, x\n" +
				"INFO 03-01 12:00:06 [model_runner.py:1110] Starting to load model m...\nINFO 03-01 12:00:20 [model_runner.py:1146] Model loading took 6.7403 GB and 14.000000 seconds\n" +
				"INFO 03-01 12:00:40 [executor_base.py:116] Maximum concurrency for 8192 tokens per request: 8.00x\nINFO 03-01 12:00:45 [model_runner.py:1442] Capturing cudagraphs for decoding. This may lead to unexpected consequences\n" +
				"INFO 03-01 12:00:53 [model_runner.py:1570] Graph capturing finished in 8 secs, took 0.13 GiB\n",
			engine: "vllm", version: "0.8.2", outcome: OutcomeTruncated, edges: map[string]string{"kernel_warmup": "40.00-45.00", "cuda_graph_capture": "45.00-53.00"},
		},
		"an old vLLM that makes embeddings, and has no cache": {
			log: "INFO 03-01 12:00:00 api_server.py:177] vLLM API server version 0.5.0\nINFO 03-01 12:00:00 llm_engine.py:161] Initializing an LLM engine (v0.5.0) with config: model='m', x\n" +
				"INFO 03-01 12:00:05 model_runner.py:160] Loading model weights took 13.2524 GB\nINFO:     Started server process [1]\nINFO:     Application startup complete.\n" +
				"INFO 03-01 12:00:15 metrics.py:341] Avg prompt throughput: 0.0 tokens/s\nTraceback (most recent call last):\n  x\nValueError: Out of range float values are not JSON compliant\n",
			engine: "vllm", version: "0.5.0", outcome: OutcomeReady, edges: map[string]string{"model_load": "0.00-5.00", "server_ready": "5.00-5.00"},
		},
		"weights of a model whose load no line opens": {
			log: before(start, "(EngineCore_DP0 pid=2) INFO 03-01 12:00:03") + "Loading safetensors checkpoint shards:   0% Completed | 0/2 [00:00<?, ?it/s]\n2026-03-01 12:00:08.690000: W torch_xla/x.cc:680] Failed to deserialize executable\n" +
				"Loading safetensors checkpoint shards: 100% Completed | 2/2 [00:06<00:00,  3.28s/it]\n" + core(12, "Loading weights took 6.69 seconds") + core(55, "GPU KV cache size: 1,000 tokens") +
				core(55, "Compiling sampling with different input shapes."), engine: "vllm", version: "0.13.0", outcome: OutcomeTruncated,
			edges: map[string]string{"model_load": "2.00-55.00", "weights_load": "2.00-12.00", "model_load/2": ""},
		},
		"a failure of Ray's workers, before any line has a time": {
			log: "(RayWorkerWrapper pid=27, ip=10.1.1.1) [rank3]:[E219 08:58:32.606 ProcessGroupNCCL.cpp:616] [Rank 3] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1)\n" +
				"(RayWorkerWrapper pid=27, ip=10.1.1.1) [2026-03-01 12:00:01,022 E 27 70] logging.cc:108: Unhandled exception\n(RayWorkerWrapper pid=28) INFO 03-01 12:00:09 model_runner.py:1077] Loading model weights took 3.5546 GB [repeated 2x across cluster]\n",
			engine: "vllm", outcome: OutcomeFailed, reason: "nccl_timeout", edges: map[string]string{"memory_profiling": ""},
		},
		"a program that uses an old vLLM": {
			log:    "WARNING 03-01 12:00:00 config.py:177] awq quantization is not fully optimized yet. The speed can be slower than non-quantized models.\nINFO 03-01 12:00:03 llm_engine.py:1] Initializing an LLM engine (v0.5.0) with config: model='m', x\n",
			engine: "vllm", version: "0.5.0", outcome: OutcomeTruncated, edges: map[string]string{"engine_config": "0.00-3.00"},
		},
		"graphs of a draft model's extension": {
			log: sglangHead + sglangLoad + "[2026-03-01 12:00:40] Load weight end. elapsed=35.00 s, type=M, avail mem=50.00 GB\n[2026-03-01 12:00:50] Capture single-CG draft extend begin. This can take several minutes. avail mem=9.00 GB\n" +
				"[2026-03-01 12:00:55] Capture single-CG draft extend end. elapsed=5.00 s, mem usage=1.00 GB, avail mem=8.00 GB.\n", engine: "sglang", outcome: OutcomeTruncated,
			figures: map[string]any{"cuda_graph_capture_seconds": 5.0}, edges: map[string]string{"cuda_graph_capture": "50.00-55.00"},
		},
		"vLLM Ascend's words": {
			log: before(start, "(EngineCore_DP0 pid=2) INFO 03-01 12:00:05") + core(9, "Model runner load_model total time: 6.00 s"), engine: "vllm", version: "0.13.0", outcome: OutcomeTruncated,
			figures: map[string]any{"model_load_seconds": 6.0}, edges: map[string]string{"model_load": "3.00-9.00"},
		},
		"a compilation that takes longer than it counts": {
			log: before(start, "(EngineCore_DP0 pid=2) INFO 03-01 12:00:04") + core(5, "Model loading took 1.5 GiB memory and 2.000000 seconds") + core(11, "Dynamo bytecode transform time: 5.50 s") + core(17, "Compiling a graph for compile range (1, 8192) takes 5.10 s") +
				core(20, "torch.compile takes 10.60 s in total"), engine: "vllm", version: "0.13.0", outcome: OutcomeTruncated,
			figures: map[string]any{"torch_compile_seconds": 10.6, "dynamo_seconds": 5.5}, edges: map[string]string{"torch_compile": "5.00-20.00", "dynamo": "5.50-11.00"},
		},
		"what vLLM 0.32 says of its compiler and of its kernels": {
			log: start + core(7, "Starting torch.compile") + core(20, "torch.compile took 12.00 s in total") + core(30, "GPU KV cache size: 1,000 tokens, Maximum concurrency for 100 tokens per request: 10.00x") +
				core(31, "JIT kernel warmup starting.") + core(40, "JIT kernel warmup finished in 9.10s."), engine: "vllm", version: "0.13.0", outcome: OutcomeTruncated,
			edges: map[string]string{"torch_compile": "7.00-20.00", "kernel_warmup": "30.00-40.00"},
		},
		"weights that end, by their stamp, before their load begins": {
			log: before(start, "(EngineCore_DP0 pid=2) INFO 03-01 12:00:04") + core(10, "Loading weights took 6.90 seconds") + core(11, "Model loading took 1.5 GiB memory and 7.200000 seconds"), engine: "vllm", version: "0.13.0", outcome: OutcomeTruncated,
			edges: map[string]string{"worker_launch": "2.00-3.00", "model_load": "3.00-11.00", "weights_load": "3.80-10.70"},
		},
		"weights whose bar was drawn a moment before they, by their length, begin": {
			log: before(start, "(EngineCore_DP0 pid=2) INFO 03-01 12:00:04") + "(EngineCore_DP0 pid=2) Loading safetensors checkpoint shards:   0% Completed | 0/16 [00:00<?, ?it/s]\n" +
				core(43, "Loading weights took 39.40 seconds") + core(43, "Model loading took 1.5 GiB memory and 39.800000 seconds"), engine: "vllm", version: "0.13.0", outcome: OutcomeTruncated,
			edges: map[string]string{"model_load": "3.00-43.00", "weights_load": "3.60-43.00", "weights_load/2": ""},
		},
		"a TensorRT-LLM whose worker says little with a time": {
			log: "[TensorRT-LLM] TensorRT LLM version: 1.1.0\n[03/01/2026-12:00:00] [TRT-LLM] [I] Using LLM with PyTorch backend\n[03/01/2026-12:00:01] [TRT-LLM] [I] Generating a new HMAC key for server x\n" +
				"[TensorRT-LLM] TensorRT LLM version: 1.1.0\n[TensorRT-LLM][INFO] Refreshed the MPI local session\n[03/01/2026-12:00:10] [TRT-LLM] [I] ATTENTION RUNTIME FEATURES: x\n" +
				"[03/01/2026-12:00:11] [TRT-LLM] [I] Use 8.46 GB for model weights.\n[03/01/2026-12:00:11] [TRT-LLM] [I] Prefetching 8.46GB checkpoint files.\nModel init total -- 4.50s\n" +
				"[03/01/2026-12:00:16] [TRT-LLM] [I] Using Sampler: TorchSampler\n[03/01/2026-12:00:20] [TRT-LLM] [I] [Autotuner] Autotuning process starts ...\n" +
				"[03/01/2026-12:00:30] [TRT-LLM] [I] Running CUDA graph capture for 8 batch sizes.\n[03/01/2026-12:00:33] [TRT-LLM] [I] Run generation-only CUDA graph warmup for batch size=1, draft_len=0\n",
			engine: "tensorrt_llm", version: "1.1.0", outcome: OutcomeTruncated, figures: map[string]any{"model_load_seconds": 4.5},
			edges: map[string]string{"worker_launch": "1.00-10.00", "model_load": "10.00-14.50", "memory_profiling": "14.50-20.00", "kernel_warmup": "20.00-30.00", "cuda_graph_capture": "30.00-33.00"},
		},
		"a runner that writes when it got a line, two hours ahead": {
			log:    "[2026-03-01 14:00:09] " + strings.TrimSuffix(strings.ReplaceAll(start[1:]+core(6, "Dynamo bytecode transform time: 0.51 s"), "\n", "\n[2026-03-01 14:00:09] "), "[2026-03-01 14:00:09] "),
			engine: "vllm", version: "0.13.0", outcome: OutcomeTruncated, edges: map[string]string{"model_load": "3.00-5.00", "engine_config": "0.00-2.00"},
		},
		"two ranks of one TensorRT-LLM": {
			log:    "[TensorRT-LLM] TensorRT LLM version: 1.1.0\n[03/01/2026-12:00:10] [TRT-LLM] [I] ATTENTION RUNTIME FEATURES: x\nModel init total -- 4.50s\nModel init total -- 4.20s\n[03/01/2026-12:00:16] [TRT-LLM] [I] Using Sampler: TorchSampler\n",
			engine: "tensorrt_llm", version: "1.1.0", outcome: OutcomeTruncated, figures: map[string]any{"model_load_seconds": 4.5}, edges: map[string]string{"model_load/2": ""},
		},
		"a Triton whose ensemble comes after its parts": {
			log: "I0301 12:00:00.000000 1 pinned_memory_manager.cc:240] Pinned memory pool is created at '0x1' with size 2\nI0301 12:00:01.000000 1 model_lifecycle.cc:459] loading: a:1\n" +
				"I0301 12:00:20.000000 1 model_lifecycle.cc:694] successfully loaded 'a' version 1\nI0301 12:00:20.100000 1 model_lifecycle.cc:459] loading: all:1\nI0301 12:00:20.200000 1 model_lifecycle.cc:694] successfully loaded 'all' version 1\n" +
				"I0301 12:00:20.300000 1 grpc_server.cc:4819] Started GRPCInferenceService at 0.0.0.0:8001\nI0301 12:00:20.400000 1 http_server.cc:3477] Started HTTPService at 0.0.0.0:8000\n",
			engine: "tensorrt_llm", outcome: OutcomeReady, edges: map[string]string{"engine_config": "0.00-1.00", "model_load": "1.00-20.30"},
		},
		"what SGLang counts at the end": {
			log:    strings.Replace(sglangHead+sglangLoad+sglangTail, "[2026-03-01 12:06:00]", "[2026-03-01 12:05:50] Engine startup timings (s): load_weight=300.25, kv_cache_allocation=0.51, scheduler_e2e=330.00, cuda_graph={decode=9.00}, tokenizer_e2e=341.00\n[2026-03-01 12:06:00]", 1),
			engine: "sglang", outcome: OutcomeReady, figures: map[string]any{"weights_load_seconds": 300.25},
		},
		"SGLang's graphs of 0.5.23": {
			log: sglangHead + sglangLoad + "[2026-03-01 12:00:25] Load weight end. elapsed=20.00 s, type=M, avail mem=50.00 GB\n[2026-03-01 12:00:27] KV Cache is allocated. dtype: torch.bfloat16, #tokens: 44288, KV size: 2.00 GB\n" +
				"[2026-03-01 12:00:28] Memory pool end. avail mem=40.00 GB\n[2026-03-01 12:00:30] Capture target decode CUDA graph begin. backend=full, num_tokens_per_req=1, avail mem=40.00 GB\n" +
				"[2026-03-01 12:00:42] Capture target decode CUDA graph end. bs=[1, 2, 4], elapsed=12.00 s, mem usage=1.00 GB, avail mem=39.00 GB.\n" + sglangTail[strings.Index(sglangTail, "\n")+1:],
			engine: "sglang", outcome: OutcomeReady, figures: map[string]any{"cuda_graph_capture_seconds": 12.0}, edges: map[string]string{"cuda_graph_capture": "30.00-42.00"},
		},
		"SGLang's graphs on NPUs": {
			log: sglangHead + sglangLoad + "[2026-03-01 12:00:25] Load weight end. elapsed=20.00 s, type=M, avail mem=50.00 GB\n[2026-03-01 12:00:30] Capture target verify NPU graph begin. backend=full, num_tokens_per_req=1\n" +
				"[2026-03-01 12:00:42] Capture target verify NPU graph end. bs=[1], elapsed=12.00 s, mem usage=1.00 GB.\n" + sglangTail,
			engine: "sglang", outcome: OutcomeReady, figures: map[string]any{"cuda_graph_capture_seconds": 12.0},
		},
		"SGLang's weights after its graphs": {
			log: sglangHead + sglangLoad + "[2026-03-01 12:00:09] Prepared capture-safe model in 4.00 s\n[2026-03-01 12:00:10] Capture target decode CUDA graph begin. backend=full\n" +
				"[2026-03-01 12:00:20] Capture target decode CUDA graph end. bs=[1], elapsed=10.00 s, mem usage=1.00 GB\n" +
				"[2026-03-01 12:00:45] Load weight end. Committed real weights after CUDA graph capture in 25.00 s (capture overlap window 10.00 s, startup overlap total 36.00 s)\n" + sglangTail,
			engine: "sglang", outcome: OutcomeReady, figures: map[string]any{"weights_load_seconds": 25.0}, edges: map[string]string{"model_load": "5.00-9.00", "weights_load": "20.00-45.00"},
		},
		"a benchmark of TensorRT-LLM's C++ engine, which writes no times": {
			log: "[TensorRT-LLM] TensorRT-LLM version: 0.16.0\n[03/01/2026-12:00:01] [TRT-LLM] [I] Preparing to run throughput benchmark...\n[03/01/2026-12:00:02] [TRT-LLM] [I] Initializing Executor.\n" +
				"[TensorRT-LLM][INFO] MPI size: 1, MPI local size: 1, rank: 0\n[TensorRT-LLM][INFO] TRTGptModel maxNumSequences: 8\n[TensorRT-LLM][INFO] Loaded engine size: 8937 MiB\n" +
				"[TensorRT-LLM][INFO] [MemUsageChange] Allocated 1013.01 MiB for execution context memory.\n[TensorRT-LLM][INFO] [MemUsageChange] Allocated 52.08 GiB for max tokens in paged KV cache (2730752).\n" +
				"[TensorRT-LLM][INFO] Executor instance created by worker\n[03/01/2026-12:00:34] [TRT-LLM] [I] Executor started.\n[03/01/2026-12:00:34] [TRT-LLM] [I] Benchmark started.\n[03/01/2026-12:05:00] [TRT-LLM] [I] Collecting last stats...\n",
			engine: "tensorrt_llm", version: "0.16.0", outcome: OutcomeEngineReady, figures: map[string]any{"kv_cache_tokens": int64(2730752)}, edges: map[string]string{"model_load": "2.00-34.00", "kernel_warmup": ""},
		},
		"a benchmark of its other one": {
			log: "[TensorRT-LLM] TensorRT-LLM version: 0.20.0\n[03/01/2026-12:00:01] [TRT-LLM] [I] Starting TensorRT-LLM LLM init\n[03/01/2026-12:00:09] [TRT-LLM] [I] Rank 0 uses 8.46 GB for model weights.\n" +
				"[03/01/2026-12:00:15] [TRT-LLM] [I] [Autotuner]: Autotuning process starts ...\n[03/01/2026-12:00:45] [TRT-LLM] [I] [Autotuner]: Autotuning process ends\n" +
				"[03/01/2026-12:00:50] [TRT-LLM] [I] Starting benchmarking async task.\n[03/01/2026-12:02:00] [TRT-LLM] [I] Benchmark complete.\nValueError: not of the start\n",
			engine: "tensorrt_llm", version: "0.20.0", outcome: OutcomeEngineReady,
		},
		"TurboMind of 0.18, at its level INFO": {
			log: "2026-03-01 12:00:01,118 - lmdeploy - INFO - async_engine.py:133 - input backend=turbomind, backend_config=TurbomindEngineConfig(dtype='auto', tp=1)\n" +
				"2026-03-01 12:00:04,118 - lmdeploy - INFO - turbomind.py:246 - turbomind engine config:\n\nLoading:   0%|          | 0/36 [00:00<?, ?it/s]\rLoading: 100%|##########| 36/36 [00:08<00:00,  4.50it/s]\n" +
				"[TM][INFO] max cached tokens: 42880\n2026-03-01 12:00:16,118 - lmdeploy - INFO - async_engine.py:168 - updated backend_config=TurbomindEngineConfig(dtype='auto', tp=1)\n" +
				"INFO:     Started server process [17]\nINFO:     Waiting for application startup.\nINFO:     Application startup complete.\n",
			engine: "lmdeploy", outcome: OutcomeReady, figures: map[string]any{"kv_cache_tokens": int64(42880)}, edges: map[string]string{"engine_config": "1.12-4.12", "weights_load": "4.12-16.12"},
		},
		"LMDeploy without a driver": {
			log: "2026-03-01 12:00:01,118 - lmdeploy - INFO - async_engine.py:133 - input backend=pytorch, backend_config=PytorchEngineConfig(dtype='auto', tp=1)\n2026-03-01 12:00:09,118 - lmdeploy - INFO - base.py:1 - Building Model.\n" +
				"Traceback (most recent call last):\n  File \"x.py\", line 1, in f\nRuntimeError: 0 active drivers ([]). There should only be one.\n",
			engine: "lmdeploy", outcome: OutcomeFailed, reason: "no_gpu", edges: map[string]string{"model_load": "9.12-9.12!"},
		},
		"a server of which stderr alone is there": {
			log: "(EngineCore pid=2) [W301 12:00:00.000000000 socket.cpp:764] [c10d] The client socket cannot be initialized\n" + shards(3) +
				"(APIServer pid=1) INFO:     Application startup complete.\n(Worker_TP0 pid=3) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n",
			engine: "vllm", outcome: OutcomeReady,
		},
		"a trainer that dies when its engine is up": {
			log: core(1, "Initializing a V1 LLM engine (v0.13.0) with config: model='m'") + core(2, "Starting to load model m...") +
				core(9, "Model loading took 1.5 GiB memory and 7.000000 seconds") + core(20, "init engine (profile, create kv cache, warmup model) took 11.00 seconds") +
				"(Trainer pid=1) Traceback (most recent call last):\n(Trainer pid=1)   File \"x.py\", line 1, in f\n(Trainer pid=1) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n",
			engine: "vllm", version: "0.13.0", outcome: OutcomeEngineReady,
		},
		"a trainer that dies before": {
			log:    core(1, "Initializing a V1 LLM engine (v0.13.0) with config: model='m'") + core(2, "Starting to load model m...") + "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n",
			engine: "vllm", version: "0.13.0", outcome: OutcomeFailed, reason: "cuda_out_of_memory",
		},
		"NCCL's port for those who ask it": {
			log:    start + "(EngineCore_DP0 pid=2) [2026-03-01 12:00:07] node:2:3 [0] ras/client_support.cc:160 NCCL WARN Call to bind failed: Address already in use\n",
			engine: "vllm", version: "0.13.0", outcome: OutcomeTruncated,
		},
		"a log that stops while a rank loads": {
			log: before(start, "(EngineCore_DP0 pid=2) INFO 03-01 12:00:03") + strings.ReplaceAll(
				"(Worker_TP0 pid=3) INFO 03-01 12:00:03 [x.py:1] Starting to load model m...\n(Worker_TP1 pid=4) INFO 03-01 12:00:03 [x.py:1] Starting to load model m...\n"+
					"(Worker_TP0 pid=3) INFO 03-01 12:00:10 [x.py:1] Loading weights took 5.00 seconds\n(Worker_TP0 pid=3) INFO 03-01 12:00:11 [x.py:1] Model loading took 1.5 GiB memory and 8.000000 seconds\n"+
					"(Worker_TP1 pid=4) INFO 03-01 12:00:50 [x.py:1] Loading weights took 45.00 seconds\n", "x.py", "gpu_model_runner.py"),
			engine: "vllm", version: "0.13.0", outcome: OutcomeTruncated, edges: map[string]string{"model_load": "3.00-50.00", "weights_load": "5.00-50.00", "memory_profiling": ""},
		},
		"a log that stops in a load, which states one of its parts": {
			log:    before(start, "(EngineCore_DP0 pid=2) INFO 03-01 12:00:04") + core(60, "Loading weights took 40.00 seconds") + core(70, "x"),
			engine: "vllm", version: "0.13.0", outcome: OutcomeTruncated, edges: map[string]string{"model_load": "3.00-70.00", "weights_load": "20.00-60.00", "model_load/2": ""},
		},
		"a log that stops in a download": {
			log:    before(start, "(EngineCore_DP0 pid=2) INFO 03-01 12:00:04") + core(60, "Time spent downloading weights for m: 50.00 seconds") + core(70, "x"),
			engine: "vllm", version: "0.13.0", outcome: OutcomeTruncated, edges: map[string]string{"model_load": "3.00-70.00", "hf_download": "10.00-60.00", "model_load/2": ""},
		},
		"a proxy beside an engine that goes on": {
			log:    strings.ReplaceAll(start[1:], "\n", "\nvllm-1  | ") + "x\nproxy-1 | Traceback (most recent call last):\nproxy-1 |   File \"x.py\", line 1, in f\nproxy-1 | OSError: [Errno 98] Address already in use\n",
			engine: "vllm", version: "0.13.0", outcome: OutcomeTruncated,
		},
		"the engine itself, beside a proxy": {
			log:    "vllm-1  | " + strings.ReplaceAll(start[1:], "\n", "\nvllm-1  | ") + "OSError: [Errno 98] Address already in use\nproxy-1 | x\n",
			engine: "vllm", version: "0.13.0", outcome: OutcomeFailed, reason: "port_in_use",
		},
		"kubectl --prefix, and a sidecar that fails": {
			log:    "[pod/llama-0/main] " + strings.ReplaceAll(start[1:], "\n", "\n[pod/llama-0/main] ") + "x\n[pod/llama-0/adapter] Traceback (most recent call last):\n[pod/llama-0/adapter]   x\n[pod/llama-0/adapter] requests.ConnectionError: x\n",
			engine: "vllm", version: "0.13.0", outcome: OutcomeTruncated,
		},
		"stern, and a sidecar that fails": {
			log:    "llama-0 main " + strings.ReplaceAll(start[1:], "\n", "\nllama-0 main ") + "x\nllama-0 adapter Traceback (most recent call last):\nllama-0 adapter   x\nllama-0 adapter OSError: [Errno 28] No space left on device\n",
			engine: "vllm", version: "0.13.0", outcome: OutcomeTruncated,
		},
		"stern, of an engine that fails": {
			log:    "llama-0 main " + strings.ReplaceAll(start[1:], "\n", "\nllama-0 main ") + "OSError: [Errno 28] No space left on device\nllama-0 adapter x\n",
			engine: "vllm", version: "0.13.0", outcome: OutcomeFailed, reason: "no_space_left",
		},
		"a download that is tried again": {
			log:    before(start, "(EngineCore_DP0 pid=2) INFO 03-01 12:00:04") + "'(MaxRetryError(\"x: Max retries exceeded with url: /m\"))' thrown while requesting HEAD x\nRetrying in 1s [Retry 1/5].\n",
			engine: "vllm", version: "0.13.0", outcome: OutcomeTruncated,
		},
		"a cache of torch.compile that is off, whatever is compiled": {
			log:    start + core(6, "vLLM's torch.compile cache is disabled.") + core(9, "Compiling a graph for dynamic shape takes 2.00 s") + core(9, "torch.compile takes 3.00 s in total"),
			engine: "vllm", version: "0.13.0", outcome: OutcomeTruncated, attribute: map[string]string{"torch_compile compile_cache": "off"},
		},
		"a LoRA before the server is up": {
			log:    start + core(6, "init engine (profile, create kv cache, warmup model) took 1.00 seconds") + core(8, "Supported tasks: ['generate']") + core(38, "Loaded new LoRA adapter: name 'a', path '/l'") + core(40, "Starting vLLM API server 0 on x") + "(APIServer pid=1) INFO:     Application startup complete.\n",
			engine: "vllm", version: "0.13.0", outcome: OutcomeReady, edges: map[string]string{"lora_load": "8.00-38.00", "api_server_init": "6.00-8.00", "api_server_init/2": "38.00-40.00"},
		},
		"a draft model of an SGLang that states no lengths": {
			log: "[2026-03-01 12:00:00] server_args=ServerArgs(model_path='m', speculative_algorithm='EAGLE3')\n" + sglangLoad + "[2026-03-01 12:01:05] Load weight end. type=M, avail mem=50.00 GB\n" +
				"[2026-03-01 12:02:00] Load weight begin. avail mem=50.00 GB\n[2026-03-01 12:02:30] Load weight end. type=D, avail mem=40.00 GB\n" + sglangTail,
			engine: "sglang", outcome: OutcomeReady, attribute: map[string]string{"weights_load model": "", "weights_load/2 model": "draft"},
		},
		"a slower rank of an SGLang that states no lengths": {
			log: sglangHead + "[2026-03-01 12:00:05 TP0] Load weight begin. avail mem=70.00 GB\n[2026-03-01 12:00:05 TP1] Load weight begin. avail mem=70.00 GB\n" +
				"[2026-03-01 12:01:05 TP0] Load weight end. type=M, avail mem=50.00 GB\n[2026-03-01 12:02:05 TP1] Load weight end. type=M, avail mem=50.00 GB\n" + strings.ReplaceAll(sglangTail, "12:05:21]", "12:05:21 TP0]"),
			engine: "sglang", outcome: OutcomeReady, edges: map[string]string{"weights_load": "5.00-125.00", "kv_cache_init": "125.00-321.00"},
		},
		"a TGI by a collector's seconds": {
			log: "2026-03-01T12:00:00Z INFO text_generation_launcher: Args { model_id: \"m\" }\n2026-03-01T12:00:00Z INFO download: text_generation_launcher: Starting check and download process for m\n" +
				"2026-03-01T12:00:06Z INFO download: text_generation_launcher: Successfully downloaded weights for m\n2026-03-01T12:00:06Z INFO shard-manager: text_generation_launcher: Starting shard rank=0\n" +
				"2026-03-01T12:00:26Z INFO shard-manager: text_generation_launcher: Shard ready in 20.019623577s rank=0\n",
			engine: "tgi", outcome: OutcomeTruncated, edges: map[string]string{"hf_download": "0.00-5.98", "model_load": "5.98-26.00"},
		},
		"a TGI that fails after its download": {
			log: "2026-03-01T12:00:00Z INFO text_generation_launcher: Args { model_id: \"m\" }\n2026-03-01T12:00:00Z INFO download: text_generation_launcher: Starting check and download process for m\n" +
				"2026-03-01T12:03:00Z INFO download: text_generation_launcher: Successfully downloaded weights for m\n2026-03-01T12:03:00Z INFO shard-manager: text_generation_launcher: Starting shard rank=0\n" +
				"2026-03-01T12:03:20Z ERROR text_generation_launcher: Error when initializing model\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.96 GiB.\n",
			engine: "tgi", outcome: OutcomeFailed, reason: "cuda_out_of_memory", edges: map[string]string{"hf_download": "0.00-180.00", "model_load": "180.00-200.00!"},
		},
		"a download that is tried again before the engine begins": {
			log: before(start, "(EngineCore_DP0 pid=2) INFO 03-01 12:00:02") + "(APIServer pid=1) '(MaxRetryError(\"x: Max retries exceeded with url: /m\"))' thrown while requesting HEAD x\n(APIServer pid=1) Retrying in 1s [Retry 1/5].\n" +
				strings.TrimPrefix(start, before(start, "(EngineCore_DP0 pid=2) INFO 03-01 12:00:02")) + finish[1:],
			engine: "vllm", version: "0.13.0", outcome: OutcomeReady, edges: map[string]string{"engine_config": "0.00-2.00"},
		},
		"a thread that dies while the engine loads": {
			log: before(start, "(EngineCore_DP0 pid=2) INFO 03-01 12:00:04") + "(EngineCore_DP0 pid=2) Exception in thread Thread-1 (_report_usage_worker):\n(EngineCore_DP0 pid=2) Traceback (most recent call last):\n" +
				"(EngineCore_DP0 pid=2)   File \"x.py\", line 1, in f\n(EngineCore_DP0 pid=2) PermissionError: [Errno 13] Permission denied: '/.config'\n" +
				"(EngineCore_DP0 pid=2) Loading safetensors checkpoint shards:  20% Completed | 1/5 [00:20<01:20, 20.0s/it]\n" + core(30, "x"),
			engine: "vllm", version: "0.13.0", outcome: OutcomeTruncated, edges: map[string]string{"model_load": "3.00-30.00"},
		},
		"a thread that dies, and nothing after it": {
			log: sglangHead + sglangLoad + "[2026-03-01 12:01:05] Load weight end. type=M, avail mem=50.00 GB\n" + before(sglangTail, "[2026-03-01 12:06:00]") +
				"Exception in thread Thread-1 (_wait_and_warmup):\nTraceback (most recent call last):\n  x\njson.decoder.JSONDecodeError: x\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  x\nrequests.exceptions.JSONDecodeError: x\n",
			engine: "sglang", outcome: OutcomeFailed, reason: "python_exception:JSONDecodeError",
		},
		"a logger that fails, and says so twice": {
			log: before(start, "(EngineCore_DP0 pid=2) INFO 03-01 12:00:04") + "--- Logging error ---\nTraceback (most recent call last):\n  x\nKeyError: 'x'\n\nDuring handling of the above exception, another exception occurred:\n\n" +
				"Traceback (most recent call last):\n  x\nValueError: x\n" + core(30, "x"),
			engine: "vllm", version: "0.13.0", outcome: OutcomeTruncated,
		},
		"an exception before the engine's next step": {
			log: before(start, "(EngineCore_DP0 pid=2) INFO 03-01 12:00:03") + "(EngineCore_DP0 pid=2) Traceback (most recent call last):\n(EngineCore_DP0 pid=2)   x\n(EngineCore_DP0 pid=2) KeyError: 'x'\n" +
				core(3, "Starting to load model m...") + core(30, "x"),
			engine: "vllm", version: "0.13.0", outcome: OutcomeTruncated,
		},
		"weights that are loaded anew when the server is up": {
			log:    start + finish[1:] + core(90, "Reloading weights inplace...") + core(120, "Loading weights took 20.00 seconds") + core(121, "Graph capturing finished in 9 secs, took 0.60 GiB") + core(122, "init engine (profile, create kv cache, warmup model) took 9.00 seconds"),
			engine: "vllm", version: "0.13.0", outcome: OutcomeReady, figures: map[string]any{"weights_load_seconds": 0.5},
			edges: map[string]string{"weights_load/2": "", "cuda_graph_capture": "", "server_ready": "6.00-7.00"},
		},
		"TGI in JSON, twice": {
			log: strings.Repeat(`{"timestamp":"2026-03-01T12:00:00.0Z","level":"INFO","fields":{"message":"Args {\n    model_id: \"m\" }"},"target":"text_generation_launcher"}`+"\n"+
				`{"timestamp":"2026-03-01T12:00:09.0Z","level":"INFO","fields":{"message":"Successfully downloaded weights for m"},"target":"text_generation_launcher","spans":[{"name":"download"}]}`+"\n"+
				`{"timestamp":"2026-03-01T12:00:30.0Z","level":"ERROR","fields":{"message":"Shard 0 failed to start"},"target":"text_generation_launcher"}`+"\nError: ShardCannotStart\n", 2),
			engine: "tgi", outcome: OutcomeFailed, reason: "engine_failed", earlier: 1,
		},
		"SGLang's memory, a second after its weights": {
			log:    sglangHead + sglangLoad + "[2026-03-01 12:01:05] Load weight end. type=M, avail mem=50.00 GB\n[2026-03-01 12:01:06] Scheduler hit an exception: Traceback (most recent call last):\n  x\nRuntimeError: Not enough memory. Please try to increase --mem-fraction-static.\n",
			engine: "sglang", outcome: OutcomeFailed, reason: "kv_cache_too_small", edges: map[string]string{"model_load": "5.00-65.00", "kv_cache_init": "65.00-66.00!"},
		},
		"an API server that was killed": {
			log: start + "RuntimeError: Process ApiServer_0 (PID: 12) died with exit code -9\n", engine: "vllm", version: "0.13.0", outcome: OutcomeFailed, reason: startup.ReasonKilled,
		},
		"a failed phase ends at the exception": {
			log: start + "(EngineCore_DP0 pid=2) ERROR 03-01 12:00:20 [core.py:1] Traceback (most recent call last):\n(EngineCore_DP0 pid=2) ERROR 03-01 12:00:20 [core.py:1] KeyError: 'x'\n" +
				"(APIServer pid=1) INFO 03-01 12:00:50 [x.py:1] shutting down\n", engine: "vllm", version: "0.13.0", outcome: OutcomeFailed, reason: "python_exception:KeyError",
			edges: map[string]string{"memory_profiling": "5.00-20.00!"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := readText(t, c.log)
			if got.Engine != c.engine || got.Version != c.version || got.Outcome != c.outcome || got.Reason != c.reason {
				t.Errorf("%s %s %s %q, want %s %s %s %q", got.Engine, got.Version, got.Outcome, got.Reason, c.engine, c.version, c.outcome, c.reason)
			}
			for figure, want := range c.figures {
				if !reflect.DeepEqual(got.Figures[figure], want) {
					t.Errorf("%s: %v, want %v", figure, got.Figures[figure], want)
				}
			}
			at := edges(got)
			for key, want := range c.edges {
				if at[key] != want {
					t.Errorf("%s: %v, want %s", key, at, want)
				}
			}
			if c.earlier > 0 && len(got.Earlier) != c.earlier {
				t.Errorf("%d launches before: %+v", c.earlier, got.Earlier)
			}
			for of, want := range c.attribute {
				key, name, _ := strings.Cut(of, " ")
				i := slices.IndexFunc(got.Phases, func(p startup.Span) bool { return p.Key == key })
				if i < 0 {
					t.Errorf("no %s", key)
				} else if value, _ := got.Phases[i].Attribute(name); value.AsString() != want {
					t.Errorf("%s: %q, want %q", of, value.AsString(), want)
				}
			}
		})
	}
}

func TestTwoEnginesOfOneProgramAreBothTold(t *testing.T) {
	one := func(pid, minute int) string {
		core := fmt.Sprintf("(EngineCore pid=%d) INFO 03-01 12:%02d:", pid, minute)
		return fmt.Sprintf("INFO 03-01 12:%02d:00 [utils.py:1] non-default args: {'model': 'm'}\n", minute) + core + "05 [core.py:1] Initializing a V1 LLM engine (v0.19.0) with config: model='m'\n" +
			core + "10 [gpu_model_runner.py:1] Starting to load model m...\n" + core + "20 [gpu_model_runner.py:1] Model loading took 1.5 GiB memory and 10.000000 seconds\n" +
			core + "30 [core.py:1] init engine (profile, create kv cache, warmup model) took 10.00 seconds\n"
	}
	got := readText(t, one(7, 0)+one(8, 2))
	if init := got.Phases[0]; init.Start.Sub(noon) != 2*time.Minute || got.Outcome != OutcomeEngineReady || len(got.Earlier) > 1 {
		t.Errorf("%+v after %+v", init, got.Earlier)
	}
}

// Helpers of an engine that goes on may die, or leave a process behind that says so.
func TestAHelpersEndIsNotTheEngines(t *testing.T) {
	raw, err := os.ReadFile("testdata/vllm-0.19.0.log")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(raw), "\n")
	want := readText(t, string(raw))
	loading := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, "Starting to load model") })
	for _, word := range []string{
		"resource_tracker.py:279: UserWarning: resource_tracker: There appear to be 1 leaked shared_memory objects to clean up at shutdown\n",
		"subprocess.CalledProcessError: Command '['nvidia-smi']' returned non-zero exit status 9.\n",
		"fetch-1 exited with code 1\n",
	} {
		for i := range lines[:len(lines)-1] {
			got := readText(t, strings.Join(slices.Concat(lines[:i], []string{word}, lines[i:]), ""))
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%q before line %d: %s %+v\n%v, want\n%v", word, i+1, got.Outcome, got.Earlier, edges(got), edges(want))
			}
			if i >= loading {
				continue
			}
			if cut := readText(t, strings.Join(slices.Concat(lines[:i], []string{word}, lines[i:loading+1]), "")); cut.Outcome != OutcomeTruncated || len(cut.Earlier) > 0 {
				t.Fatalf("%q before line %d of a log that stops in the load: %s %s", word, i+1, cut.Outcome, cut.Reason)
			}
		}
	}
}

// What dies before it introduces itself is a launch all the same, and the pause before the next one is no part of either.
func TestALoopOfCrashesBeforeTheBannerIsToldLaunchByLaunch(t *testing.T) {
	prompt := func(minute int) string {
		return fmt.Sprintf("INFO 03-01 12:%02d:00 [__init__.py:1] Automatically detected platform cuda.\n", minute)
	}
	trt := func(minute int) string {
		at := fmt.Sprintf("[03/01/2026-12:%02d:", minute)
		return "[TensorRT-LLM] TensorRT LLM version: 1.1.0\n" + at + "05] [TRT-LLM] [I] Using LLM with PyTorch backend\n" + at + "10] [TRT-LLM] [I] start MpiSession with 2 workers\n"
	}
	silent := before(strings.ReplaceAll(start, "12:00:", "12:03:"), "(EngineCore_DP0 pid=2) INFO 03-01 12:03:05")
	for name, c := range map[string]struct {
		log    string
		starts []time.Duration // of each after noon, the last with it
		length time.Duration   // of the first
		reason startup.Reason
	}{
		"an import": {
			prompt(0) + "Traceback (most recent call last):\n  x\nImportError: libcudart.so.12: cannot open shared object file: No such file or directory\n" +
				prompt(1) + "Traceback (most recent call last):\n  x\nImportError: libcudart.so.12: cannot open shared object file: No such file or directory\n" + prompt(2),
			[]time.Duration{0, time.Minute, 2 * time.Minute}, 0, "library_missing",
		},
		"a flag": {
			prompt(0) + "vllm serve: error: unrecognized arguments: --x\n" + strings.ReplaceAll(start[1:], "12:00:", "12:02:"), []time.Duration{0, 2 * time.Minute}, 0, "bad_flag",
		},
		"without a word": {start[1:] + silent[1:], []time.Duration{0, 3 * time.Minute}, 5 * time.Second, ""},
		"TensorRT-LLM, whose banner has no time": {
			trt(0) + "RuntimeError: CUDA out of memory. Tried to allocate 2 GiB\n[03/01/2026-12:00:55] [TRT-LLM] [E] Failed to initialize executor on rank 0\n" + trt(5),
			[]time.Duration{5 * time.Second, 5*time.Minute + 5*time.Second}, 50 * time.Second, "cuda_out_of_memory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := readText(t, c.log)
			var starts []time.Duration
			for _, a := range got.Earlier {
				starts = append(starts, a.Start.Sub(noon))
			}
			starts = append(starts, got.Phases[0].Start.Sub(noon))
			if !slices.Equal(starts, c.starts) {
				t.Fatalf("%v, want %v", starts, c.starts)
			}
			if first := got.Earlier[0]; first.End.Sub(first.Start) != c.length || first.Reason != c.reason {
				t.Errorf("%+v", first)
			}
		})
	}
}

func TestACrashBeforeALaunchIsToldWhateverTheEngine(t *testing.T) {
	fixture := func(name string) string {
		raw, err := os.ReadFile("testdata/" + name + ".log")
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	for name, c := range map[string]struct {
		crash, launch string
		reason        startup.Reason
	}{
		"vLLM":                   {fixture("vllm-0.19.0-fails-cuda_oom"), fixture("vllm-0.19.0"), "cuda_out_of_memory"},
		"vLLM, by a flag":        {fixture("vllm-0.19.0-fails-bad_flag"), fixture("vllm-0.19.0"), "bad_flag"},
		"vLLM, without a word":   {fixture("vllm-0.19.0-fails-silent_kill"), fixture("vllm-0.19.0"), ""},
		"vLLM, under a shell":    {fixture("vllm-0.19.0-fails-silent_kill") + "vllm-1 exited with code 3\n", fixture("vllm-0.19.0"), "exit_code=3"},
		"vLLM's first engine":    {fixture("vllm-0.6.6-fails-cuda_oom"), fixture("vllm-0.6.6"), "cuda_out_of_memory"},
		"SGLang":                 {fixture("sglang-tp2-fails-cuda_oom"), sglangHead + sglangLoad + sglangTail, "cuda_out_of_memory"},
		"TensorRT-LLM":           {fixture("trtllm-serve-fails-cuda_oom"), fixture("trtllm-serve"), "cuda_out_of_memory"},
		"LMDeploy":               {fixture("lmdeploy-fails-cuda_oom"), fixture("lmdeploy-turbomind"), "cuda_out_of_memory"},
		"TGI":                    {before(fixture("tgi-two-shards"), "\n") + "\n2026-03-01T12:00:03.000000Z ERROR text_generation_launcher: Error: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB\n", fixture("tgi-two-shards"), "cuda_out_of_memory"},
		"the same engine, twice": {fixture("vllm-0.19.0-fails-cuda_oom") + fixture("vllm-0.19.0-fails-cuda_oom"), fixture("vllm-0.19.0"), "cuda_out_of_memory"},
	} {
		t.Run(name, func(t *testing.T) {
			got, alone := readText(t, c.crash+c.launch), readText(t, c.launch)
			if c.reason == "" || c.reason == "exit_code=3" { // who says the first line, the next server or a process of the one before, is not known
				delete(got.Figures, "first_stamp")
				delete(alone.Figures, "first_stamp")
			}
			if n := 1 + strings.Count(name, "twice"); len(got.Earlier) != n || got.Earlier[0].Reason != c.reason {
				t.Errorf("%+v", got.Earlier)
			}
			if got.Outcome != OutcomeReady || !reflect.DeepEqual(got.Figures, alone.Figures) {
				t.Errorf("%s %v, alone %v", got.Outcome, got.Figures, alone.Figures)
			}
		})
	}
}
