// SPDX-License-Identifier: Apache-2.0

// Package engine holds what is known of engines and of the programs around them, as data that admission and the wrapper
// share. It imports nothing: the wrapper asks it before the command starts.
package engine

// VLLMModules are vLLM's servers by what stands after python -m, with the subcommand that must follow. All of them have
// a parser that knows --otlp-traces-endpoint where the version does (wrapper/vllm/testdata/parsers.tsv).
var VLLMModules = map[string]string{
	"vllm_server":                        "",
	"vllm_omni_server":                   "",
	"vllm_startup_wrapper":               "",
	"vllm.entrypoints.openai.api_server": "",
	"vllm.entrypoints.api_server":        "",
	"vllm.entrypoints.cli.main":          "serve",
	"vllm.scripts":                       "serve",
	"vllm":                               "serve",
}

// VLLMScripts are the same as files, by the end of their path; those of programs have a subcommand too.
var VLLMScripts = map[string]string{
	"vllm_server.py":                        "",
	"vllm_omni_server.py":                   "",
	"vllm_startup_wrapper.py":               "",
	"vllm/entrypoints/openai/api_server.py": "",
	"vllm":                                  "serve",
}
