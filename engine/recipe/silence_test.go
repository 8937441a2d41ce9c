// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// bars are what a start draws on stderr whatever its log level is: they come from libraries that engines share.
const bars = `
Loading safetensors checkpoint shards:   0% Completed | 0/2 [00:00<?, ?it/s]
Loading safetensors checkpoint shards:  50% Completed | 1/2 [00:01<00:01,  1.00s/it]
Loading safetensors checkpoint shards: 100% Completed | 2/2 [00:02<00:00,  1.01s/it]
Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):   0%|          | 0/35 [00:00<?, ?it/s]
Capturing CUDA graphs (mixed prefill-decode, PIECEWISE): 100%|██████████| 35/35 [00:02<00:00, 14.91it/s]
`

// quiet are starts whose loggers say nothing of how far they are: every engine's, with what still comes through.
var quiet = map[string]struct{ engine, log string }{
	"vLLM at WARNING, with bars":                         {"vllm", bars},
	"vLLM at WARNING, with a warning of its own":         {"vllm", "WARNING 03-01 12:00:00 [interface.py:1] Using 'pin_memory=False' as WSL is detected.\n" + bars[1:]},
	"vLLM at ERROR, with a worker's glog":                {"vllm", bars + "[W301 12:00:05.000000000 socket.cpp:200] The hostname of the client socket cannot be retrieved.\n"},
	"vLLM, with uvicorn":                                 {"vllm", bars + "INFO:     Started server process [1]\nINFO:     Application startup complete.\n"},
	"vLLM in a file, with a traceback that was survived": {"vllm", "Traceback (most recent call last):\n  x\nImportError: x\n" + bars[1:]},
	"SGLang at error":                                    {"sglang", "Loading safetensors checkpoint shards: 100% Completed | 2/2 [00:02<00:00,  1.01s/it]\nCapturing batches (bs=1 avail_mem=9.00 GB): 100%|██████████| 4/4 [00:02<00:00]\n"},
	"SGLang, with uvicorn":                               {"sglang", "INFO:     Started server process [1]\nINFO:     Application startup complete.\n"},
	"TGI at error":                                       {"tgi", "Fetching 4 files: 100%|██████████| 4/4 [00:00<00:00]\n"},
	"TensorRT-LLM at error":                              {"tensorrt_llm", "Loading weights: 100%|██████████| 291/291 [00:02<00:00, 140.1it/s]\n"},
	"trtllm-serve at error":                              {"trtllm_serve", "Loading safetensors weights in parallel: 100%|██████████| 4/4 [00:00<00:00]\n"},
	"LMDeploy":                                           {"lmdeploy", "Loading weights from safetensors: 100%|██████████| 4/4 [00:02<00:00,  1.9it/s]\n"},
	"LightLLM at error":                                  {"lightllm", "Loading model weights with 4 workers: 100%|██████████| 4/4 [00:02<00:00]\n"},
	"Triton that logs errors only":                       {"tensorrt_llm", ""},
	"NIM that logs errors only":                          {"nim", bars},
	"an engine that says nothing":                        {"vllm", ""},
}

func TestHealthAloneTellsThatASilentEngineServes(t *testing.T) {
	for name, c := range quiet {
		t.Run(name, func(t *testing.T) {
			r, end := live(t, c.engine, c.log)
			if !r.MayServe() {
				t.Fatal("a healthy answer would not count")
			}
			r.Served(end)
			got := r.Result(nil, end)
			if got.Outcome != OutcomeReady {
				t.Errorf("%s %s", got.Outcome, got.Reason)
			}
			if i := slices.IndexFunc(got.Phases, func(p startup.Span) bool { return p.Name == startup.SpanPythonImport }); i >= 0 {
				t.Errorf("nobody knows when it had imported: %+v", got.Phases[i])
			}
			checkPhases(t, got)
		})
	}
}

func TestABarRecognisesNothing(t *testing.T) {
	r, _ := live(t, "vllm", bars)
	if r.Recognised() {
		t.Error("other engines draw it, too")
	}
}

