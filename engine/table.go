// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"

	"github.com/coldtrace/coldtrace/engine/server"
)

// Engine is what is known of one model server, whichever its version.
type Engine struct {
	// Name tells rows apart. Where there is a recipe for what the engine says, it is the recipe's.
	Name string
	// Family is what the engine is called, by an admission and in spans; empty: its Name.
	Family string
	// Role is what its processes become if that is not a server: worker, batch.
	Role string
	// Processes are the command lines that start it.
	Processes []Process
	// Hints are texts that only its command holds, Images parts of its images' repositories.
	Hints, Images []string
	// Positional says that its first argument that is no option's is the model.
	Positional bool
	// Address is where it answers unless it is told otherwise; without a Path and a Scheme it serves nothing.
	Address Address
	// Ports are others that it has listened on by default, in other versions.
	Ports []int
	// Settings are what tells it where to listen: the options of its parser and its variables.
	Settings []Setting
}

// Families that are asked for by name.
const (
	VLLM   = "vllm"
	SGLang = "sglang"
	NIM    = "nim"
)

// Setting is an option of an engine, a variable, or both for the same thing.
type Setting struct {
	Option string // --port; matched as the engine's parser matches, see Engine.Addresses
	Short  string // -p
	Env    string
	Bare   bool // the option takes no value
	set    func(*Address, string)
}

// The options below are held against the lists of the engines' own parsers by a test, see testdata/options. What is not
// here has no say in where a server answers: FastAPI's root path (vLLM's --root-path, SGLang's --fastapi-root-path) is
// stripped from a request's path only if it is there, and vLLM's VLLM_PORT is where its own processes talk to each other.
var uvicornTLS = []Setting{{Option: "--ssl-certfile", set: secure}, {Option: "--ssl-keyfile", set: secure}}

// configOption names a file of options. Its parsers know it in full only, as a word of its own.
const configOption = "--config"

var grpcMode = []string{"--grpc-mode", "--smg-grpc-mode"}

