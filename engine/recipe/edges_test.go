// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/coldtrace/coldtrace/startup"
)

// edges are the phases of a result: begin and end in seconds after noon, with ! where it failed.
func edges(r Result) map[string]string {
	out := map[string]string{}
	for _, p := range r.Phases {
		mark := ""
		if p.Failure != "" {
			mark = "!"
		}
		out[p.Key] = fmt.Sprintf("%.2f-%.2f%s", p.Start.Sub(noon).Seconds(), p.End.Sub(noon).Seconds(), mark)
	}
	delete(out, "vllm_init")
	delete(out, startup.SpanPythonImport)
	return out
}

func TestLoadingEndsWhereTheNextThingBegins(t *testing.T) {
	const (
		core    = "(EngineCore pid=9) "
		began   = core + "INFO 03-01 12:00:00 [cpu_model_runner.py:1] Starting to load model m...\n"
		bar     = "Loading safetensors checkpoint shards: %3d%% Completed | %d/5 [00:00<00:00,  9.13it/s]\n"
		weights = core + "INFO 03-01 12:00:03 [default_loader.py:1] Loading weights took 1.00 seconds\n"
		size    = core + "INFO 03-01 12:00:04 [kv_cache_utils.py:1] CPU KV cache size: 116,480 tokens, Maximum concurrency for 2,048 tokens per request: 56.88x\n"
		warming = core + "INFO 03-01 12:00:05 [cpu_model_runner.py:1] Warming up model for the compilation...\n"
		warm    = core + "INFO 03-01 12:00:06 [cpu_model_runner.py:1] Warming up done.\n"
		first   = "(EngineCore_DP0 pid=7) "
		other   = "(EngineCore_DP1 pid=8) "
		lost    = core + "ERROR 03-01 12:00:04 [core.py:1] Traceback (most recent call last):\n" + core + "ERROR 03-01 12:00:04 [core.py:1] IndexError: list index out of range\n"
		refused = core + "Traceback (most recent call last):\n" + core + "  File \"/v/core.py\", line 1, in _initialize_kv_caches\n" +
			core + "  File \"/v/gpu_model_runner.py\", line 2, in initialize_kv_cache\n" + core + "RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.\n"
		init = core + "INFO 03-01 12:00:07 [core.py:1] init engine (profile, create kv cache, warmup model) took 1.00 s\n"
	)
	bars := func(percent ...int) string {
		var out strings.Builder
		for _, p := range percent {
			fmt.Fprintf(&out, bar, p, p/20)
		}
		return out.String()
	}
	for name, c := range map[string]struct {
		log  string
		exit *Exit
		want map[string]string
	}{
		"a CPU": {began + bars(0, 100) + weights + size + warming + warm + init, nil, map[string]string{
			"model_load": "0.00-4.00", "weights_load": "1.00-3.00", "kv_cache_init": "4.00-4.00", "kernel_warmup": "4.00-6.00", "memory_profiling": "6.00-7.00",
		}},
		"a device that only says that its engine is ready": {began + weights + init, nil, map[string]string{"model_load": "0.00-1.00", "weights_load": "0.00-1.00", "memory_profiling": "1.00-2.00"}},
		"weights of which only a bar tells":                {began + bars(0, 20) + size, &Exit{Signal: 9}, map[string]string{"model_load": "0.00-3.00", "kv_cache_init": "3.00-3.00", "kernel_warmup": "3.00-4.00!"}},
		"a bar that comes after the closing line":          {began + bars(0) + weights + bars(80, 100) + size, &Exit{Signal: 9}, map[string]string{"model_load": "0.00-5.00", "weights_load": "1.00-2.00", "kv_cache_init": "5.00-5.00", "kernel_warmup": "5.00-6.00!"}},
		"a bar of a second model": {began + bars(0) + weights + size + warming + bars(0), &Exit{Signal: 9}, map[string]string{
			"model_load": "0.00-3.00", "weights_load": "1.00-2.00", "weights_load/2": "5.00-6.00!", "kv_cache_init": "3.00-3.00", "kernel_warmup": "3.00-5.00",
		}},
		"it dies in the warm-up": {began + weights + size + warming, &Exit{Signal: 9}, map[string]string{
			"model_load": "0.00-2.00", "weights_load": "0.00-1.00", "kv_cache_init": "2.00-2.00", "kernel_warmup": "2.00-4.00!",
		}},
		"memory for the cache that was planned is not to be had": {began + weights + size + refused, &Exit{Code: 1}, map[string]string{
			"model_load": "0.00-2.00", "weights_load": "0.00-1.00", "kv_cache_init": "2.00-7.00!",
		}},
		"one of two engines had failed when the other was ready": {strings.ReplaceAll(began+weights+size, core, first) + strings.ReplaceAll(lost, core, other) + strings.ReplaceAll(warming+warm+init, core, first), &Exit{Code: 1}, map[string]string{
			"model_load": "0.00-2.00", "weights_load": "0.00-1.00", "kv_cache_init": "2.00-2.00", "kernel_warmup": "2.00-6.00", "memory_profiling": "6.00-8.00",
		}},
		"too little memory for requests": {began + weights + core + "ValueError: No available memory for the cache blocks. Try x\n", &Exit{Code: 1}, map[string]string{
			"model_load": "0.00-1.00", "weights_load": "0.00-1.00", "kv_cache_init": "1.00-3.00!",
		}},
		"it dies as it loads": {began + bars(0, 20), &Exit{Signal: 9}, map[string]string{"model_load": "0.00-3.00!", "weights_load": "1.00-3.00!"}},
		"one of two ranks still loads": {strings.ReplaceAll(began, core, "(Worker_TP0 pid=7) ") + strings.ReplaceAll(began, core, "(Worker_TP1 pid=8) ") +
			"(Worker_TP0 pid=7) INFO 03-01 12:00:05 [backends.py:1] Dynamo bytecode transform time: 1.00 s\n" +
			"(Worker_TP1 pid=8) INFO 03-01 12:00:06 [gpu_model_runner.py:1] Model loading took 1.5 GiB memory and 2.000000 seconds\n", nil, map[string]string{"model_load": "0.00-3.00", "dynamo": "1.00-2.00", "memory_profiling": "3.00-4.00"}},
		"a closing line that comes after all": {began + core + "INFO 03-01 12:00:05 [backends.py:1] Dynamo bytecode transform time: 0.50 s\n" +
			core + "INFO 03-01 12:00:06 [gpu_model_runner.py:1] Model loading took 1.5 GiB memory and 2.000000 seconds\n", nil, map[string]string{"model_load": "0.00-2.00", "dynamo": "0.50-1.00", "memory_profiling": "2.00-3.00"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, end := live(t, "vllm", c.log)
			got := r.Result(c.exit, end)
			if is := edges(got); !reflect.DeepEqual(is, c.want) {
				t.Errorf("got %v, want %v", is, c.want)
			}
			checkPhases(t, got)
		})
	}
}

