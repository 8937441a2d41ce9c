// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// answers are the URLs where the engine answers that a command line starts.
func answers(argv []string, env map[string]string, files map[string]string) string {
	e, args := Match(argv)
	if e == nil {
		return "no engine"
	}
	var all []string
	for _, a := range e.Addresses(args, Surroundings{
		Getenv: func(name string) string { return env[name] },
		ReadFile: func(path string) ([]byte, error) {
			if text, ok := files[path]; ok {
				return []byte(text), nil
			}
			return nil, errors.New("no such file")
		},
	}) {
		all = append(all, a.String())
	}
	return strings.Join(all, " ")
}

func TestAServerAnswersWhereItsOwnParserHasIt(t *testing.T) {
	type words = []string
	env := func(name, value string) map[string]string { return map[string]string{name: value} }
	const vllm8000, vllm5005 = "http://localhost:8000/health", "http://localhost:5005/health"
	for name, c := range map[string]struct {
		argv  words
		env   map[string]string
		files map[string]string
		want  string
	}{
		"vLLM's default":                           {argv: words{"vllm", "serve", "m"}, want: vllm8000},
		"a port":                                   {argv: words{"vllm", "serve", "m", "--port", "5005"}, want: vllm5005},
		"a port, joined":                           {argv: words{"vllm", "serve", "m", "--port=5005"}, want: vllm5005},
		"a port, begun":                            {argv: words{"vllm", "serve", "m", "--por", "5005"}, want: vllm5005},
		"a port, begun and joined":                 {argv: words{"vllm", "serve", "m", "--po=5005"}, want: vllm5005},
		"the last of two":                          {argv: words{"vllm", "serve", "m", "--port=1", "--por", "5005"}, want: vllm5005},
		"a port before the model":                  {argv: words{"vllm", "serve", "--port", "5005", "m"}, want: vllm5005},
		"a number as Python reads it":              {argv: words{"vllm", "serve", "m", "--port", " 5_005 "}, want: vllm5005},
		"another flag's number":                    {argv: words{"vllm", "serve", "m", "--max-model-len", "256", "-tp", "4"}, want: vllm8000},
		"a number that is no value":                {argv: words{"vllm", "serve", "7000"}, want: vllm8000},
		"another flag with that beginning":         {argv: words{"vllm", "serve", "m", "--port-range", "9000"}, want: vllm8000},
		"a key of JSON":                            {argv: words{"vllm", "serve", "m", "--kv-transfer-config.port", "9000"}, want: vllm8000},
		"a port that is none":                      {argv: words{"vllm", "serve", "m", "--port", "many"}},
		"a port too large":                         {argv: words{"vllm", "serve", "m", "--port", "65536"}},
		"any port that is free":                    {argv: words{"vllm", "serve", "m", "--port", "0"}},
		"no value":                                 {argv: words{"vllm", "serve", "m", "--port"}, want: vllm8000},
		"after the end of options":                 {argv: words{"vllm", "serve", "--", "--port", "5005"}, want: vllm8000},
		"TLS":                                      {argv: words{"vllm", "serve", "m", "--ssl-keyfile", "k", "--ssl-certfile=c"}, want: "https://localhost:8000/health"},
		"TLS with underscores":                     {argv: words{"vllm", "serve", "m", "--ssl_keyfile", "k", "--ssl_certfile", "c"}, want: "https://localhost:8000/health"},
		"TLS, begun":                               {argv: words{"vllm", "serve", "m", "--ssl-key", "k", "--ssl-certf", "c"}, want: "https://localhost:8000/health"},
		"TLS switched off by an empty path":        {argv: words{"vllm", "serve", "m", "--ssl-certfile", ""}, want: vllm8000},
		"only what clients must show":              {argv: words{"vllm", "serve", "m", "--ssl-ca-certs", "c"}, want: vllm8000},
		"a Unix socket, whatever the port":         {argv: words{"vllm", "serve", "m", "--uds", "/run/v.sock", "--port", "5005"}, want: "http+unix:///run/v.sock:/health"},
		"behind a proxy that adds a path":          {argv: words{"vllm", "serve", "m", "--root-path", "/llm"}, want: vllm8000},
		"vLLM's own port for its own processes":    {argv: words{"vllm", "serve", "m"}, env: env("VLLM_PORT", "5005"), want: vllm8000},
		"a launcher's number":                      {argv: words{"numactl", "-N", "0", "timeout", "5005", "vllm", "serve", "m"}, want: vllm8000},
		"a module behind the interpreter's own -X": {argv: words{"python3", "-X", "dev", "-m", "vllm.entrypoints.openai.api_server", "--port", "5005"}, want: vllm5005},
		"model-engine's":                           {argv: words{"python", "-m", "vllm_server", "--model", "m", "m", "--port", "5005", "--host", "::", "--max-model-len", "32768"}, want: vllm5005},
		"a file of options": {
			argv: words{"vllm", "serve", "m", "--config", "c.yaml"}, files: env("c.yaml", "# ours\nport: 5005 # HTTP\nmax-model-len: 256\ncompilation-config:\n  port: 1\n"), want: vllm5005,
		},
		"a file of options, and one more": {
			argv: words{"vllm", "serve", "m", "--port", "5005", "--config", "c.yaml"}, files: env("c.yaml", "port: 1\nssl_certfile: 'c.pem'\n"), want: "https://localhost:5005/health",
		},
		"a file of options that cannot be read": {argv: words{"vllm", "serve", "m", "--config", "c.yaml"}},
		"a word that vLLM takes for no file":    {argv: words{"vllm", "serve", "m", "--config-format", "hf"}, want: vllm8000},
		"vLLM by gRPC":                          {argv: words{"vllm", "serve", "m", "--grpc", "--port", "50051"}, want: "grpc://localhost:50051"},
		"SGLang":                                {argv: words{"python3", "-m", "sglang.launch_server", "--model-path", "m", "--tp-size", "8"}, want: "http://localhost:30000/health"},
		"SGLang by gRPC":                        {argv: words{"python3", "-m", "sglang.launch_server", "--model-path", "m", "--grpc-mode", "--port", "1234"}, want: "grpc://localhost:1234"},
		"SGLang by gRPC with TLS":               {argv: words{"sglang", "serve", "--model-path", "m", "--smg-grpc-mode", "--ssl-certfile", "c", "--ssl-keyfile", "k", "--port", "1"}, want: "grpcs://localhost:1"},
		"TGI by its short option":               {argv: words{"text-generation-launcher", "-p", "8080", "--num-shard", "4"}, want: "http://localhost:8080/health"},
		"TGI by its short option, joined":       {argv: words{"text-generation-launcher", "-p8080"}, want: "http://localhost:8080/health"},
		"TGI by its variable":                   {argv: words{"text-generation-launcher", "--model-id", "m"}, env: env("PORT", "80"), want: "http://localhost:80/health"},
		"TGI by both":                           {argv: words{"text-generation-launcher", "--port", "81"}, env: env("PORT", "80"), want: "http://localhost:81/health"},
		"TGI beside its metrics":                {argv: words{"text-generation-launcher", "--prometheus-port", "9001"}, want: "http://localhost:3000/health"},
		"Triton":                                {argv: words{"tritonserver", "--model-repository=/m", "--grpc-port=9", "--http-port=8001", "--metrics-port", "8002"}, want: "http://localhost:8001/v2/health/ready"},
		"Triton's launch script":                {argv: words{"python3", "launch_triton_server.py", "--world_size=4", "--http_port", "5005"}, want: "http://localhost:5005/v2/health/ready"},
		"Triton without HTTP":                   {argv: words{"tritonserver", "--allow-http=false"}},
		"trtllm-serve":                          {argv: words{"trtllm-serve", "m", "--host", "0.0.0.0", "--port", "9000"}, want: "http://localhost:9000/health"},
		"trtllm-serve by gRPC":                  {argv: words{"trtllm-serve", "m", "--grpc", "--port", "9000"}, want: "grpc://localhost:9000"},
		"LMDeploy":                              {argv: words{"lmdeploy", "serve", "api_server", "m", "--server-port", "9000", "--tp", "2"}, want: "http://localhost:9000/health"},
		"LMDeploy with TLS":                     {argv: words{"lmdeploy", "serve", "api_server", "m", "--ssl"}, want: "https://localhost:23333/health"},
		"LightLLM":                              {argv: words{"python", "-m", "lightllm.server.api_server", "--port", "5005", "--tp", "1", "--max_total_token_num", "15000"}, want: "http://localhost:5005/health"},
		"NIM by its variable":                   {argv: words{"python3", "-m", "vllm_nvext.entrypoints.openai.api_server"}, env: env("NIM_SERVER_PORT", "9000"), want: "http://localhost:9000/v1/health/ready"},
		"embeddings":                            {argv: words{"text-embeddings-router", "--model-id", "m", "--port", "80"}, want: "http://localhost:80/health"},
		"KServe":                                {argv: words{"python3", "-m", "huggingfaceserver", "--model_id=m", "--http_port", "8085", "--grpc_port", "1"}, want: "http://localhost:8085/v2/health/ready"},
		"llama.cpp":                             {argv: words{"llama-server", "-m", "m.gguf", "-c", "4096", "--port", "9000", "-p", "7"}, want: "http://localhost:9000/health"},
		"llama.cpp, whose default changed":      {argv: words{"llama-server", "-m", "m.gguf"}, want: "http://localhost:8080/health http://localhost:9931/health"},
		"llama.cpp by its variables":            {argv: words{"llama-server"}, env: map[string]string{"LLAMA_ARG_PORT": "81", "LLAMA_ARG_API_PREFIX": "/llm"}, want: "http://localhost:81/llm/health"},
		"llama.cpp at a Unix socket":            {argv: words{"llama-server", "--host", "/run/l.sock"}, want: "http+unix:///run/l.sock:/health"},
		"llama.cpp at a host":                   {argv: words{"llama-server", "--host", "0.0.0.0", "--port", "81", "--ssl-cert-file", "c", "--ssl-key-file", "k"}, want: "https://localhost:81/health"},
		"Ollama":                                {argv: words{"ollama", "serve"}, want: "http://localhost:11434/"},
		"Ollama at an address":                  {argv: words{"ollama", "serve"}, env: env("OLLAMA_HOST", "0.0.0.0:8080"), want: "http://localhost:8080/"},
		"Ollama at a host alone":                {argv: words{"ollama", "serve"}, env: env("OLLAMA_HOST", "0.0.0.0"), want: "http://localhost:11434/"},
		"Ollama at a URL":                       {argv: words{"ollama", "serve"}, env: env("OLLAMA_HOST", "http://[::]/"), want: "http://localhost:80/"},
		"a batch":                               {argv: words{"vllm", "run-batch", "--port", "5005"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := answers(c.argv, c.env, c.files); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// shapes are command lines of endpoints as people deploy them: what comes first, then options with their values in groups
// whose order is free.
var shapes = map[string]struct {
	head    string
	options []string
}{
	"http://localhost:5005/health": {
		"python -m vllm_server", []string{
			"--model model_files", "--served-model-name mistral-24b 7b", "--port 5005", "--host ::", "--max-model-len 32768", "--enforce-eager",
			"--tensor-parallel-size 1", "--gpu-memory-utilization 0.9", "--kv-transfer-config.kv_port 14579", "-O3", "--seed=1234",
		},
	},
	"http://localhost:8000/health": {
		"vllm serve org/model", []string{
			"--max-num-seqs 256", "--max_model_len=8192", "-tp 8", "--api-server-count 2", "--data-parallel-rpc-port 13345", "--swap-space 16",
			"--enable-auto-tool-choice", "--block-size 16", "--cuda-graph-sizes 1 2 4 8",
		},
	},
	"http://localhost:30001/health": {
		"python3 -m sglang.launch_server", []string{
			"--model-path org/model", "--tp-size 8", "--port 30001", "--host 0.0.0.0", "--nccl-port 28765", "--context-length 65536", "--dist-init-addr h:5000",
			"--cuda-graph-bs 1 2 4", "--trust-remote-code",
		},
	},
	"http://localhost:8080/health": {
		"text-generation-launcher", []string{
			"--model-id org/model", "--hostname ::", "-p 8080", "--num-shard 2", "--max-input-tokens 4000", "--max-total-tokens 4096", "--master-port 29501",
			"--prometheus-port 9001", "--json-output",
		},
	},
	"http://localhost:8001/v2/health/ready": {
		"tritonserver", []string{
			"--model-repository=/models", "--http-port=8001", "--grpc-port=8002", "--metrics-port=8003", "--log-verbose=1", "--http-thread-count 16",
			"--exit-timeout-secs 30",
		},
	},
	"http://localhost:9000/health": {
		"trtllm-serve org/model", []string{"--port 9000", "--max_batch_size 64", "--tp_size 4", "--max_num_tokens 8192", "--kv_cache_free_gpu_memory_fraction 0.9"},
	},
	"http://localhost:23334/health": {
		"lmdeploy serve api_server org/model", []string{"--server-port 23334", "--tp 2", "--session-len 8192", "--cache-max-entry-count 0.8", "--max-batch-size 128"},
	},
}

func TestNoOrderOfOptionsAndNoOtherNumberMovesAServer(t *testing.T) {
	random := rand.New(rand.NewPCG(13, 1))
	for want, shape := range shapes {
		for range 500 {
			options := slices.Clone(shape.options)
			random.Shuffle(len(options), func(i, j int) { options[i], options[j] = options[j], options[i] })
			argv := strings.Fields(shape.head + " " + strings.Join(options, " "))
			if got := answers(argv, nil, nil); got != want {
				t.Fatalf("%q: %q, want %q", argv, got, want)
			}
		}
	}
}

func TestAnAddressIsWrittenAsItIsRead(t *testing.T) {
	for _, url := range []string{
		"http://localhost:8000/health", "https://localhost:1/", "grpc://localhost:50051", "grpcs://localhost:50051/model", "tcp://localhost:1",
		"http+unix:///run/v.sock:/health", "grpc+unix:///run/v.sock:/service", "http://localhost:80/h?deep=1",
	} {
		a, err := ParseAddress(url)
		if err != nil || a.String() != url {
			t.Errorf("%q becomes %q, %v", url, a, err)
		}
	}
	for url, want := range map[string]string{"http://[::1]/x": "http://localhost:80/x", "https://127.0.0.1": "https://localhost:443/", "http://:8/h": "http://localhost:8/h"} {
		if a, err := ParseAddress(url); err != nil || a.String() != want {
			t.Errorf("%q becomes %q, want %q: %v", url, a, want, err)
		}
	}
	for _, url := range []string{
		"", "health", "http://example.com/", "http://10.0.0.1:80/", "ftp://localhost/", "http://me@localhost/", "tcp://localhost", "http://localhost:0/",
		"http://localhost:65536/", "http+unix://host/run/v.sock:/h", "http+unix:///run/v.sock", "http://[::1", "grpc://localhost/s",
	} {
		if a, err := ParseAddress(url); err == nil {
			t.Errorf("%q is taken for %q", url, a)
		}
	}
}

func FuzzAddressesNeverPanic(f *testing.F) {
	f.Add("vllm\x00serve\x00--port\x00=\x00-p", "port: 1", "[::]:1")
	f.Fuzz(func(_ *testing.T, argv, file, value string) {
		words := strings.Split(argv, "\x00")
		for i := range table {
			table[i].Addresses(words, Surroundings{
				Getenv: func(string) string { return value }, ReadFile: func(string) ([]byte, error) { return []byte(file), nil },
			})
		}
	})
}
