// SPDX-License-Identifier: Apache-2.0

// Package server says how vLLM's servers are called. It is data that admission and the wrapper share, and imports nearly
// nothing: the wrapper asks it before the command starts.
package server

import (
	"strconv"
	"strings"
)

// Modules are vLLM's servers by what stands after python -m, with the subcommand that must follow. All of them have
// a parser that knows --otlp-traces-endpoint where the version does (wrapper/vllm/testdata/parsers.tsv).
var Modules = map[string]string{
	"vllm_server":                                 "",
	"vllm_omni_server":                            "",
	"vllm_startup_wrapper":                        "",
	"vllm.entrypoints.openai.api_server":          "",
	"vllm.entrypoints.api_server":                 "",
	"vllm.entrypoints.launchers.api_server.entry": "",
	"vllm.entrypoints.cli.main":                   "serve",
	"vllm.scripts":                                "serve",
	"vllm":                                        "serve",
}

// Programs are the same by the base name of an executable.
var Programs = map[string]string{"vllm": "serve"}

// Scripts are the same by the base name of a file that an interpreter runs, or that runs by itself.
var Scripts = []string{"vllm_server.py", "vllm_omni_server.py", "vllm_startup_wrapper.py"}

// APIServer is one more, by the end of its path: other engines have an api_server.py, too.
const APIServer = "vllm/entrypoints/openai/api_server.py"

// Rust is the variable that gives vLLM a front end in Rust.
const Rust = "VLLM_USE_RUST_FRONTEND"

// GRPC is in the name of vLLM's modules that serve gRPC only.
const GRPC = ".grpc_server"

// OtherParser tells whether an argument makes vLLM hand its arguments to somebody else, whose parser does not know the
// flag: its gRPC server, vLLM Omni.
func OtherParser(arg string) bool { return strings.HasPrefix(arg, "--grpc") || arg == "--omni" }

// ReadsConfig tells whether a text holds the option --config, by which vLLM reads a file of arguments, and not one that
// begins likewise, such as --config-format.
func ReadsConfig(text string) bool {
	for {
		_, rest, found := strings.Cut(text, "--config")
		if !found || strings.TrimLeft(rest, "-_abcdefghijklmnopqrstuvwxyz") == rest {
			return found
		}
		text = rest
	}
}

// RustFrontEnd tells whether a value of Rust does, which refuses the flag (vllm#44757, vllm#47810): bool(int(…)). What is no
// number stops vLLM with or without us.
func RustFrontEnd(value string) bool {
	n, err := strconv.Atoi(strings.TrimSpace(value))
	return err != nil || n != 0
}
