// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"slices"
	"strconv"
	"strings"

	"github.com/coldtrace/coldtrace/engine/server"
	"github.com/coldtrace/coldtrace/startup"
)

// Engines. The names are those of the wrapper's recipes where it has one.
const (
	VLLM        = "vllm"
	SGLang      = "sglang"
	TGI         = "tgi"
	TensorRTLLM = "tensorrt_llm"
	Triton      = "triton"
	LightLLM    = "lightllm"
	LMDeploy    = "lmdeploy"
	NIM         = "nim"
	Ray         = "ray"
	Dynamo      = "dynamo"
	KServeHF    = "huggingfaceserver"
	TEI         = "tei"
	Ollama      = "ollama"
	LlamaCPP    = "llama_cpp"
)

// entry is what a module, program or script starts. If it has subcommands, one of them must follow.
type entry struct {
	engine string
	role   startup.Role
	subs   []string
}

// modules are what stands after python -m, beside vLLM's servers.
var modules = map[string]*entry{
	"vllm.entrypoints.openai.run_batch":        {engine: VLLM, role: startup.RoleBatch},
	"vllm_batch":                               {engine: VLLM, role: startup.RoleBatch},
	"sglang.launch_server":                     {engine: SGLang},
	"sglang_router.launch_server":              {engine: SGLang},
	"text_generation_server.cli":               {engine: TGI, subs: []string{"serve"}},
	"tensorrt_llm.commands.serve":              {engine: TensorRTLLM},
	"lightllm.server.api_server":               {engine: LightLLM},
	"lmdeploy":                                 {engine: LMDeploy, subs: []string{"serve"}},
	"lmdeploy.serve.openai.api_server":         {engine: LMDeploy},
	"huggingfaceserver":                        {engine: KServeHF},
	"vllm_nvext.entrypoints.openai.api_server": {engine: NIM},
	"dynamo.vllm":                              {engine: Dynamo},
	"dynamo.sglang":                            {engine: Dynamo},
	"dynamo.trtllm":                            {engine: Dynamo},
	"llama_cpp.server":                         {engine: LlamaCPP},
}

// programs are base names of executables.
var programs = map[string]*entry{
	"text-generation-launcher": {engine: TGI},
	"text-generation-server":   {engine: TGI, subs: []string{"serve"}},
	"text-embeddings-router":   {engine: TEI},
	"tritonserver":             {engine: Triton},
	"trtllm-serve":             {engine: TensorRTLLM},
	"lmdeploy":                 {engine: LMDeploy, subs: []string{"serve"}},
	"sglang":                   {engine: SGLang, subs: []string{"serve"}},
	"ollama":                   {engine: Ollama, subs: []string{"serve"}},
	"llama-server":             {engine: LlamaCPP},
}

// scripts are base names of files that an interpreter runs, or that run by themselves.
var scripts = map[string]*entry{
	"vllm_batch.py":           {engine: VLLM, role: startup.RoleBatch},
	"launch_triton_server.py": {engine: TensorRTLLM},
	"start_server.sh":         {engine: NIM},
	"start-server.sh":         {engine: NIM},
}

func init() {
	vllm := func(sub string) *entry {
		if sub == "" {
			return &entry{engine: VLLM}
		}
		return &entry{engine: VLLM, subs: []string{sub}}
	}
	for name, sub := range server.Modules {
		modules[name] = vllm(sub)
	}
	for name, sub := range server.Programs {
		programs[name] = vllm(sub)
	}
	for _, name := range server.Scripts {
		scripts[name] = vllm("")
	}
}

// workers are scripts that join a Ray cluster when their first argument says worker.
var workers = []string{"init_ray.sh", "multi-node-serving.sh"}

// hints are texts that only an engine's command holds.
var hints = []struct{ text, engine string }{
	{"vllm_server", VLLM}, {"vllm_batch", VLLM}, {"vllm serve", VLLM}, {"vllm.entrypoints", VLLM}, {"vllm_startup_wrapper", VLLM},
	{"multi-node-serving.sh", VLLM}, {"init_ray.sh", VLLM},
	{"sglang.launch_server", SGLang}, {"text-generation-launcher", TGI}, {"trtllm-serve", TensorRTLLM}, {"launch_triton_server", TensorRTLLM},
	{"tritonserver", Triton}, {"lightllm.server", LightLLM}, {"lmdeploy serve", LMDeploy}, {"/opt/nim/", NIM},
}

