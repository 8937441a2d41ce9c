// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// readText reads a log that was written this year.
func readText(t *testing.T, log string) Result {
	t.Helper()
	got, err := ReadLog(strings.NewReader(strings.TrimPrefix(log, "\n")), LogOptions{Now: noon.Add(24 * time.Hour), Location: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	checkPhases(t, got)
	return got
}

func TestALineThatRayRepeatedIsOfAllItsRanks(t *testing.T) {
	const log = `
(APIServer pid=1) INFO 03-01 12:00:00 [api_server.py:1] vLLM API server version 0.11.0
(EngineCore_DP0 pid=9) (RayWorkerWrapper pid=20) INFO 03-01 12:00:10 [gpu_model_runner.py:1] Starting to load model m...
(EngineCore_DP0 pid=9) (RayWorkerWrapper pid=20) INFO 03-01 12:00:40 [gpu_model_runner.py:1] Model loading took 9.0 GiB and 30.000000 seconds
(EngineCore_DP0 pid=9) (RayWorkerWrapper pid=21, ip=10.0.0.3) INFO 03-01 12:00:40 [gpu_model_runner.py:1] Model loading took 9.0 GiB and 29.000000 seconds [repeated 3x across cluster]
(EngineCore_DP0 pid=9) (RayWorkerWrapper pid=21, ip=10.0.0.3) INFO 03-01 12:01:00 [monitor.py:1] torch.compile takes 20.00 s in total [repeated 3x across cluster]
(EngineCore_DP0 pid=9) (RayWorkerWrapper pid=21, ip=10.0.0.3) INFO 03-01 12:01:02 [gpu_worker.py:1] Available KV cache memory: 50.0 GiB [repeated 3x across cluster]
(EngineCore_DP0 pid=9) INFO 03-01 12:01:04 [kv_cache_utils.py:1] GPU KV cache size: 100,000 tokens
(EngineCore_DP0 pid=9) INFO 03-01 12:01:10 [core.py:1] init engine (profile, create kv cache, warmup model) took 30.00 seconds
`
	first := readText(t, log)
	if at := edges(first); at["kv_cache_init"] != "62.00-64.00" || at["torch_compile"] != "40.00-60.00" || at["model_load"] != "10.00-40.00" {
		t.Error(at)
	}
	for range 49 {
		if again := readText(t, log); !reflect.DeepEqual(first, again) {
			t.Fatalf("%+v\n%+v", first, again)
		}
	}
}

func TestTheEndThatRaySwallowedIsThatOfTheOtherRanks(t *testing.T) {
	got := readText(t, `
(APIServer pid=1) INFO 03-01 12:00:00 [api_server.py:1] vLLM API server version 0.11.0
(EngineCore_DP0 pid=9) (RayWorkerWrapper pid=20) INFO 03-01 12:00:10 [gpu_model_runner.py:1] Starting to load model m...
(EngineCore_DP0 pid=9) (RayWorkerWrapper pid=21) INFO 03-01 12:00:10 [gpu_model_runner.py:1] Starting to load model m...
(EngineCore_DP0 pid=9) (RayWorkerWrapper pid=21) INFO 03-01 12:00:40 [gpu_model_runner.py:1] Model loading took 9.0 GiB and 29.000000 seconds [repeated 3x across cluster]
(EngineCore_DP0 pid=9) INFO 03-01 12:02:10 [kv_cache_utils.py:1] GPU KV cache size: 100,000 tokens
`)
	if at := edges(got); at["model_load"] != "10.00-40.00" || at["memory_profiling"] != "40.00-130.00" {
		t.Error(at)
	}
}

// unstamped is a log without any time of its own: of a container whose logger's format was changed.
func unstamped(log string) string {
	for _, second := range slices.Sorted(maps.Keys(map[string]bool{"0": true, "1": true, "2": true, "3": true, "4": true, "5": true, "6": true, "7": true})) {
		log = strings.ReplaceAll(log, "INFO 03-01 12:00:0"+second+" ", "INFO ")
	}
	return log
}

func TestALogWithoutTimesHasTheLengthsThatAreStated(t *testing.T) {
	got := readText(t, unstamped(start+finish))
	if !got.Untimed || got.Outcome != OutcomeReady || got.Named != 0 || len(got.Silences) > 0 {
		t.Errorf("%+v", got)
	}
	lengths := map[string]float64{}
	var order []string
	for _, p := range got.Phases {
		order = append(order, p.Key)
		if has(&p, attrStated) {
			lengths[p.Key] = p.End.Sub(p.Start).Seconds()
		}
	}
	if want := map[string]float64{"weights_load": 0.5, "model_load": 2}; !reflect.DeepEqual(lengths, want) {
		t.Errorf("%v, want %v", lengths, want)
	}
	if want := []string{"vllm_init", "model_load", "weights_load", "server_ready"}; !reflect.DeepEqual(order, want) {
		t.Errorf("%v, want %v", order, want)
	}
	if init := got.Figures["init_engine_seconds"]; init != 1.0 {
		t.Error(init)
	}
}

func TestACompilationWithoutTimesIsAsLongAsItsTotal(t *testing.T) {
	log, err := os.ReadFile("testdata/vllm-0.19.0.log")
	if err != nil {
		t.Fatal(err)
	}
	got := readText(t, regexp.MustCompile(`(?m)^.*] `).ReplaceAllString(string(log), ""))
	want := map[string]string{"torch_compile": "torch_compile_seconds", "dynamo": "dynamo_seconds", "cuda_graph_capture": "cuda_graph_capture_seconds"}
	for _, p := range got.Phases {
		if figure, ok := want[p.Name]; ok && p.End.Sub(p.Start).Seconds() != got.Figures[figure] {
			t.Errorf("%s took %v, and %s is %v", p.Name, p.End.Sub(p.Start), figure, got.Figures[figure])
		}
		delete(want, p.Name)
	}
	if len(want) > 0 {
		t.Errorf("no %v in %+v", want, got.Phases)
	}
}

func TestPhasesOfALogWithoutTimesComeOneAfterAnother(t *testing.T) {
	got := readText(t, `
vLLM API server version 0.13.0
Starting to load model m...
Loading weights took 12.30 seconds
Model loading took 1.5 GiB memory and 18.140000 seconds
Dynamo bytecode transform time: 8.00 s
torch.compile takes 30.00 s in total
Graph capturing finished in 5 secs, took 0.50 GiB
init engine (profile, create kv cache, warmup model) took 60.00 seconds
`)
	var at []string
	for _, p := range got.Phases {
		if has(&p, attrStated) {
			at = append(at, fmt.Sprintf("%s %.2f", p.Key, p.End.Sub(p.Start).Seconds()))
		}
	}
	if want := []string{"model_load 18.14", "weights_load 12.30", "torch_compile 30.00", "dynamo 8.00", "cuda_graph_capture 5.00"}; !reflect.DeepEqual(at, want) {
		t.Errorf("%v, want %v", at, want)
	}
}

func TestTwoClocksInOneLogAreNotMixed(t *testing.T) {
	const sglang = `
[2026-03-01 12:00:00] server_args=ServerArgs(model_path='m')
[2026-03-01 12:00:10] Load weight begin. avail mem=70.00 GB
[2026-03-01 12:00:20] Load weight end. elapsed=10.00 s, type=M, avail mem=60.00 GB
[2026-03-01 12:00:21] KV Cache is allocated. #tokens: 1000, K size: 1.00 GB, V size: 1.00 GB
[2026-03-01 12:00:22] max_total_num_tokens=1000, chunked_prefill_size=8192
[2026-03-01 12:00:30] The server is fired up and ready to roll!
`
	for name, log := range map[string]string{"vLLM": start + finish, "SGLang": sglang} {
		want := readText(t, log)
		for header, lines := range map[string][2]string{
			"a runner ahead of the engine":  {"Start time: 2026-03-01T14:00:00\n", ""},
			"a runner behind the engine":    {"Start time: 2026-03-01T05:00:00\n", ""},
			"a runner that says its zone":   {"time=\"2026-03-01T14:00:00+02:00\" level=info msg=go\n", ""},
			"a runner that says more later": {"2026-03-01T14:00:00 go\n", "2026-03-01T14:00:40 it runs\n"},
		} {
			t.Run(name+", "+header, func(t *testing.T) {
				head, tail, _ := strings.Cut(strings.TrimPrefix(log, "\n"), "\n")
				got := readText(t, lines[0]+head+"\n"+lines[1]+tail)
				if header == "a runner that says its zone" && got.Phases[0].Start.Equal(noon) {
					got.Phases[0] = want.Phases[0]
				}
				for i, p := range got.Phases {
					if p.Start.Location() != time.UTC {
						t.Errorf("%s begins %s", p.Key, p.Start)
					}
					if w := want.Phases[i]; p.Key != w.Key || !p.Start.Equal(w.Start) || !p.End.Equal(w.End) {
						t.Errorf("%s %s-%s, want %s %s-%s", p.Key, p.Start, p.End, w.Key, w.Start, w.End)
					}
				}
			})
		}
	}
}

func TestAFailureEndsWhereItHappenedWhateverAnExportSaysLater(t *testing.T) {
	log := start + "(EngineCore_DP0 pid=2) ERROR 03-01 12:00:08 [core.py:1] Traceback (most recent call last):\n" +
		"(EngineCore_DP0 pid=2) ERROR 03-01 12:00:08 [core.py:1] KeyError: 'x'\nContainer called exit(1).\n"
	exported := each(log[1:], func(n int, at time.Time, line string) any {
		return object{"insertId": "1", "resource": object{"type": strings.Repeat("x", 250)}, "textPayload": line, "timestamp": at.Add(time.Duration(n) * time.Minute)}
	})
	got := readText(t, exported)
	if init := got.Phases[0]; got.Reason != "python_exception:KeyError" || init.End.Sub(noon) != 8*time.Second {
		t.Errorf("%s %+v", got.Reason, init)
	}
}

func TestABarBeganAsLongAgoAsItSays(t *testing.T) {
	for bar, want := range map[string]string{
		"Capturing CUDA graphs (decode, FULL):  34%|███▍      | 12/35 [00:53<01:40,  4.4s/it]": "247.00-400.00",
		"Capturing CUDA graphs (decode, FULL):  34%|███▍      | 12/35 [01:00:53<?, ?it/s]":     "5.00-400.00",
	} {
		log := start + bar + "(EngineCore_DP0 pid=2) INFO 03-01 12:05:00 [loggers.py:1] something else\n" +
			"(EngineCore_DP0 pid=2) INFO 03-01 12:06:40 [core.py:1] Graph capturing finished in 153 secs, took 0.50 GiB\n"
		got := edges(readText(t, log))
		if is := got["cuda_graph_capture"]; !strings.HasPrefix(is, before(want, "-")) {
			t.Errorf("%s: %v, want %s", bar, got, want)
		}
	}
}

func TestAClientsLogThatQuotesAServersIsNoServers(t *testing.T) {
	quoted := strings.Join(strings.SplitAfter(start+finish, "\n")[4:], "")
	const bench = "Starting initial single prompt test run...\nTraffic request rate: 1.0\n============ Serving Benchmark Result ============\n"
	for name, log := range map[string]string{
		"after the result":    bench + quoted,
		"before the first":    quoted + bench,
		"as a whole":          bench + start + finish,
		"its own first lines": "INFO 03-01 12:00:00 [__init__.py:1] Available plugins for group vllm.platform_plugins:\n" + bench,
	} {
		if got, err := ReadLog(strings.NewReader(strings.TrimPrefix(log, "\n")), LogOptions{Now: noon}); err == nil {
			t.Errorf("%s: %s %s", name, got.Engine, got.Outcome)
		}
	}
	if got := readText(t, start+finish+bench); got.Outcome != OutcomeReady {
		t.Errorf("one script with both: %s", got.Outcome)
	}
}

func TestCompilingOfRangesIsAFigureWhereNoTotalIsStated(t *testing.T) {
	const ranges = "(EngineCore_DP0 pid=2) INFO 03-01 12:01:10 [backends.py:1] Compiling a graph for compile range (1, 256) takes 53.67 s\n" +
		"(EngineCore_DP0 pid=2) INFO 03-01 12:01:20 [backends.py:1] Compiling a graph for compile range (257, 8192) takes 6.33 s\n"
	const total = "(EngineCore_DP0 pid=2) INFO 03-01 12:01:21 [monitor.py:1] torch.compile takes 70.00 s in total\n"
	for name, c := range map[string]struct {
		log  string
		want any
	}{
		"one range":               {strings.SplitAfter(ranges, "\n")[0], 53.67},
		"two":                     {ranges, 60.0},
		"and a total":             {ranges + total, 70.0},
		"an engine's word for it": {ranges + "(EngineCore_DP0 pid=2) INFO 03-01 12:01:30 [core.py:1] init engine (profile, create kv cache, warmup model) took 85.00 s (compilation: 61.00 s)\n", 61.0},
	} {
		got := readText(t, start+c.log)
		if got.Figures["torch_compile_seconds"] != c.want {
			t.Errorf("%s: %v, want %v", name, got.Figures["torch_compile_seconds"], c.want)
		}
	}
}

func TestAPhaseOfWhichNobodyKnowsWhenItBeganTookNotNoTime(t *testing.T) {
	got := readText(t, "INFO 03-01 12:00:00 [x.py:1] vLLM API server version 0.9.0\nINFO 03-01 12:00:30 [model_runner.py:1] Loading model weights took 28.4835 GB\n")
	if at := edges(got); at["model_load"] != "" || got.Figures["model_size"] != 28.4835 {
		t.Errorf("%v %v", at, got.Figures)
	}
}

func TestAStartOnTPUsIsNamed(t *testing.T) {
	const core = "(EngineCore_DP0 pid=9) INFO 03-01 12:"
	log := "(APIServer pid=1) INFO 03-01 12:00:00 [api_server.py:1] vLLM API server version 0.19.0\n" +
		core + "00:20 [core.py:1] Initializing a V1 LLM engine (v0.19.0) with config: model='m'\n" +
		core + "00:40 [tpu_runner.py:1] Init mesh | mesh=Mesh('data': 1, 'model': 4)\n" +
		core + "00:40 [tpu_worker.py:1] Init worker | rank=0 | is_driver_worker=True | hbm=[(0.0, 31.25)]GiB\n" +
		core + "00:45 [model_loader.py:1] Loading model with MODEL_IMPL_TYPE=auto\n" +
		core + "00:45 [model_loader.py:1] Resolved MODEL_IMPL_TYPE 'auto' to 'flax_nnx'\n" +
		core + "01:15 [default_loader.py:1] Loading weights took 20.00 seconds\n" +
		core + "01:20 [tpu_runner.py:1] Cleared JIT caches after weight loading\n" +
		core + "01:20 [tpu_runner.py:1] Init model | hbm=[(7.1, 31.25)]GiB\n" +
		core + "01:25 [tpu_worker.py:1] Memory statistics | total_hbm_limit_gb=31.25GiB | total_hbm_used_gb=7.1GiB\n" +
		core + "01:27 [kv_cache_utils.py:1] GPU KV cache size: 400,000 tokens\n" +
		core + "01:27 [kv_cache_utils.py:1] Maximum concurrency for 4,096 tokens per request: 97.00x\n" +
		core + "01:30 [compilation_manager.py:1] Precompile worker0 backbone --> {'num_tokens': 16}\n" +
		core + "03:00 [compilation_manager.py:1] Compilation of worker0 backbone finished in 90.00 [secs].\n" +
		core + "04:30 [core.py:1] init engine (profile, create kv cache, warmup model) took 189.00 seconds\n" +
		"(APIServer pid=1) INFO 03-01 12:04:31 [launcher.py:1] Available routes are:\n(APIServer pid=1) INFO:     Application startup complete.\n"
	got := readText(t, log)
	want := map[string]string{
		"engine_config": "0.00-20.00", "worker_launch": "20.00-40.00", "distributed_init": "40.00-45.00", "model_load": "45.00-80.00",
		"weights_load": "55.00-75.00", "memory_profiling": "80.00-85.00", "kv_cache_init": "85.00-87.00", "kernel_warmup": "87.00-270.00",
		"server_ready": "270.00-271.00", "api_server_init": "270.00-271.00",
	}
	if at := edges(got); !reflect.DeepEqual(at, want) || got.Named != 1 {
		t.Errorf("%.2f\n%v, want\n%v", got.Named, at, want)
	}
}

func TestACoreThatOnlyIntroducesItselfWasLaunchedSinceTheServersLastWord(t *testing.T) {
	const server = "(APIServer pid=1) INFO 03-01 12:00:"
	const configured = server + "00 [utils.py:1] vLLM API server version 0.25.1\n" + server + "05 [model.py:1] Using max model len 4096\n" + server + "08 [vllm.py:1] Asynchronous scheduling is enabled.\n"
	const core = "23 [core.py:1] Initializing a V1 LLM engine (v0.25.1) with config: model='m'\n"
	const loads = "26 [parallel_state.py:1] world_size=1 rank=0 local_rank=0 backend=nccl\n(EngineCore pid=9) INFO 03-01 12:00:30 [gpu_model_runner.py:1] Starting to load model m...\n"
	for name, c := range map[string]struct{ log, config, launch string }{
		"a process of its own":     {configured + "(EngineCore pid=9) INFO 03-01 12:00:" + core + "(EngineCore pid=9) INFO 03-01 12:00:" + loads, "0.00-8.00", "8.00-26.00"},
		"the server's own process": {configured + "INFO 03-01 12:00:" + core + "INFO 03-01 12:00:" + loads, "0.00-23.00", "23.00-26.00"},
	} {
		if at := edges(readText(t, c.log)); at["engine_config"] != c.config || at["worker_launch"] != c.launch {
			t.Errorf("%s: %v", name, at)
		}
	}
}

func TestALogHasComeAsFarAsTheWorkersLinesThatRayRepeats(t *testing.T) {
	const driver, worker = "(EngineCore pid=9) ", "(EngineCore pid=9) (RayWorkerProc pid=11) "
	got := readText(t, "(APIServer pid=1) INFO 03-01 12:00:00 [utils.py:1] vLLM API server version 0.18.0\n"+
		driver+"INFO 03-01 12:00:10 [core.py:1] Initializing a V1 LLM engine (v0.18.0) with config: model='m'\n"+
		driver+"INFO 03-01 12:00:12 [ray_utils.py:1] Creating a new placement group\n"+
		worker+"INFO 03-01 12:00:40 [parallel_state.py:1] world_size=2 rank=0 local_rank=0 backend=nccl\n"+
		worker+"INFO 03-01 12:00:50 [gpu_model_runner.py:1] Starting to load model m...\n"+
		worker+"Loading safetensors checkpoint shards:   0% Completed | 0/4 [00:00<?, ?it/s]\n"+
		worker+"INFO 03-01 12:01:10 [weight_utils.py:1] No model.safetensors.index.json found in remote.\n")
	for key, want := range map[string]string{"worker_launch": "10.00-40.00", "distributed_init": "40.00-50.00", "model_load": "50.00-70.00", "weights_load": "50.00-70.00"} {
		if at := edges(got); got.Outcome != OutcomeTruncated || at[key] != want {
			t.Errorf("%s %s: %v, want %s", got.Outcome, key, at, want)
		}
	}
}

func TestProfilingComesAgainWhereAnotherModelIsProfiled(t *testing.T) {
	const core = "(EngineCore pid=9) INFO 03-01 12:00:"
	got := readText(t, start+core+"10 [gpu_worker.py:1] Available KV cache memory: 50.0 GiB\n"+core+"20 [gpu_worker.py:1] Profiling CUDA graph memory: PIECEWISE=51\n"+
		core+"30 [gpu_worker.py:1] Available KV cache memory: 49.0 GiB\n"+core+"31 [kv_cache_utils.py:1] GPU KV cache size: 100,000 tokens\n"+
		core+"40 [core.py:1] init engine (profile, create kv cache, warmup model) took 35.00 s\n")
	for key, want := range map[string]string{"memory_profiling": "5.00-10.00", "memory_profiling/2": "20.00-30.00", "kv_cache_init": "10.00-20.00", "kv_cache_init/2": "30.00-31.00"} {
		if at := edges(got); at[key] != want {
			t.Errorf("%s: %v, want %s", key, at, want)
		}
	}
}
