// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// failures are the ways to die that SIM_FAIL names: at the first of the points that the script has.
var failures = map[string]struct {
	points    []string
	exception string // the Python exception that ends it
	worker    bool   // raised in the engine's process, which the server then reports
	code      int
	act       func(p *player) int
}{
	"cuda_oom": {points: []string{"weights"}, worker: true, code: 1, exception: "torch.OutOfMemoryError: CUDA out of memory. " +
		"Tried to allocate 270.00 MiB. GPU 0 has a total capacity of 15.47 GiB of which 115.31 MiB is free."},
	"hip_oom": {points: []string{"weights"}, worker: true, code: 1, exception: "torch.OutOfMemoryError: HIP out of memory. " +
		"Tried to allocate 270.00 MiB. GPU 0 has a total capacity of 63.98 GiB of which 0 bytes is free."},
	"kv_cache": {points: []string{"kv"}, worker: true, code: 1, exception: "ValueError: To serve at least one request with the " +
		"models's max seq len (8192), (1.00 GiB KV cache is needed, which is larger than the available KV cache memory (0.31 GiB)."},
	"no_kv_memory": {points: []string{"kv"}, worker: true, code: 1, exception: "ValueError: No available memory for the cache blocks. " +
		"Try increasing `gpu_memory_utilization` when initializing the engine."},
	"gpu_busy": {points: []string{"load", "weights"}, worker: true, code: 1, exception: "ValueError: Free memory on device " +
		"(3.10/79.25 GiB) on startup is less than desired GPU memory utilization (0.9, 71.33 GiB)."},
	"port_in_use": {points: []string{"listen-early", "listen"}, code: 1, exception: "OSError: [Errno 98] Address already in use"},
	"python_exception": {points: []string{"load", "weights"}, worker: true, code: 1,
		exception: "KeyError: 'layers.0.mlp.simulated_proj.weight'"},
	"download": {points: []string{"download", "load", "weights"}, worker: true, code: 1,
		exception: "huggingface_hub.errors.LocalEntryNotFoundError: An error happened while trying to locate the files on the Hub."},
	"ray": {points: []string{"load", "weights"}, worker: true, code: 1, exception: "ValueError: Cannot provide a placement group of " +
		"placement_group_specs=[{{'GPU': 1.0}}] within 1800 seconds."},
	"otel_missing": {points: []string{"listen-early"}, code: 1},
	"engine_ready_then_die": {points: []string{"engine-ready", "listen"}, code: 1,
		exception: "openai_harmony.HarmonyError: invalid tiktoken vocab file: could not split on ' ' at line 1"},
	"bad_flag":    {points: []string{"args"}, code: 2, act: badFlag},
	"silent_kill": {points: []string{"compile", "kv", "weights"}, code: 137, act: bySignal(syscall.SIGKILL)},
	"segfault":    {points: []string{"graphs", "kv", "weights"}, code: 139, act: bySignal(syscall.SIGSEGV)},
	"host_oom":    {points: []string{"compile", "kv", "weights"}, code: 1, act: fillMemory},
	"exit0":       {points: []string{"kv", "weights"}, code: 0},
	"exit3":       {points: []string{"kv", "weights"}, code: 3},
	"hang":        {points: []string{"compile", "kv", "weights"}, act: hang},
}

// fatalPoint is where the failure will strike in this script, empty if nowhere.
func fatalPoint(failure string, steps []step) string {
	for _, point := range failures[failure].points {
		for _, s := range steps {
			if s.verb == "fail" && s.words[0] == point {
				return point
			}
		}
	}
	return ""
}

// strike dies at a point if SIM_FAIL names a failure that belongs there.
func (p *player) strike(point string) (int, bool) {
	name := os.Getenv("SIM_FAIL")
	f, ok := failures[name]
	if !ok || point != p.fatal || p.truth.record.Failed != "" {
		return 0, false
	}
	p.truth.mu.Lock()
	p.truth.record.Failed = name
	p.truth.mu.Unlock()
	if name == "otel_missing" {
		return p.raise(false, otelMissing(p.version)...), true
	}
	if f.act != nil {
		return f.act(p), true
	}
	if f.exception != "" {
		p.raise(f.worker, f.exception)
	}
	return f.code, true
}

// raise writes what an uncaught exception looks like, and returns Python's exit status for one.
func (p *player) raise(inWorker bool, exception ...string) int {
	engine := inWorker && !older(p.version, "0.8") && p.facts["vllm"]
	if engine {
		p.raiseInEngine(exception)
		exception = []string{"RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {{}}"}
	}
	lines := append([]string{
		"Traceback (most recent call last):",
		`  File "<frozen runpy>", line 198, in _run_module_as_main`,
		`  File "<frozen runpy>", line 88, in _run_code`,
		`  File "/usr/local/lib/python3.12/dist-packages/simulated/server.py", line 991, in <module>`,
		"    uvloop.run(run_server(args))",
	}, exception...)
	for _, line := range lines {
		p.mutter("err", "{api}"+line)
	}
	return 1
}

func (p *player) raiseInEngine(exception []string) {
	place := "{ERROR core.py:866} "
	trace := append([]string{
		"Traceback (most recent call last):",
		`  File "/usr/local/lib/python3.12/dist-packages/vllm/v1/engine/core.py", line 857, in run_engine_core`,
		"    engine_core = EngineCoreProc(*args, **kwargs)",
		"                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
	}, exception...)
	p.mutter("out", "{engine}"+place+"EngineCore failed to start.")
	for _, line := range trace {
		p.mutter("out", "{engine}"+place+line)
	}
	p.mutter("err", "{engine}Process EngineCore_DP0:")
	for _, line := range trace {
		p.mutter("err", "{engine}"+line)
	}
}

// mutter writes a last word; nobody can be told if that fails.
func (p *player) mutter(stream, text string) {
	_ = p.write(stream, p.expand(text, 0)+"\n")
}

func badFlag(p *player) int {
	p.mutter("err", "usage: api_server.py [-h] [--host HOST] [--port PORT]\napi_server.py: error: unrecognized arguments: --simulated-typo")
	return 2
}

func hang(p *player) int {
	<-p.stop
	return 143
}

// bySignal dies as a process does that the kernel kills, if the kernel lets it (PID 1 is immune to its own signals).
func bySignal(signal syscall.Signal) func(*player) int {
	return func(p *player) int {
		p.truth.ended(128+int(signal), signal.String())
		if err := p.truth.save(); err != nil {
			fmt.Fprintln(os.Stderr, "sim:", err)
		}
		_ = syscall.Kill(os.Getpid(), signal)
		<-p.stopOrSoon()
		return 128 + int(signal)
	}
}

// fillMemory takes more memory than its container may have, for which the kernel kills it. Where nothing limits it, it stops at a GiB.
func fillMemory(p *player) int {
	const chunk, most = 16 << 20, 1 << 30
	var held [][]byte
	for len(held) < most/chunk {
		b := make([]byte, chunk)
		for i := 0; i < chunk; i += 4096 {
			b[i] = 1 // else it is not there
		}
		held = append(held, b)
	}
	p.mutter("err", fmt.Sprintf("MemoryError: nothing limits memory to less than %d MiB", len(held)*chunk>>20))
	return 1
}

// escape keeps braces in text that is not a template.
func escape(s string) string {
	return strings.NewReplacer("{", "{{", "}", "}}").Replace(s)
}