func TestTheExceptionThatWasNotCaughtIsTold(t *testing.T) {
	const (
		from   = "\nThe above exception was the direct cause of the following exception:\n\n"
		within = "\nDuring handling of the above exception, another exception occurred:\n\n"
	)
	trace := func(exception string) string {
		return "Traceback (most recent call last):\n  File \"x.py\", line 1, in f\n" + exception + "\n"
	}
	const core = "(EngineCore_DP0 pid=2) "
	for name, c := range map[string]struct {
		log  string
		want startup.Reason
	}{
		"raise … from":                       {trace("KeyError: 'x'") + from + trace("ValueError: x"), "python_exception:ValueError"},
		"raise within except":                {trace("StopIteration") + within + trace("importlib.metadata.PackageNotFoundError: m"), "python_exception:PackageNotFoundError"},
		"a chain of three":                   {trace("KeyError: 'x'") + from + trace("ValueError: x") + within + trace("RuntimeError: x"), "python_exception:RuntimeError"},
		"a chain with prefixes":              {prefixed(core, trace("KeyError: 'x'")+"\nDuring handling of the above exception, another exception occurred:\n\n"+trace("TypeError: x")), "python_exception:TypeError"},
		"a chain of another process":         {prefixed(core, trace("KeyError: 'x'")) + trace("OSError: x") + from + trace("RuntimeError: x"), "python_exception:KeyError"},
		"two that are not chained":           {trace("KeyError: 'x'") + trace("ValueError: x"), "python_exception:KeyError"},
		"a cause that is named":              {trace("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB") + from + trace("RuntimeError: x"), "cuda_out_of_memory"},
		"an engine that died of it":          {prefixed(core, trace("KeyError: 'x'")+from+trace("ValueError: x")) + trace("RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"), "python_exception:ValueError"},
		"exceptions that say no more":        {trace("KeyError: 'x'") + from + trace("RuntimeError: Engine core initialization failed. See root cause above."), "python_exception:KeyError"},
		"a link that HCCL waits for":         {trace("RuntimeError: The Inner error is reported as above.") + "EI0006: [PID: 9] Getting socket times out. Reason: Remote Rank did not send the data in time.\n", "hccl_error"},
		"memory on a CPU":                    {trace("ValueError: Available memory on node 0 (10/16 GiB) on kv cache allocation is less than requested memory for kv (500 GiB). x"), "out_of_memory"},
		"a worker that was killed":           {"(EngineCore_DP0 pid=2) ERROR 03-01 12:00:09 [multiproc_executor.py:1] Worker proc VllmWorker-1 died unexpectedly (exit code: -9), shutting down executor.\n", "killed"},
		"an engine that was killed":          {trace("RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore_DP0': -9}"), "killed"},
		"an engine of which nobody knows it": {trace("RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"), "engine_failed"},
	} {
		t.Run(name, func(t *testing.T) {
			r, end := live(t, "vllm", start+c.log)
			if got := r.Result(&Exit{Code: 1}, end).Reason; got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
