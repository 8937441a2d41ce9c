// SPDX-License-Identifier: Apache-2.0

package engine

import "github.com/coldtrace/coldtrace/engine/server"

// Engine is what is known of one model server, whichever its version.
type Engine struct {
	// Name tells engines apart. Where there is a recipe for what the engine says, it is the recipe's.
	Name string
	// Processes are the command lines that start it.
	Processes []Process
	// Address is where it answers unless it is told otherwise; without a Path and a Scheme it serves nothing.
	Address Address
	// Ports are others that it has listened on by default, in other versions.
	Ports []int
	// Settings are what tells it where to listen: the options of its parser and its variables.
	Settings []Setting
}

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

const grpcMode = "^--(smg-)?grpc-mode$"

var table = []Engine{
	{
		Name: "batch", // vLLM's, without a server
		Processes: []Process{
			{Script: "vllm_batch.py"}, {Module: "vllm_batch"}, {Module: "model_engine_server.inference.vllm.vllm_batch"},
			{Module: "vllm.entrypoints.openai.run_batch"}, {Command: "vllm", Word: "run-batch"},
		},
	},
	{
		Name: "lightllm",
		Processes: []Process{
			{Module: "lightllm.server.api_server"}, {Script: "api_server.py", Argument: "^--model_dir(=|$)"},
		},
		Address:  Address{Scheme: "http", Port: 8000, Path: "/health"},
		Settings: []Setting{{Option: "--port", set: port}},
	},
	{
		Name: "lmdeploy",
		Processes: []Process{
			{Command: "lmdeploy", Word: "serve"}, {Module: "lmdeploy", Word: "serve"}, {Module: "lmdeploy.serve.openai.api_server"},
		},
		Address:  Address{Scheme: "http", Port: 23333, Path: "/health"},
		Settings: []Setting{{Option: "--server-port", set: port}, {Option: "--ssl", Bare: true, set: secure}},
	},
	{
		Name:      "nim",
		Processes: []Process{{Module: "vllm_nvext.entrypoints.openai.api_server"}, {Module: "nim_llm_sdk.entrypoints.openai.api_server"}},
		Address:   Address{Scheme: "http", Port: 8000, Path: "/v1/health/ready"},
		Settings: append([]Setting{
			{Env: "NIM_HTTP_API_PORT", set: port}, {Env: "NIM_SERVER_PORT", set: port}, {Option: "--port", set: port},
		}, uvicornTLS...),
	},
	{
		Name: "sglang_grpc",
		Processes: []Process{
			{Module: "sglang.launch_server", Argument: grpcMode}, {Script: "launch_server.py", Argument: grpcMode},
			{Command: "sglang", Word: "serve", Argument: grpcMode}, {Module: "sglang", Word: "serve", Argument: grpcMode},
		},
		Address:  Address{Scheme: "grpc", Port: 30000},
		Ports:    []int{40000}, // since 2026
		Settings: append([]Setting{{Option: "--port", set: port}, {Option: "--grpc-port", set: port}, {Option: configOption}}, uvicornTLS...),
	},
	{
		Name: "sglang",
		Processes: []Process{
			{Module: "sglang.launch_server"}, {Script: "launch_server.py", Argument: "^--model-path(=|$)"}, {Command: "sglang", Word: "serve"},
			{Module: "sglang", Word: "serve"},
		},
		Address:  Address{Scheme: "http", Port: 30000, Path: "/health"},
		Settings: append([]Setting{{Option: "--port", set: port}, {Option: configOption}}, uvicornTLS...),
	},
	{
		Name:      "tensorrt_llm", // behind Triton
		Processes: []Process{{Script: "launch_triton_server.py"}, {Command: "tritonserver"}},
		Address:   Address{Scheme: "http", Port: 8000, Path: "/v2/health/ready"},
		Settings:  []Setting{{Option: "--http-port", set: port}, {Option: "--allow-http", set: allowed}},
	},
	{
		Name:      "tgi",
		Processes: []Process{{Command: "text-generation-launcher"}, {Command: "text-generation-router"}},
		Address:   Address{Scheme: "http", Port: 3000, Path: "/health"},
		Settings:  []Setting{{Option: "--port", Short: "-p", Env: "PORT", set: port}},
	},
	{
		Name:      "trtllm_serve",
		Processes: []Process{{Command: "trtllm-serve"}, {Module: "tensorrt_llm.commands.serve"}},
		Address:   Address{Scheme: "http", Port: 8000, Path: "/health"},
		Settings:  []Setting{{Option: "--port", set: port}, {Option: "--grpc", Bare: true, set: overGRPC}},
	},
	{
		Name:      "vllm",
		Processes: vllmServers(),
		Address:   Address{Scheme: "http", Port: 8000, Path: "/health"},
		Settings:  append([]Setting{{Option: "--port", set: port}, {Option: "--uds", set: socket}, {Option: configOption}}, uvicornTLS...),
	},
	{
		Name: "vllm_grpc",
		Processes: []Process{
			{Module: "vllm.entrypoints.grpc_server"}, {Module: "vllm.entrypoints.launchers.grpc_server"},
			{Module: "vllm.entrypoints.cli.main", Word: "serve", Argument: "^--grpc$"}, {Module: "vllm", Word: "serve", Argument: "^--grpc$"},
			{Command: "vllm", Word: "serve", Argument: "^--grpc$"},
		},
		Address:  Address{Scheme: "grpc", Port: 8000},
		Ports:    []int{50051}, // of the modules
		Settings: []Setting{{Option: "--port", set: port}, {Option: configOption}},
	},

	// Of these nobody reads the logs.
	{
		Name:      "huggingfaceserver", // KServe's
		Processes: []Process{{Module: "huggingfaceserver"}},
		Address:   Address{Scheme: "http", Port: 8080, Path: "/v2/health/ready"},
		Settings:  []Setting{{Option: "--http-port", set: port}},
	},
	{
		Name:      "llama_cpp",
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
		Name:      "ollama",
		Processes: []Process{{Command: "ollama", Word: "serve"}},
		Address:   Address{Scheme: "http", Port: 11434, Path: "/"},
		Settings:  []Setting{{Env: "OLLAMA_HOST", set: hostAndPort}},
	},
	{
		Name:      "tei",
		Processes: []Process{{Command: "text-embeddings-router"}},
		Address:   Address{Scheme: "http", Port: 3000, Path: "/health"},
		Settings:  []Setting{{Option: "--port", Short: "-p", Env: "PORT", set: port}},
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
	for _, script := range server.Scripts {
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
