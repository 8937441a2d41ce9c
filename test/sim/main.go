// SPDX-License-Identifier: Apache-2.0

// Command sim stands in for model servers: it is started by their command lines, writes start-up logs in their formats,
// takes as long as its script says, then answers on /health. README.md tells how to steer it.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	os.Exit(run(os.Args))
}

// run acts as whatever program argv says that this is.
func run(argv []string) int {
	switch name := filepath.Base(argv[0]); {
	case strings.HasPrefix(name, "python"):
		return python(argv)
	case name == "vllm":
		return vllmCommand(argv[1:])
	case name == "text-generation-launcher":
		return serve(tgi, name, argv[1:])
	case name == "ddtrace-run" || name == "dumb-init" || name == "sim":
		return launch(argv[1:])
	default:
		fmt.Fprintf(os.Stderr, "sim: %s: not a program that is simulated\n", name)
		return 127
	}
}

// launch replaces the process by its arguments, as launchers do. "sim python -m …" needs no links.
func launch(argv []string) int {
	for len(argv) > 0 && strings.HasPrefix(argv[0], "-") {
		argv = argv[1:]
	}
	if len(argv) == 0 {
		return 2
	}
	self, err := os.Executable()
	if err == nil && simulated(argv[0]) {
		err = syscall.Exec(self, argv, os.Environ())
	} else if path, lookErr := lookPath(argv[0]); lookErr == nil {
		err = syscall.Exec(path, argv, os.Environ())
	} else {
		err = lookErr
	}
	fmt.Fprintf(os.Stderr, "sim: start %s: %v\n", argv[0], err)
	return 127
}

func simulated(program string) bool {
	name := filepath.Base(program)
	return strings.HasPrefix(name, "python") || name == "vllm" || name == "text-generation-launcher" || name == "ddtrace-run"
}

func lookPath(program string) (string, error) {
	if strings.Contains(program, "/") {
		return program, nil
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if path := filepath.Join(dir, program); executable(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("look up %s: %w", program, os.ErrNotExist)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// python knows the modules and scripts that start a model server.
func python(argv []string) int {
	args := argv[1:]
	for len(args) > 0 && (args[0] == "-u" || args[0] == "-O" || args[0] == "-B") {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "sim: python needs -m MODULE or a script")
		return 2
	}
	target, rest := args[0], args[1:]
	if target == "-m" && len(rest) > 0 {
		target, rest = rest[0], rest[1:]
	}
	switch {
	case target == "vllm_server" || target == "vllm.entrypoints.openai.api_server" || strings.HasSuffix(target, "vllm_server.py"):
		return serve(vllm, apiServerName(target), rest)
	case filepath.Base(target) == "vllm" || target == "vllm.entrypoints.cli.main": // also as the script that pip installs
		return vllmCommand(rest)
	case strings.HasSuffix(target, "vllm_batch.py"):
		return serve(batch, "vllm_batch.py", rest)
	case target == "sglang.launch_server":
		return serve(sglang, "launch_server.py", rest)
	case target == "lightllm.server.api_server":
		return serve(lightllm, "api_server.py", rest)
	case strings.HasSuffix(target, "launch_triton_server.py"):
		return serve(triton, "launch_triton_server.py", rest)
	case target == "model_engine_server.inference.forwarding.http_forwarder":
		return forward(rest)
	}
	fmt.Fprintf(os.Stderr, "%s: No module named %s\n", argv[0], target)
	return 1
}

func apiServerName(target string) string {
	if target == "vllm.entrypoints.openai.api_server" {
		return "api_server.py"
	}
	return "vllm_server.py"
}

func vllmCommand(args []string) int {
	if len(args) == 0 || args[0] != "serve" {
		fmt.Fprintf(os.Stderr, "usage: vllm [-h] [-v] {chat,complete,serve,bench,collect-env,run-batch} ...\n"+
			"vllm: error: argument subparser: invalid choice\n")
		return 2
	}
	return serve(vllm, "vllm serve", args[1:])
}