var table = []Engine{
	{
		Name:      "dynamo", // a front end and workers of several engines
		Images:    []string{"ai-dynamo/"},
		Processes: []Process{{Module: "dynamo.vllm"}, {Module: "dynamo.sglang"}, {Module: "dynamo.trtllm"}},
	},
	{
		Name:      "nim",
		Hints:     []string{"/opt/nim/"},
		Images:    []string{"/nim/"},
		Processes: []Process{{Module: "vllm_nvext.entrypoints.openai.api_server"}, {Module: "nim_llm_sdk.entrypoints.openai.api_server"}},
		Address:   Address{Scheme: "http", Port: 8000, Path: "/v1/health/ready"},
		Settings: append([]Setting{
			{Env: "NIM_HTTP_API_PORT", set: port}, {Env: "NIM_SERVER_PORT", set: port}, {Option: "--port", set: port},
		}, uvicornTLS...),
	},
	{
		Name: "nim_script", Family: NIM, // becomes one of several servers
		Processes: []Process{{Script: "start_server.sh"}, {Script: "start-server.sh"}},
	},
	{
		Name:       "vllm",
		Hints:      []string{"vllm_server", "vllm_batch", "vllm serve", "vllm.entrypoints", "vllm_startup_wrapper", "multi-node-serving.sh", "init_ray.sh"},
		Images:     []string{"vllm", "llm-d"},
		Positional: true,
		Processes:  vllmServers(),
		Address:    Address{Scheme: "http", Port: 8000, Path: "/health"},
		Settings:   append([]Setting{{Option: "--port", set: port}, {Option: "--uds", set: socket}, {Option: configOption}}, uvicornTLS...),
	},
	{
		Name:   "vllm_grpc",
		Family: VLLM,
		Processes: []Process{
			{Module: "vllm.entrypoints.grpc_server"}, {Module: "vllm.entrypoints.launchers.grpc_server"},
			{Module: "vllm.entrypoints.cli.main", Word: "serve", Options: []string{"--grpc"}}, {Module: "vllm", Word: "serve", Options: []string{"--grpc"}},
			{Command: "vllm", Word: "serve", Options: []string{"--grpc"}},
		},
		Address:  Address{Scheme: "grpc", Port: 8000},
		Ports:    []int{50051}, // of the modules
		Settings: []Setting{{Option: "--port", set: port}, {Option: configOption}},
	},
	{
		Name:   "batch", // vLLM's, without a server
		Family: VLLM,
		Role:   "batch",
		Processes: []Process{
			{Script: "vllm_batch.py"}, {Module: "vllm_batch"}, {Module: "model_engine_server.inference.vllm.vllm_batch"},
			{Module: "vllm.entrypoints.openai.run_batch"}, {Command: "vllm", Word: "run-batch"},
		},
	},
	{
		Name: "vllm_member", Family: VLLM, Role: "worker", // joins Ray's cluster
		Processes: []Process{{Script: "init_ray.sh", Word: "worker"}, {Script: "multi-node-serving.sh", Word: "worker"}},
	},
	{
		Name:   "sglang",
		Hints:  []string{"sglang.launch_server"},
		Images: []string{"sglang"},
		Processes: []Process{
			{Module: "sglang_router.launch_server"},
			{Module: "sglang.launch_server"}, {Script: "launch_server.py", Options: []string{"--model-path"}}, {Command: "sglang", Word: "serve"},
			{Module: "sglang", Word: "serve"},
		},
		Address:  Address{Scheme: "http", Port: 30000, Path: "/health"},
		Settings: append([]Setting{{Option: "--port", set: port}, {Option: configOption}}, uvicornTLS...),
	},
	{
		Name:   "sglang_grpc",
		Family: "sglang",
		Processes: []Process{
			{Module: "sglang.launch_server", Options: grpcMode}, {Script: "launch_server.py", Options: grpcMode},
			{Command: "sglang", Word: "serve", Options: grpcMode}, {Module: "sglang", Word: "serve", Options: grpcMode},
		},
		Address:  Address{Scheme: "grpc", Port: 30000},
		Ports:    []int{40000}, // since 2026
		Settings: append([]Setting{{Option: "--port", set: port}, {Option: "--grpc-port", set: port}, {Option: configOption}}, uvicornTLS...),
	},
	{
		Name:       "tgi",
		Hints:      []string{"text-generation-launcher"},
		Images:     []string{"text-generation-inference", "tgi-inference"},
		Positional: true,
		Processes:  []Process{{Command: "text-generation-launcher"}, {Command: "text-generation-router"}},
		Address:    Address{Scheme: "http", Port: 3000, Path: "/health"},
		Settings:   []Setting{{Option: "--port", Short: "-p", Env: "PORT", set: port}},
	},
	{
		Name: "tgi_shard", Family: "tgi", // speaks to its router through a socket of its own
		Positional: true,
		Processes:  []Process{{Command: "text-generation-server", Word: "serve"}, {Module: "text_generation_server.cli", Word: "serve"}},
	},
	{
		Name:      "tei",
		Images:    []string{"text-embeddings-inference"},
		Processes: []Process{{Command: "text-embeddings-router"}},
		Address:   Address{Scheme: "http", Port: 3000, Path: "/health"},
		Settings:  []Setting{{Option: "--port", Short: "-p", Env: "PORT", set: port}},
	},
	{
		Name:       "tensorrt_llm", // behind Triton
		Hints:      []string{"launch_triton_server"},
		Positional: true,
		Processes:  []Process{{Script: "launch_triton_server.py"}},
		Address:    Address{Scheme: "http", Port: 8000, Path: "/v2/health/ready"},
		Settings:   []Setting{{Option: "--http-port", set: port}, {Option: "--allow-http", set: allowed}},
	},
	{
		Name:       "trtllm_serve",
		Family:     "tensorrt_llm",
		Hints:      []string{"trtllm-serve"},
		Images:     []string{"tensorrt-llm", "tensorrtllm"},
		Positional: true,
		Processes:  []Process{{Command: "trtllm-serve"}, {Module: "tensorrt_llm.commands.serve"}},
		Address:    Address{Scheme: "http", Port: 8000, Path: "/health"},
		Settings:   []Setting{{Option: "--port", set: port}, {Option: "--grpc", Bare: true, set: overGRPC}},
	},
	{
		Name:      "triton", // whatever it serves
		Hints:     []string{"tritonserver"},
		Images:    []string{"tritonserver"},
		Processes: []Process{{Command: "tritonserver"}},
		Address:   Address{Scheme: "http", Port: 8000, Path: "/v2/health/ready"},
		Settings:  []Setting{{Option: "--http-port", set: port}, {Option: "--allow-http", set: allowed}},
	},
	{
		Name:   "lightllm",
		Hints:  []string{"lightllm.server"},
		Images: []string{"lightllm"},
		Processes: []Process{
			{Module: "lightllm.server.api_server"}, {Script: "api_server.py", Options: []string{"--model_dir"}},
		},
		Address:  Address{Scheme: "http", Port: 8000, Path: "/health"},
		Settings: []Setting{{Option: "--port", set: port}},
	},
	{
		Name:       "lmdeploy",
		Hints:      []string{"lmdeploy serve"},
		Images:     []string{"lmdeploy"},
		Positional: true,
		Processes: []Process{
			{Command: "lmdeploy", Word: "serve"}, {Module: "lmdeploy", Word: "serve"}, {Module: "lmdeploy.serve.openai.api_server"},
		},
		Address:  Address{Scheme: "http", Port: 23333, Path: "/health"},
		Settings: []Setting{{Option: "--server-port", set: port}, {Option: "--ssl", Bare: true, set: secure}},
	},
	{
		Name:      "huggingfaceserver", // KServe's
		Images:    []string{"huggingfaceserver"},
		Processes: []Process{{Module: "huggingfaceserver"}},
		Address:   Address{Scheme: "http", Port: 8080, Path: "/v2/health/ready"},
		Settings:  []Setting{{Option: "--http-port", set: port}},
	},
	{
		Name:      "ollama",
		Images:    []string{"ollama/ollama"},
		Processes: []Process{{Command: "ollama", Word: "serve"}},
		Address:   Address{Scheme: "http", Port: 11434, Path: "/"},
		Settings:  []Setting{{Env: "OLLAMA_HOST", set: hostAndPort}},
	},
	{
		Name:      "llama_cpp",
		Images:    []string{"llama.cpp"},
		Processes: []Process{{Command: "llama-server"}},
		Address:   Address{Scheme: "http", Port: 8080, Path: "/health"},
		Ports:     []int{9931}, // since 2026
		Settings: []Setting{
			{Option: "--port", Env: "LLAMA_ARG_PORT", set: port}, {Option: "--host", Env: "LLAMA_ARG_HOST", set: socketAmongHosts},
			{Option: "--api-prefix", Env: "LLAMA_ARG_API_PREFIX", set: prefix},
			{Option: "--ssl-cert-file", Env: "LLAMA_ARG_SSL_CERT_FILE", set: secure},
		},
	},
	{
		Name: "llama_cpp_python", Family: "llama_cpp",
		Processes: []Process{{Module: "llama_cpp.server"}},
		Address:   Address{Scheme: "http", Port: 8000, Path: "/v1/models"},
		Settings:  []Setting{{Option: "--port", Env: "PORT", set: port}, {Option: "--ssl-certfile", set: secure}},
	},
	{
		Name: "ray", Role: "worker", // a head has no address to join
		Processes: []Process{{Command: "ray", Word: "start", Options: []string{"--address"}}},
	},
}

