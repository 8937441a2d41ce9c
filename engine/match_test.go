// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"
	"testing"
)

func TestMatchNamesTheEngineOfACommandLine(t *testing.T) {
	for name, c := range map[string]struct {
		argv string
		want string // its name, empty: none
	}{
		"model-engine's own vLLM server":      {"python -m vllm_server --model model_files --port 5005", "vllm"},
		"vLLM's server module":                {"/usr/bin/python3.12 -u -m vllm.entrypoints.openai.api_server --model m", "vllm"},
		"module glued to -m":                  {"python3 -mvllm.entrypoints.openai.api_server", "vllm"},
		"vllm serve":                          {"vllm serve org/model --port 8000", "vllm"},
		"vllm serve by path":                  {"/opt/venv/bin/vllm serve m", "vllm"},
		"vllm serve as the kernel shows it":   {"/usr/bin/python3 /usr/local/bin/vllm serve m", "vllm"},
		"vllm as a module":                    {"python -m vllm serve m", "vllm"},
		"another word of vllm":                {"vllm bench latency --model m", ""},
		"a benchmark of a server":             {"vllm bench serve --model m", ""},
		"a profiler":                          {"nsys profile -o /tmp/r --trace cuda,nvtx vllm serve m", "vllm"},
		"a launcher with two of its own":      {"gosu nobody chrt 1 vllm serve m", "vllm"},
		"vLLM's server by its file":           {"python3 /app/vllm/entrypoints/openai/api_server.py --model m", "vllm"},
		"another's file of that name":         {"python3 /app/api_server.py --model m", ""},
		"collect-env":                         {"vllm collect-env", ""},
		"under ddtrace-run":                   {"ddtrace-run python -m vllm_server --model m", "vllm"},
		"under ddtrace-run by its script":     {"/usr/bin/python3 /usr/local/bin/ddtrace-run python -m vllm_server", "vllm"},
		"behind env and assignments":          {"env -u HTTP_PROXY A=1 B=2 python -m vllm_server", "vllm"},
		"behind dumb-init and nice":           {"dumb-init -- nice -n 5 python -m vllm_server", "vllm"},
		"behind numactl":                      {"numactl -N 0 -m 0 vllm serve m", "vllm"},
		"behind timeout":                      {"timeout 600 vllm serve m", "vllm"},
		"behind uv run":                       {"uv run vllm serve m", "vllm"},
		"behind our own wrapper":              {"/coldtrace/coldtrace-wrapper run -- python -m vllm_server", "vllm"},
		"interpreter options with a value":    {"python -X importtime -W ignore -m vllm_server", "vllm"},
		"a server's script":                   {"python /app/vllm_server.py --model m", "vllm"},
		"the batch script":                    {"python vllm_batch.py --mode batch_processing", "batch"},
		"the batch script under ddtrace-run":  {"ddtrace-run python vllm_batch.py", "batch"},
		"vllm run-batch":                      {"vllm run-batch -i in.jsonl -o out.jsonl --model m", "batch"},
		"SGLang":                              {"python3 -m sglang.launch_server --model-path m --port 5005", "sglang"},
		"TGI":                                 {"text-generation-launcher --hostname :: --model-id m", "tgi"},
		"Triton's launch script":              {"python3 launch_triton_server.py --world_size=4 --model_repo=./model_repo/", "tensorrt_llm"},
		"Triton itself":                       {"/opt/tritonserver/bin/tritonserver --model-repository=/m", "triton"},
		"trtllm-serve":                        {"trtllm-serve m --port 8000", "trtllm_serve"},
		"trtllm-serve over several nodes":     {"trtllm-llmapi-launch trtllm-serve m", "trtllm_serve"},
		"NIM":                                 {"python3 -m vllm_nvext.entrypoints.openai.api_server", "nim"},
		"LightLLM":                            {"python -m lightllm.server.api_server --model_dir m --tp 1", "lightllm"},
		"LMDeploy":                            {"lmdeploy serve api_server m --server-port 23333", "lmdeploy"},
		"vLLM's gRPC server module":           {"python -m vllm.entrypoints.grpc_server --model m", "vllm_grpc"},
		"vLLM's gRPC server, later":           {"python3 -m vllm.entrypoints.launchers.grpc_server --model m", "vllm_grpc"},
		"vllm serve with gRPC":                {"/usr/bin/python3 /usr/local/bin/vllm serve m --port 50051 --grpc", "vllm_grpc"},
		"vllm serve with gRPC beside HTTP":    {"vllm serve m --grpc-port 50051", "vllm"},
		"vLLM's server module of 2026":        {"python3 -m vllm.entrypoints.launchers.api_server.entry --model m", "vllm"},
		"SGLang with gRPC":                    {"python3 -m sglang.launch_server --model-path m --grpc-mode", "sglang_grpc"},
		"sglang serve with gRPC":              {"sglang serve --model-path m --smg-grpc-mode", "sglang_grpc"},
		"KServe's server":                     {"python3 -m huggingfaceserver --model_id m", "huggingfaceserver"},
		"llama.cpp":                           {"/app/llama-server -m m.gguf", "llama_cpp"},
		"Ollama":                              {"/bin/ollama serve", "ollama"},
		"another word of Ollama":              {"ollama run m", ""},
		"embeddings":                          {"text-embeddings-router --model-id m", "tei"},
		"a shell, whatever its script":        {"/bin/bash -c python_-m_vllm_server", ""},
		"a forwarder":                         {"python -m model_engine_server.inference.forwarding.http_forwarder --port 5000", ""},
		"any Python program":                  {"python app.py --model vllm_server", ""},
		"python -c":                           {"python -c vllm_server", ""},
		"python alone":                        {"python", ""},
		"python -m alone":                     {"python -m", ""},
		"a launcher alone":                    {"env A=1", ""},
		"a file that is called like a module": {"cat vllm_server.py", ""},
		"a worker of the engine":              {"VLLM::EngineCore", ""},
		"nothing":                             {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := Match(strings.Fields(c.argv))
			switch {
			case got == nil && c.want != "":
				t.Errorf("not recognised, want %s", c.want)
			case got != nil && got.Name != c.want:
				t.Errorf("got %s, want %q", got.Name, c.want)
			}
		})
	}
}

func FuzzMatchNeverPanics(f *testing.F) {
	f.Add("env -u\x00python\x00-m")
	f.Add("ddtrace-run\x00--\x00vllm\x00serve")
	f.Fuzz(func(_ *testing.T, argv string) { Match(strings.Split(argv, "\x00")) })
}