// imageHints are parts of image repositories, for containers whose command is not known.
var imageHints = []struct{ text, engine string }{
	{"ai-dynamo/", Dynamo}, {"/nim/", NIM},
	{"vllm", VLLM}, {"llm-d", VLLM}, {"sglang", SGLang}, {"text-generation-inference", TGI}, {"tgi-inference", TGI}, {"text-embeddings-inference", TEI},
	{"tritonserver", Triton}, {"tensorrt-llm", TensorRTLLM}, {"tensorrtllm", TensorRTLLM}, {"lightllm", LightLLM}, {"lmdeploy", LMDeploy},
	{"huggingfaceserver", KServeHF}, {"ollama/ollama", Ollama}, {"llama.cpp", LlamaCPP},
}

func engineOfImage(image string) string {
	repository := strings.ToLower(imageRepository(image))
	for _, h := range imageHints {
		if strings.Contains(repository, h.text) {
			return h.engine
		}
	}
	return ""
}

// match finds the engine that a simple command starts, and the index of the token after which an argument may go.
func match(words []Word) (*entry, int) {
	if len(words) == 0 || !words[0].Known {
		return nil, 0
	}
	program := base(words[0].Text)
	if strings.HasPrefix(program, "python") && strings.Trim(program[len("python"):], "0123456789.") == "" {
		return matchPython(words)
	}
	if program == "ray" {
		return matchRay(words)
	}
	at := 0
	if isShell(program) != 0 && len(words) > 1 && words[1].Known { // a shell running a script file
		at, program = 1, base(words[1].Text)
	}
	for _, w := range workers {
		if program == w && len(words) > at+1 && words[at+1].Text == string(startup.RoleWorker) {
			return &entry{engine: VLLM, role: startup.RoleWorker}, at + 1
		}
	}
	if program == "vllm" && len(words) > 1 && words[1].Text == "run-batch" {
		return &entry{engine: VLLM, role: startup.RoleBatch}, 1
	}
	if e := scripts[program]; e != nil {
		return e, at
	}
	return withSub(programs[program], words, 0)
}

// withSub checks for the subcommand that an entry needs; the token is then the subcommand.
func withSub(e *entry, words []Word, at int) (*entry, int) {
	if e == nil || e.subs == nil {
		return follower(e, words[min(at+1, len(words)):]), at
	}
	if at+1 < len(words) {
		for _, sub := range e.subs {
			if words[at+1].Text == sub {
				return follower(e, words[at+2:]), at + 1
			}
		}
	}
	return nil, 0
}

var nodeRank = []string{"--node-rank", "--node_rank"}

// follower makes a worker of an engine that serves no API: any but the first node of a multi-node deployment.
func follower(e *entry, args []Word) *entry {
	if e == nil || e.role != "" || e.engine != VLLM && e.engine != SGLang {
		return e
	}
	rank, err := strconv.Atoi(first(option(args, nodeRank), "0"))
	if err == nil && rank > 0 || slices.ContainsFunc(args, func(w Word) bool { return e.engine == VLLM && w.Text == "--headless" }) {
		return &entry{engine: e.engine, role: startup.RoleWorker}
	}
	return e
}

// matchPython reads the interpreter's own options up to the module or the script.
func matchPython(words []Word) (*entry, int) {
	for i := 1; i < len(words); i++ {
		text := words[i].Text
		switch {
		case !words[i].Known:
			return nil, 0
		case text == "-X", text == "-W", text == "--check-hash-based-pycs":
			i++
		case text == "-", strings.HasPrefix(text, "-c"), strings.HasPrefix(text, "-") && !strings.HasPrefix(text, "--") && strings.HasSuffix(text, "c"):
			return nil, 0
		case strings.HasPrefix(text, "-m") && len(text) > 2:
			return withSub(modules[text[2:]], words, i)
		case strings.HasPrefix(text, "-") && !strings.HasPrefix(text, "--") && strings.HasSuffix(text, "m"):
			if i+1 < len(words) && words[i+1].Known {
				return withSub(modules[words[i+1].Text], words, i+1)
			}
			return nil, 0
		case strings.HasPrefix(text, "-"):
		default:
			if e := scripts[base(text)]; e != nil {
				return e, i
			}
			if strings.HasSuffix(text, server.APIServer) {
				return &entry{engine: VLLM}, i
			}
			return withSub(programs[base(text)], words, i) // python /usr/local/bin/vllm serve
		}
	}
	return nil, 0
}

// matchRay tells a Ray worker, which joins the cluster at an address, from a head.
func matchRay(words []Word) (*entry, int) {
	if len(words) < 2 || words[1].Text != "start" {
		return nil, 0
	}
	for _, w := range words[2:] {
		if start := w.start(); start == "--address" || strings.HasPrefix(start, "--address=") {
			return &entry{engine: Ray, role: startup.RoleWorker}, 1
		}
	}
	return nil, 0
}

func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
