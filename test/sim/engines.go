// SPDX-License-Identifier: Apache-2.0

package main

// engine is a program that can be simulated.
type engine struct {
	name      string
	batch     bool
	script    func(version string) string
	health    string
	host      string
	port      string
	hostFlag  string
	portFlag  string
	modelFlag string
	ranksFlag string
	options   map[string]option
	short     map[string]string
	words     int // positional arguments it takes
	dashes    bool
}

func (e engine) parser(program, version string) parser {
	p := parser{
		program: program, options: e.options, short: e.short, positionals: e.words, underscores: e.dashes, version: version,
	}
	if program == "vllm serve" {
		p.positionals = 1
	}
	return p
}

func always(script string) func(string) string { return func(string) string { return script } }

var vllm = engine{
	name: "vllm", script: vllmScript, health: "/health", host: "", port: "8000", hostFlag: "--host", portFlag: "--port",
	modelFlag: "--model", ranksFlag: "--tensor-parallel-size", options: vllmOptions, short: vllmShort, dashes: true,
}

func vllmScript(version string) string {
	if older(version, "0.8") {
		return "vllm-v0"
	}
	return "vllm-v1"
}

var batch = engine{
	name: "vllm", batch: true, script: vllmScript, health: "/health", port: "8000", options: map[string]option{
		"--help": {}, "--mode": {takes: one, choices: []string{"batch_processing", "run"}}, "--config-file-data": {takes: one},
		"--multinode": {}, "--multinode-timeout": {takes: one, number: true},
	},
}

var sglang = engine{
	name: "sglang", script: always("sglang"), health: "/health", host: "127.0.0.1", port: "30000", hostFlag: "--host",
	portFlag: "--port", modelFlag: "--model-path", ranksFlag: "--tp-size", dashes: false,
	short: map[string]string{"--tp": "--tp-size", "--model": "--model-path"},
	options: map[string]option{
		"--help": {}, "--model-path": {takes: one}, "--tokenizer-path": {takes: one}, "--host": {takes: one},
		"--port": {takes: one, number: true}, "--tp-size": {takes: one, number: true}, "--dp-size": {takes: one, number: true},
		"--pp-size": {takes: one, number: true}, "--served-model-name": {takes: one}, "--context-length": {takes: one, number: true},
		"--mem-fraction-static": {takes: one}, "--trust-remote-code": {}, "--disable-cuda-graph": {}, "--dtype": {takes: one},
		"--quantization": {takes: one}, "--chat-template": {takes: one}, "--tool-call-parser": {takes: one},
		"--reasoning-parser": {takes: one}, "--log-level": {takes: one}, "--enable-metrics": {}, "--enable-trace": {},
		"--otlp-traces-endpoint": {takes: one}, "--nnodes": {takes: one, number: true}, "--node-rank": {takes: one, number: true},
		"--dist-init-addr": {takes: one}, "--enable-torch-compile": {}, "--revision": {takes: one},
	},
}

var tgi = engine{
	name: "tgi", script: always("tgi"), health: "/health", host: "0.0.0.0", port: "3000", hostFlag: "--hostname",
	portFlag: "--port", modelFlag: "--model-id", ranksFlag: "", short: map[string]string{"-p": "--port"},
	options: map[string]option{
		"--help": {}, "--hostname": {takes: one}, "--port": {takes: one, number: true}, "--model-id": {takes: one},
		"--num-shard": {takes: one, number: true}, "--sharded": {takes: one}, "--quantize": {takes: one}, "--dtype": {takes: one},
		"--max-input-length": {takes: one, number: true}, "--max-input-tokens": {takes: one, number: true},
		"--max-total-tokens": {takes: one, number: true}, "--max-batch-prefill-tokens": {takes: one, number: true},
		"--trust-remote-code": {}, "--json-output": {}, "--otlp-endpoint": {takes: one}, "--revision": {takes: one},
		"--cuda-memory-fraction": {takes: one}, "--max-concurrent-requests": {takes: one, number: true},
	},
}

var lightllm = engine{
	name: "lightllm", script: always("lightllm"), health: "/health", host: "127.0.0.1", port: "8000", hostFlag: "--host",
	portFlag: "--port", modelFlag: "--model_dir", ranksFlag: "--tp",
	options: map[string]option{
		"--help": {}, "--host": {takes: one}, "--port": {takes: one, number: true}, "--model_dir": {takes: one},
		"--tp": {takes: one, number: true}, "--max_total_token_num": {takes: one, number: true},
		"--max_req_input_len": {takes: one, number: true}, "--max_req_total_len": {takes: one, number: true},
		"--tokenizer_mode": {takes: one}, "--trust_remote_code": {}, "--mode": {takes: some}, "--disable_cudagraph": {},
	},
}