func TestNothingIsBlamedOnWhatOnlyABarTold(t *testing.T) {
	for name, c := range map[string]struct{ log, died string }{
		"a silent log":                         {bars, ""},
		"a bar in the middle of a silent load": {strings.SplitAfter(bars, "1.00s/it]\n")[0], ""},
		"a log that speaks":                    {before(start, "(EngineCore_DP0 pid=2) INFO 03-01 12:00:04") + strings.SplitAfter(bars[1:], "1.00s/it]\n")[0], startup.SpanWeightsLoad},
	} {
		t.Run(name, func(t *testing.T) {
			r, end := live(t, "vllm", c.log)
			died := ""
			for _, p := range r.Result(&Exit{Signal: 9}, end).Phases {
				if p.Failure != "" && p.Name != startup.SpanVLLMInit {
					died = p.Name
				}
			}
			if died != c.died {
				t.Errorf("died in %q, want %q", died, c.died)
			}
		})
	}
}

func TestImportsEndWithTheEnginesFirstWordOrNobodyKnows(t *testing.T) {
	const word = "INFO 03-01 12:00:00 [__init__.py:1] Automatically detected platform cuda.\n"
	for name, c := range map[string]struct {
		log     string
		working time.Duration // after noon: a worker process was born; 0: none
		want    time.Duration // before noon began the process; 0: no such phase
	}{
		"an engine that speaks":               {log: word, want: 3 * time.Second},
		"a bar before its first word":         {log: bars[1:] + word},
		"only warnings":                       {log: "WARNING 03-01 12:00:00 [x.py:1] x\n"},
		"a worker after its first word":       {log: word, working: time.Second, want: 3 * time.Second},
		"a worker long before its first word": {log: word, working: -time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			r, end := live(t, "vllm", c.log)
			if c.working != 0 {
				r.Working(noon.Add(c.working))
			}
			var got time.Duration
			for _, p := range r.Result(nil, end).Phases {
				if p.Name == startup.SpanPythonImport {
					got = p.End.Sub(p.Start)
				}
			}
			if got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// Since 0.31 only vLLM's own logger names the process: what uvicorn, tqdm and Python itself write has no prefix.
func TestLinesWithoutAPrefixAreTheServersSinceVLLM031(t *testing.T) {
	const uvicorn = "INFO:     Application startup complete.\n"
	of := func(version, log string) string { return strings.ReplaceAll(log, "0.13.0", version) }
	engine := start + strings.SplitAfter(finish, "8000\n")[0]
	for name, c := range map[string]struct {
		log     string
		outcome Outcome
		reason  startup.Reason
	}{
		"0.30: another server's":          {of("0.30.0", engine) + uvicorn, OutcomeEngineReady, ""},
		"0.31":                            {of("0.31.0", engine) + uvicorn, OutcomeReady, ""},
		"0.33, a release candidate":       {of("0.33.1rc1.dev3+g1234", engine) + uvicorn, OutcomeReady, ""},
		"built without tags":              {of("0.1.dev1+g1234", engine) + uvicorn, OutcomeReady, ""},
		"before the engine is up":         {of("0.31.0", start) + uvicorn, OutcomeTruncated, ""},
		"another process that has a name": {of("0.31.0", engine) + "(Worker pid=9) " + uvicorn, OutcomeEngineReady, ""},
		"an access log":                   {of("0.31.0", engine) + `INFO:     10.0.0.1:1 - "GET /health HTTP/1.1" 200 OK` + "\n", OutcomeReady, ""},
		"a traceback":                     {of("0.31.0", start) + "Traceback (most recent call last):\n  x\nKeyError: 'x'\n", OutcomeFailed, "python_exception:KeyError"},
	} {
		t.Run(name, func(t *testing.T) {
			r, end := live(t, "vllm", c.log)
			if got := r.Result(nil, end); got.Outcome != c.outcome || got.Reason != c.reason {
				t.Errorf("%s %q", got.Outcome, got.Reason)
			}
		})
	}
}

// One start is drawn by the clock of whoever reads its lines, to the millisecond, and by the engine's stamps, of whole seconds: the
// phase that a line ends is then known a moment before it, or after.
func TestASilenceIsInThePhaseThatHasItsSeconds(t *testing.T) {
	at := func(s float64) time.Time { return noon.Add(time.Duration(s * float64(time.Second))) }
	of := func(name, parent string, from, to float64) startup.Span {
		return startup.Span{Name: name, Key: name, ParentKey: parent, Start: at(from), End: at(to)}
	}
	for name, c := range map[string]struct {
		dynamo, compile float64 // when dynamo ended and torch_compile began
		from, to        float64
		want            string // phase, after, before
	}{
		"a phase that ends as its line comes":   {10, 4.6, 10, 12.4, "torch_compile dynamo kv_cache_init"},
		"one that was moved into its parent":    {10.4, 5, 10, 12.4, "torch_compile dynamo kv_cache_init"},
		"one that ended before its line":        {9.7, 4.6, 10, 12.4, "torch_compile dynamo kv_cache_init"},
		"a silence before the line":             {10, 4.6, 5, 10, "dynamo model_load kv_cache_init"},
		"one that began before its phase":       {10, 5.4, 5, 10, "dynamo model_load kv_cache_init"},
		"one that two phases have halves of":    {10, 4.6, 8, 12, "torch_compile dynamo kv_cache_init"},
		"one that no phase beside the init has": {10, 4.6, 20, 30, "vllm_init kv_cache_init "},
	} {
		t.Run(name, func(t *testing.T) {
			s := Silence{Start: at(c.from), End: at(c.to)}
			s.place([]startup.Span{
				of("vllm_init", "", 0, 40), of("model_load", "vllm_init", 1, 4.5), of("weights_load", "model_load", 1, 4.5),
				of("torch_compile", "vllm_init", c.compile, 13), of("dynamo", "torch_compile", c.compile, c.dynamo), of("kv_cache_init", "vllm_init", 13, 14),
			})
			if got := strings.Join([]string{s.Phase, s.After, s.Before}, " "); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestASilenceHasOneNameWhoeverTellsOfIt(t *testing.T) {
	line := func(ms int, text string) (time.Time, string) {
		when := noon.Add(time.Duration(ms) * time.Millisecond)
		return when, "(EngineCore pid=2) INFO " + when.Format("01-02 15:04:05") + " [x.py:1] " + text
	}
	told := []struct {
		ms   int
		text string
	}{
		{0, "Initializing a V1 LLM engine (v0.19.0) with config: model='m'"}, {1100, "Starting to load model m..."}, {4700, "Model loading took 1.5 GiB memory and 3.500000 seconds"},
		{10310, "Dynamo bytecode transform time: 5.60 s"}, {12710, "Compiling a graph for compile range (1, 2048) takes 2.31 s"}, {13750, "torch.compile took 7.69 s in total"},
		{14020, "init engine (profile, create kv cache, warmup model) took 9.30 s"},
	}
	live := ByName("vllm").NewReader(Options{Location: time.UTC})
	var log strings.Builder
	for _, l := range told {
		at, text := line(l.ms, l.text)
		live.Line(at, []byte(text))
		log.WriteString(text + "\n")
	}
	names := func(r Result) (all []string) {
		for _, s := range r.Silences {
			all = append(all, s.Phase+" after "+s.After)
		}
		slices.Sort(all)
		return all
	}
	want := []string{"dynamo after model_load", "model_load after worker_launch", "torch_compile after dynamo"}
	if got := names(live.Result(nil, noon.Add(15*time.Second))); !slices.Equal(got, want) {
		t.Errorf("live: %q", got)
	}
	if got := names(readText(t, log.String())); !slices.Equal(got, want) {
		t.Errorf("by its stamps: %q", got)
	}
}