// vllmServers are those that admission and the flag know, too.
func vllmServers() (out []Process) {
	for module, sub := range server.Modules {
		out = append(out, Process{Module: module, Word: sub})
	}
	for program, sub := range server.Programs {
		out = append(out, Process{Command: program, Word: sub})
	}
	for _, script := range append(server.Scripts, server.APIServer) {
		out = append(out, Process{Script: script})
	}
	return out
}

// ByName is the engine of that name, nil if there is none.
func ByName(name string) *Engine {
	for i := range table {
		if table[i].Name == name {
			return &table[i]
		}
	}
	return nil
}

// Serves is false for batch programs: they are ready when their engine is.
func (e *Engine) Serves() bool { return e.Address.Scheme != "" }

// Called is the engine's name, by an admission and in spans.
func (e *Engine) Called() string {
	if e.Family != "" {
		return e.Family
	}
	return e.Name
}

// OfImage is what the engine is called that a repository of images is made for, empty if its name does not tell.
func OfImage(repository string) string {
	repository = strings.ToLower(repository)
	return named(func(e *Engine) []string { return e.Images }, func(part string) bool { return strings.Contains(repository, part) })
}

// Hinted is what the engine is called of which a command holds a text that only its own hold, and what follows that.
func Hinted(command string) (name, rest string) {
	name = named(func(e *Engine) []string { return e.Hints }, func(hint string) bool {
		_, after, ok := strings.Cut(command, hint)
		rest = after
		return ok
	})
	return name, rest
}

// named is what the first row is called of which a text passes.
func named(texts func(*Engine) []string, passes func(string) bool) string {
	for i := range table {
		for _, text := range texts(&table[i]) {
			if passes(text) {
				return table[i].Called()
			}
		}
	}
	return ""
}

// Positional tells engines whose first argument that is no option's is the model.
func Positional(name string) bool {
	for i := range table {
		if table[i].Called() == name && table[i].Positional {
			return true
		}
	}
	return false
}

// mentions are words one of which is in each command that starts an engine, or runs one that does.
var mentions = [...]string{
	"vllm", "sglang", "text-generation", "text_generation", "text-embeddings", "triton", "trtllm", "tensorrt_llm", "lightllm", "lmdeploy",
	"huggingfaceserver", "dynamo.", "init_ray.sh", "multi-node-serving.sh", "ray start", "start_server.sh", "start-server.sh", "ollama", "llama",
	"nim_llm_sdk", "launch_server.py", "api_server.py",
}

// Mentioned tells texts that may start an engine from the many that don't, which need not be taken apart.
func Mentioned(text string) bool {
	for _, word := range mentions {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}
