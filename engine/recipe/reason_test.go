// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"testing"

	"github.com/coldtrace/coldtrace/startup"
)

const engineCore = "(EngineCore pid=2) "

// raised is how a Python process ends: the last line names the exception.
func raised(lines string) string {
	return engineCore + "Traceback (most recent call last):\n" + engineCore + "  File \"x.py\", line 1, in f\n" + engineCore + lines + "\n" +
		"(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}\n"
}

func TestWhatKillsAStartHasAReason(t *testing.T) {
	for name, c := range map[string]struct {
		log  string
		want startup.Reason
	}{
		"CUDA memory, of PyTorch":          {raised("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 270.00 MiB."), "cuda_out_of_memory"},
		"CUDA memory, of the driver":       {raised("torch.AcceleratorError: CUDA error: out of memory"), "cuda_out_of_memory"},
		"CUDA memory, within another":      {raised("Exception: Capture cuda graph failed: CUDA out of memory. Tried to allocate 1.20 GiB."), "cuda_out_of_memory"},
		"HIP memory":                       {raised("torch.cuda.OutOfMemoryError: HIP out of memory. Tried to allocate 4.50 GiB."), "hip_out_of_memory"},
		"NPU memory":                       {raised("RuntimeError: NPU out of memory. Tried to allocate 2.00 GiB"), "npu_out_of_memory"},
		"NPU memory, of CANN":              {raised("[PID: 7] 2026-03-01-12:00:00 Memory_Allocation_Failure(EL0004): Failed to allocate memory requested by GE module.\nRuntimeError: x"), "npu_out_of_memory"},
		"XPU memory":                       {raised("RuntimeError: level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)"), "xpu_out_of_memory"},
		"TPU memory":                       {raised("jax.errors.JaxRuntimeError: RESOURCE_EXHAUSTED: Error allocating device buffer: Attempting to allocate 1.96G."), "tpu_out_of_memory"},
		"CUDA memory, of its driver":       {raised("RuntimeError: CUDA driver error: out of memory"), "cuda_out_of_memory"},
		"CUDA memory, for cuBLAS":          {raised("RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "cuda_out_of_memory"},
		"host memory, of PyTorch":          {raised("RuntimeError: [enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."), "out_of_memory"},
		"host memory, of C++":              {"terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n", "out_of_memory"},
		"no room for blocks":               {raised("ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`."), "kv_cache_too_small"},
		"a context larger than the cache":  {raised("ValueError: The model's max seq len (131072) is larger than the maximum number of tokens that can be stored in KV cache (12345)."), "kv_cache_too_small"},
		"memory that others use":           {raised("ValueError: Free memory on device cuda:0 (3.1/79.2 GiB) on startup is less than desired GPU memory utilization (0.9, 71.3 GiB)."), "gpu_memory_in_use"},
		"memory that others free":          {raised("AssertionError: Error in memory profiling. Initial free memory 22.1 GiB, current free memory 23.4 GiB."), "gpu_memory_in_use"},
		"a driver that is too old":         {raised("RuntimeError: The NVIDIA driver on your system is too old (found version 12020)."), "gpu_driver"},
		"no driver":                        {raised("RuntimeError: Found no NVIDIA driver on your system."), "gpu_driver"},
		"a driver of two versions":         {raised("vllm.third_party.pynvml.NVMLError: Driver/library version mismatch"), "gpu_driver"},
		"no GPU":                           {raised("RuntimeError: No CUDA GPUs are available"), "no_gpu"},
		"a GPU without kernels":            {raised("RuntimeError: CUDA error: no kernel image is available for execution on the device"), "gpu_unsupported"},
		"a GPU that broke":                 {raised("torch.AcceleratorError: CUDA error: uncorrectable ECC error encountered"), "gpu_fault"},
		"a GPU that is gone":               {"NVRM: Xid (PCI:0000:07:00): 79, pid=1, GPU has fallen off the bus.\n", "gpu_fault"},
		"a kernel's fault":                 {raised("torch.AcceleratorError: CUDA error: an illegal memory access was encountered"), "cuda_error"},
		"a GPU that HIP has no code for":   {raised("torch.AcceleratorError: HIP error: invalid device function"), "gpu_unsupported"},
		"a kernel's fault, of HIP":         {raised("RuntimeError: HIP error: an illegal memory access was encountered"), "hip_error"},
		"CUDA in a forked process":         {raised("RuntimeError: Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, you must use the 'spawn' start method"), "cuda_forked"},
		"peers that don't come":            {raised("torch.distributed.DistStoreError: Timed out after 601 seconds waiting for clients. 1/4 clients joined."), "rendezvous_timeout"},
		"no compiler":                      {raised("RuntimeError: Could not find nvcc and default cuda_home='/usr/local/cuda' doesn't exist"), "build_tool_missing"},
		"a GPU of a higher number":         {raised("torch.AcceleratorError: CUDA error: invalid device ordinal"), "too_few_gpus"},
		"fewer TPUs than ranks":            {raised("ValueError: Number of devices 4 must be >= the product of mesh_shape (1, 8)"), "too_few_gpus"},
		"a platform that is none":          {raised("RuntimeError: Device string must not be empty"), "no_gpu"},
		"an assembler that is too old":     {raised("triton.runtime.errors.PTXASError: ptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'"), "gpu_unsupported"},
		"HCCL":                             {raised("RuntimeError: create_config:build/x.ts:148 HCCL function error: hcclCommInitRootInfoConfig(numRanks), error code is 1"), "hccl_error"},
		"peers that nobody reaches":        {raised("torch.distributed.DistNetworkError: The client socket has timed out after 600000ms while trying to connect to (10.0.0.1, 29500)."), "rendezvous_timeout"},
		"fewer GPUs than ranks":            {raised("AssertionError: please ensure that world_size (2) is less than than max local gpu count (1)"), "too_few_gpus"},
		"code that is not trusted, 0.4":    {raised("ValueError: Loading m requires you to execute the configuration file in that repo on your local machine."), "remote_code_not_trusted"},
		"a model given twice":              {raised("ValueError: With `vllm serve`, you should provide the model as a positional argument or in a config file instead of via the `--model` option."), "bad_flag"},
		"an API server's own exception":    {"Traceback (most recent call last):\n  File \"x.py\", line 1, in f\nRuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}\n", startup.ReasonEngineFailed},
		"Ray that is shut down after it":   {raised("KeyError: 'x'") + "INFO 03-01 12:00:09 [ray_distributed_executor.py:127] Shutting down Ray distributed executor. If you see error log from logging.cc regarding SIGTERM received, please ignore because this is the expected termination process in Ray.\n", "python_exception:KeyError"},
		"workers, before it kills itself":  {raised("KeyError: 'x'") + "CRITICAL 03-01 12:00:09 [core_client.py:359] Got fatal signal from worker processes, shutting down. See stack trace above for root cause issue.\nKilled\n", "python_exception:KeyError"},
		"NCCL":                             {raised("torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:77, unhandled cuda error"), "nccl_error"},
		"NCCL that waits for ever":         {"[rank0]:[E1] [PG ID 2] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1)\n", "nccl_timeout"},
		"Ray without enough nodes":         {raised("ValueError: Cannot provide a placement group of placement_group_specs=[{'GPU': 1.0}] within 1800 seconds."), "ray_incomplete"},
		"no Ray":                           {raised("ConnectionError: Could not find any running Ray instance. Please specify the one to connect to."), "ray_incomplete"},
		"a gated model":                    {raised("huggingface_hub.errors.GatedRepoError: 401 Client Error. (Request ID: Root=1-0)"), "download_failed"},
		"a model that nobody has":          {raised("huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error."), "download_failed"},
		"a hub that does not answer":       {raised("OSError: We couldn't connect to 'https://huggingface.co' to load the files"), "download_failed"},
		"a store that does not answer":     {raised("RuntimeError: Data processing error: CAS service error : ReqwestMiddleware Error: Request failed after 5 retries"), "download_failed"},
		"a full disk":                      {raised("OSError: [Errno 28] No space left on device"), "no_space_left"},
		"a folder without a model":         {raised("ValueError: Invalid repository ID or local directory specified: '/m'."), "model_not_found"},
		"weights that are cut":             {raised("safetensors_rust.SafetensorError: Error while deserializing header: MetadataIncompleteBuffer"), "weights_corrupt"},
		"a model that is too new":          {raised("ValueError: Model architectures ['NewForCausalLM'] are not supported for now. Supported architectures: dict_keys(['A'])"), "model_unsupported"},
		"code that is not trusted":         {raised("ValueError: m requires you to execute code. Please pass the argument `trust_remote_code=True` to allow it."), "remote_code_not_trusted"},
		"NCCL, whose plugin is missed":     {"host:301:301 [0] NCCL INFO NET/Plugin: libnccl-net.so: cannot open shared object file: No such file or directory\n" + raised("RuntimeError: NCCL error: unhandled system error"), "nccl_error"},
		"a TPU's memory":                   {raised("RuntimeError: Unable to load model, a likely reason is the model is too large for the current device's HBM memory."), "tpu_out_of_memory"},
		"an Ascend's graphs":               {raised("RuntimeError: ACL graph capture failed with a known stream-resource exhaustion signature."), "cuda_graph_failed"},
		"libraries of two builds":          {raised("ImportError: /x/_C.abi3.so: undefined symbol: _ZN3c106Error"), "library_mismatch"},
		"a library that is not there":      {raised("ImportError: libcudart.so.12: cannot open shared object file: No such file or directory"), "library_missing"},
		"more ranks than GPUs":             {raised("ValidationError: World size (8) is larger than the number of available GPUs (4) in this node."), "too_few_gpus"},
		"a bus error that Python reports":  {"Fatal Python error: Bus error\n", "bus_error"},
		"a GPU's error that ends natively": {"terminate called after throwing an instance of 'c10::Error'\n  what():  CUDA error: an illegal memory access was encountered\nFatal Python error: Aborted\n", "cuda_error"},
		"a GPU that can't quantise so":     {raised("ValueError: The quantization method fp8 is not supported for the current GPU. Minimum capability: 89. Current capability: 80."), "gpu_unsupported"},
		"fewer blocks than requests":       {raised("ValueError: max_num_seqs (256) exceeds available Mamba cache blocks (100)."), "kv_cache_too_small"},
		"shared memory that is too small":  {raised("RuntimeError: Insufficient space in /dev/shm for buffers: 512 MiB required, 64 MiB free. Increase it."), "no_space_left"},
		"a context longer than trained":    {raised("ValueError: User-specified max_model_len (99999) is greater than the derived max_model_len (max_position_embeddings=8192)."), "max_model_len_too_large"},
		"heads that don't divide":          {raised("ValueError: Total number of attention heads (32) must be divisible by tensor parallel size (3)."), "parallelism_unsupported"},
		"a port that is taken":             {"(APIServer pid=1) OSError: [Errno 98] Address already in use\n", "port_in_use"},
		"a port of NCCL's store":           {raised("torch.distributed.DistNetworkError: The server socket has failed to listen on any local network address. port: 29500, code: -98, name: EADDRINUSE, message: address already in use"), "port_in_use"},
		"a flag that is not known":         {"vllm serve: error: unrecognized arguments: --no-such-flag\n", "bad_flag"},
		"a flag's value":                   {"vllm serve: error: argument --dtype: invalid choice: 'x' (choose from 'auto', 'half')\n", "bad_flag"},
		"the kernel's killer":              {"(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore_DP0': -9}\n", "killed"},
		"an instruction that is not had":   {"(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore_DP0': -4}\n", "illegal_instruction"},
		"anything else":                    {raised("KeyError: 'layers.0.mlp.weight'"), "python_exception:KeyError"},
		"nothing else":                     {"(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}\n", startup.ReasonEngineFailed},
	} {
		t.Run(name, func(t *testing.T) {
			r, end := live(t, "vllm", start+c.log)
			if got := r.Result(&Exit{Code: 1}, end); got.Outcome != OutcomeFailed || got.Reason != c.want {
				t.Errorf("%s %q, want %q", got.Outcome, got.Reason, c.want)
			}
		})
	}
}

func TestWhatKillsOtherEnginesHasAReason(t *testing.T) {
	sglang := func(lines string) string {
		return "[2026-03-01 12:00:00] server_args=ServerArgs(model_path='m')\n[2026-03-01 12:00:01 TP1] Load weight begin.\n" + lines
	}
	scheduler := func(exception string) string {
		return sglang("[2026-03-01 12:00:02 TP1] Scheduler hit an exception: Traceback (most recent call last):\n  File \"x.py\", line 1, in f\n    g()\n" + exception + "\n\n")
	}
	llama := func(lines string) string {
		return "system info: n_threads = 8, n_threads_batch = 8, total_threads = 16\nsrv    load_model: loading model '/m.gguf'\n" + lines + "main: exiting due to model loading error\n"
	}
	triton := func(lines string) string {
		return "I0301 12:00:00.000000 1 model_lifecycle.cc:461] loading: tensorrt_llm:1\n" + lines + "error: creating server: Internal - failed to load all models\n"
	}
	tgi := func(lines string) string {
		return "2026-03-01T12:00:00.000000Z  INFO text_generation_launcher: Starting shard rank=0\n" + lines
	}
	for name, c := range map[string]struct {
		engine, log string
		want        startup.Reason
	}{
		"a scheduler's exception":             {"sglang", scheduler("KeyError: 'x'"), "python_exception:KeyError"},
		"a model that SGLang has not":         {"sglang", scheduler("ValueError: Model architectures ['X'] are not supported for now."), "model_unsupported"},
		"memory that others use":              {"sglang", scheduler("ValueError: The memory capacity is unbalanced. Some GPUs may be occupied by other processes."), "gpu_memory_in_use"},
		"a scheduler that was killed":         {"sglang", sglang("RuntimeError: Rank 0 scheduler died during initialization (exit code: -9). If exit code is -9 (SIGKILL), the OS killed it.\n"), "killed"},
		"a scheduler that aborted":            {"sglang", sglang("RuntimeError: Rank 0 scheduler died during initialization (exit code: -3). If exit code is -9 (SIGKILL), the OS killed it.\n"), startup.ReasonEngineFailed},
		"a scheduler that its watch saw go":   {"sglang", sglang("[2026-03-01 12:00:03] Subprocess scheduler_0 (pid=7) crashed with exit code -9. Triggering SIGQUIT for cleanup...\n"), "killed"},
		"a controller that is gone":           {"sglang", sglang("[2026-03-01 12:00:03] Scheduler or DataParallelController 7 terminated with -11\n"), "segmentation_fault"},
		"a scheduler that ended by itself":    {"sglang", sglang("[2026-03-01 12:00:03] Scheduler or DataParallelController 7 terminated with 1\n"), startup.ReasonEngineFailed},
		"a scheduler that is gone":            {"sglang", sglang("Rank 0 scheduler is dead. Please check if there are relevant logs.\nExit code: -9\n"), "killed"},
		"an SGLang that kills itself":         {"sglang", scheduler("KeyError: 'x'") + "[2026-03-01 12:00:02] Received sigquit from a child proces. It usually means the child failed.\nKilled\n", "python_exception:KeyError"}, //nolint:misspell // SGLang's own
		"an old SGLang that kills itself":     {"sglang", sglang("Exception in ModelTpServer:\nTraceback (most recent call last):\n  File \"x.py\", line 1, in f\nKeyError: 'x'\nrun.sh: line 1: 23287 Killed                  python -m sglang.launch_server\n"), "python_exception:KeyError"},
		"a warm-up that SGLang gives up":      {"sglang", sglang("[2026-03-01 12:00:02] Initialization failed. warmup error: Traceback (most recent call last):\n  File \"x.py\", line 1, in f\nAssertionError: res=<Response [502]>\nKilled\n"), "python_exception:AssertionError"},
		"memory that TensorRT-LLM's GPU lost": {"tensorrt_llm", "[TensorRT-LLM] TensorRT LLM version: 1.1.0\nRuntimeError: [TensorRT-LLM][ERROR] CUDA runtime error in ::cudaFree(ptr): an illegal memory access was encountered (tllmBuffers.h:98)\n", "cuda_error"},
		"TensorRT's memory":                   {"tensorrt_llm", triton("[TensorRT-LLM][ERROR] [defaultAllocator.cpp::allocate::31] Error Code 1: Cuda Runtime (out of memory)\nE0301 12:00:03.000000 1 x.cc:1] failed to load 'tensorrt_llm' version 1\n"), "cuda_out_of_memory"},
		"one model of several":                {"tensorrt_llm", triton("E0301 12:00:02.000000 1 x.cc:1] failed to load 'tensorrt_llm' version 1\nI0301 12:00:03.000000 1 model_lifecycle.cc:818] successfully loaded 'preprocessing'\n"), startup.ReasonModelLoadFailed},
		"an instance of a model":              {"tensorrt_llm", triton("I0301 12:00:02.000000 1 model_lifecycle.cc:818] successfully loaded 'preprocessing'\nE0301 12:00:03.000000 1 x.cc:1] ERROR: Failed to create instance: unexpected error\n"), startup.ReasonModelLoadFailed},
		"a shard that can't begin":            {"tgi", tgi("2026-03-01T12:00:02.000000Z ERROR shard-manager: text_generation_launcher: Error when initializing model\n"), startup.ReasonEngineFailed},
		"a model that TGI has not":            {"tgi", tgi("ValueError: Unsupported model type x\n"), "model_unsupported"},
		"heads that TGI can't divide":         {"tgi", tgi("ValueError: `num_heads` must be divisible by `num_shards` (got `num_heads`: 71 and `num_shards`: 2\n"), "parallelism_unsupported"},
		"an argument without its value":       {"tgi", "error: a value is required for '--model-id <MODEL_ID>' but none was supplied\n", "bad_flag"},
		"a file that llama.cpp has not":       {"llama_cpp", llama("llama_model_load: error loading model: llama_model_loader: failed to open /m.gguf: No such file or directory\n"), "model_not_found"},
		"a file that is a pointer":            {"llama_cpp", llama("gguf_init_from_file_impl: invalid magic characters: 'vers', expected 'GGUF'\n"), "weights_corrupt"},
		"a model that llama.cpp has not":      {"llama_cpp", llama("llama_model_load: error loading model: unknown model architecture: 'x'\n"), "model_unsupported"},
		"an error of a GPU under llama.cpp":   {"llama_cpp", llama("/app/ggml/src/ggml-cuda/ggml-cuda.cu:70: CUDA error\nAborted (core dumped)\n"), "cuda_error"},
		"memory of an AMD GPU":                {"llama_cpp", llama("llama_model_load: error loading model: unable to allocate ROCm0 buffer\n"), "hip_out_of_memory"},
		"a llama.cpp without a GPU":           {"llama_cpp", "ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected\n" + llama(""), startup.ReasonEngineFailed},
		"an option that llama.cpp has not":    {"llama_cpp", "error: invalid argument: --no-such-flag\n", "bad_flag"},
		"hardware that no profile of NIM is":  {"vllm", "ERROR 03-01 12:00:00 utils.py:21] Could not find a profile that is currently runnable with the detected hardware.\n", "gpu_unsupported"},
	} {
		t.Run(name, func(t *testing.T) {
			r, end := live(t, c.engine, c.log)
			if got := r.Result(&Exit{Code: 1}, end); got.Outcome != OutcomeFailed || got.Reason != c.want {
				t.Errorf("%s %q, want %q", got.Outcome, got.Reason, c.want)
			}
		})
	}
}

func TestWhatAStartSurvivesIsNoReason(t *testing.T) {
	for name, lines := range map[string]string{
		"a download that is tried again":  "'(ReadTimeoutError(\"HTTPSConnectionPool(host='huggingface.co', port=443): Read timed out.\"))' thrown while requesting HEAD https://huggingface.co/m\nRetrying in 1s [Retry 1/5].\n",
		"an optional import":              "Traceback (most recent call last):\n  File \"x.py\", line 1\nImportError: libx.so: cannot open shared object file: No such file or directory\n",
		"libraries that are done without": "x/image.py:13: UserWarning: Failed to load image Python extension: 'image.so: undefined symbol: _ZN3c1'\nSkipping import of cpp extensions: _C.abi3.so: undefined symbol: _ZN3c105ErrorC2E\n",
		"memory that is found elsewhere":  "[W801] expandable_segments: memory mapping failed with OOM, 2 retries left\n",
		"a wait":                          "(EngineCore pid=2) INFO 03-01 12:00:06 [shm_broadcast.py:466] No available shared memory broadcast block found in 60 seconds.\n",
		"Ray that comes later":            "WARNING 03-01 12:00:06 [ray_utils.py:320] The number of required GPUs exceeds the total number of available GPUs in the placement group.\n",
	} {
		t.Run(name, func(t *testing.T) {
			r, end := live(t, "vllm", start+lines+"(EngineCore_DP0 pid=2) INFO 03-01 12:00:07 [default_loader.py:1] Loading weights took 0.50 seconds\n")
			if got := r.Result(&Exit{Code: 1}, end); got.Reason != "exit_code=1" {
				t.Errorf("%s %q", got.Outcome, got.Reason)
			}
		})
	}
}

func TestEveryReasonOfARecipeHasAMeaning(t *testing.T) {
	words := 0
	for _, r := range recipes() {
		for _, rule := range r.rules {
			if rule.Fails == "" {
				continue
			}
			words++
			if m, known := rule.Fails.Meaning(); !known || m.Says == "" {
				t.Errorf("%s: startup.Reasons lacks %s", r.name, rule.Fails)
			}
		}
	}
	for _, reason := range died {
		if _, known := reason.Meaning(); !known {
			t.Errorf("startup.Reasons lacks %s", reason)
		}
	}
	if words < 40 {
		t.Errorf("%d rules give a reason", words)
	}
}