var triton = engine{
	name: "tensorrt_llm", script: always("triton"), health: "/v2/health/ready", host: "0.0.0.0", port: "8000", hostFlag: "--http-address",
	portFlag: "--http-port", modelFlag: "--model_repo", ranksFlag: "",
	options: map[string]option{
		"--help": {}, "--world_size": {takes: one, number: true}, "--model_repo": {takes: one}, "--tritonserver": {takes: one},
		"--grpc_port": {takes: one, number: true}, "--http_port": {takes: one, number: true}, "--http-port": {takes: one, number: true},
		"--http-address": {takes: one}, "--force": {}, "--log": {}, "--log-file": {takes: one}, "--tensorrt_llm_model_name": {takes: one},
	},
}

var vllmShort = map[string]string{
	"-tp": "--tensor-parallel-size", "-pp": "--pipeline-parallel-size", "-dp": "--data-parallel-size", "-q": "--quantization",
	"-h": "--help", "-O": "--compilation-config",
}

// vllmOptions are those that model-engine and common deployments give, not all that vLLM has.
var vllmOptions = map[string]option{
	"--help":                             {},
	"--model":                            {takes: one},
	"--host":                             {takes: one},
	"--port":                             {takes: one, number: true},
	"--uvicorn-log-level":                {takes: one, choices: []string{"debug", "info", "warning", "error", "critical", "trace"}},
	"--served-model-name":                {takes: some},
	"--tokenizer":                        {takes: one},
	"--tokenizer-mode":                   {takes: one},
	"--revision":                         {takes: one},
	"--trust-remote-code":                {},
	"--download-dir":                     {takes: one},
	"--load-format":                      {takes: one},
	"--dtype":                            {takes: one, choices: []string{"auto", "half", "float16", "bfloat16", "float", "float32"}},
	"--kv-cache-dtype":                   {takes: one},
	"--max-model-len":                    {takes: one},
	"--tensor-parallel-size":             {takes: one, number: true},
	"--pipeline-parallel-size":           {takes: one, number: true},
	"--data-parallel-size":               {takes: one, number: true, since: "0.8.3"},
	"--enable-expert-parallel":           {since: "0.7.3"},
	"--distributed-executor-backend":     {takes: one, since: "0.4.3"},
	"--gpu-memory-utilization":           {takes: one},
	"--max-num-seqs":                     {takes: one, number: true},
	"--max-num-batched-tokens":           {takes: one, number: true},
	"--max-logprobs":                     {takes: one, number: true},
	"--block-size":                       {takes: one, number: true},
	"--swap-space":                       {takes: one},
	"--seed":                             {takes: one, number: true},
	"--quantization":                     {takes: one},
	"--enforce-eager":                    {},
	"--compilation-config":               {takes: one, since: "0.6.5"},
	"--enable-prefix-caching":            {},
	"--no-enable-prefix-caching":         {since: "0.6.5"},
	"--enable-chunked-prefill":           {takes: maybe},
	"--disable-custom-all-reduce":        {},
	"--disable-log-requests":             {until: "0.12"},
	"--enable-log-requests":              {since: "0.10.1"},
	"--disable-log-stats":                {},
	"--disable-frontend-multiprocessing": {since: "0.5.4"},
	"--chat-template":                    {takes: one},
	"--chat-template-content-format":     {takes: one, since: "0.6.4"},
	"--tool-call-parser":                 {takes: one, since: "0.6.0"},
	"--enable-auto-tool-choice":          {since: "0.6.0"},
	"--reasoning-parser":                 {takes: one, since: "0.7.0"},
	"--enable-reasoning":                 {since: "0.7.0", until: "0.10"},
	"--guided-decoding-backend":          {takes: one, until: "0.12"},
	"--limit-mm-per-prompt":              {takes: one},
	"--generation-config":                {takes: one, since: "0.6.6"},
	"--override-generation-config":       {takes: one, since: "0.6.6"},
	"--hf-overrides":                     {takes: one, since: "0.6.4"},
	"--rope-scaling":                     {takes: one},
	"--speculative-config":               {takes: one, since: "0.8.0"},
	"--enable-lora":                      {},
	"--lora-modules":                     {takes: some},
	"--max-lora-rank":                    {takes: one, number: true},
	"--max-loras":                        {takes: one, number: true},
	"--api-key":                          {takes: one},
	"--ssl-keyfile":                      {takes: one},
	"--ssl-certfile":                     {takes: one},
	"--root-path":                        {takes: one},
	"--middleware":                       {takes: one},
	"--response-role":                    {takes: one},
	"--task":                             {takes: one, since: "0.6.4"},
	"--runner":                           {takes: one, since: "0.10"},
	"--async-scheduling":                 {since: "0.10"},
	"--additional-config":                {takes: one, since: "0.8.5"},
	tracesFlag:                           {takes: one, since: "0.5.1"},
	"--collect-detailed-traces":          {takes: one, since: "0.5.5"},
	"--attention-backend":                {takes: one, since: "0.12"},
	"--served-chat-template":             {takes: one},
}
