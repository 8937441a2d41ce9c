// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"strings"
	"testing"
)

// TestShapesOfTheField are containers as charts, operators and people write them: what they are, and whether an argument
// may be put into their command.
func TestShapesOfTheField(t *testing.T) {
	for name, c := range map[string]struct {
		container, engine, role, model string
		problem                        Reason
	}{
		// vLLM's own commands
		"options before the model":             {`command: [vllm, serve, --port, "8000", Qwen/Qwen3-8B]`, VLLM, "server", "Qwen/Qwen3-8B", ""},
		"a switch before the model":            {`command: [vllm, serve, --enable-prefix-caching, Qwen/Qwen3-8B]`, VLLM, "server", "Qwen/Qwen3-8B", ""},
		"the model between options with =":     {`command: [vllm, serve, --port=8000, Qwen/Qwen3-8B, --dtype=auto]`, VLLM, "server", "Qwen/Qwen3-8B", ""},
		"the last of two served names wins":    {`command: [vllm, serve, a/b, --served-model-name, old, --served-model-name, new]`, VLLM, "server", "new", ""},
		"a served name from a variable":        {`{command: [sh, -c, 'vllm serve a/b --served-model-name "$NAME"'], env: [{name: NAME, value: nice}]}`, VLLM, "server", "nice", ""},
		"the package as a module":              {`command: [python3, -m, vllm, serve, a/b]`, VLLM, "server", "a/b", ""},
		"a configuration file":                 {`command: [vllm, serve, a/b, --config, /etc/vllm.yaml]`, VLLM, "server", "a/b", ConfigFile},
		"a configuration file with =":          {`command: [bash, -c, "vllm serve --config=/etc/vllm.yaml"]`, VLLM, "server", "", ConfigFile},
		"another program's configuration file": {`command: [bash, -c, "rclone --config /r.conf copy r:m /m && vllm serve a/b"]`, VLLM, "server", "a/b", ""},
		"a configuration file in a variable":   {`command: [bash, -c, 'ARGS="--config /e.yaml"; vllm serve a/b $ARGS']`, VLLM, "server", "a/b", ConfigFile},
		"a configuration file in env":          {`{command: [bash, -c, 'vllm serve a/b $ARGS'], env: [{name: ARGS, value: "--config /e.yaml"}]}`, VLLM, "server", "a/b", ConfigFile},
		"args only, the official image":        {`{image: "vllm/vllm-openai:v0.17.0", args: [Qwen/Qwen3-8B, --port, "8000"]}`, VLLM, "server", "Qwen/Qwen3-8B", EntrypointUnknown},
		"args that are a command":              {`{image: "nvcr.io/nvidia/pytorch:25.01-py3", args: [vllm, serve, a/b]}`, VLLM, "server", "a/b", EntrypointUnknown},
		"args that are a shell string":         {`{image: "registry/own:1", args: [bash, -c, "pip install vllm && exec vllm serve a/b"]}`, VLLM, "server", "a/b", EntrypointUnknown},
		"another subcommand by its image":      {`{image: "vllm/vllm-openai:v0.17.0", command: [vllm, bench, latency]}`, "", "server", "", NoEngine},
		"a node of several":                    {`command: [vllm, serve, a/b, --nnodes, "2", --node-rank, "1", --headless]`, VLLM, "worker", "a/b", ""},
		"model-engine's startup wrapper":       {`command: [/bin/bash, -c, "set -euo pipefail;python -m vllm_startup_wrapper --model model_files --served-model-name m7"]`, VLLM, "server", "m7", ""},
		"model-engine's wheel of options":      {`command: [/bin/bash, -c, "python -m vllm_server --model model_files --served-model-name llama x model_files --port 5005"]`, VLLM, "server", "llama", ""},

		// what stands in front
		"an entrypoint script of the image": {`command: [/workspace/entrypoint.sh, python, -m, vllm_server, --served-model-name, m7]`, VLLM, "server", "m7", DynamicCommand},
		"an entrypoint script and serve":    {`command: [/docker-entrypoint.sh, vllm, serve, a/b]`, VLLM, "server", "a/b", DynamicCommand},
		"sudo":                              {`command: [sudo, -E, -u, vllm, vllm, serve, a/b]`, VLLM, "server", "a/b", ""},
		"sudo with a variable":              {`command: [bash, -c, "sudo -E HF_HOME=/x vllm serve a/b"]`, VLLM, "server", "a/b", DynamicCommand},
		"setpriv":                           {`command: [setpriv, --reuid=1000, --clear-groups, --, vllm, serve, a/b]`, VLLM, "server", "a/b", ""},
		"a program nobody knows":            {`command: [profiler, vllm, serve, a/b]`, VLLM, "server", "a/b", DynamicCommand},
		"ddtrace-run by its interpreter":    {`command: [python3, /usr/bin/ddtrace-run, vllm, serve, a/b]`, VLLM, "server", "a/b", ""},
		"vLLM's gRPC module":                {`command: [python3, -m, vllm.entrypoints.grpc_server, --model, a/b]`, VLLM, "server", "a/b", ""},
		"a profiler":                        {`command: [nsys, profile, -o, /tmp/r, --trace, "cuda,nvtx", vllm, serve, a/b]`, VLLM, "server", "a/b", ""},
		"busybox":                           {`command: [busybox, sh, -c, "vllm serve a/b"]`, VLLM, "server", "a/b", ""},
		"the linker's preload":              {`command: [env, LD_PRELOAD=/usr/lib/libjemalloc.so.2, MALLOC_CONF=x, vllm, serve, a/b]`, VLLM, "server", "a/b", ""},
		"env after its double dash":         {`command: [env, --, A=1, vllm, serve, a/b]`, VLLM, "server", "a/b", ""},
		"env that splits a string":          {`command: [/usr/bin/env, -S, "vllm serve a/b"]`, VLLM, "server", "a/b", DynamicCommand},
		"env that runs a shell":             {`command: [/usr/bin/env, bash, -c, "vllm serve a/b"]`, VLLM, "server", "a/b", ""},
		"stdbuf":                            {`command: [stdbuf, -oL, -eL, python3, -u, -m, vllm.entrypoints.openai.api_server, --model=a/b]`, VLLM, "server", "a/b", ""},
		"numactl with attached values":      {`command: [numactl, -N0, -m0, vllm, serve, a/b]`, VLLM, "server", "a/b", ""},
		"exec with another name":            {`command: [bash, -c, "exec -a llm vllm serve a/b"]`, VLLM, "server", "a/b", DynamicCommand},
		"a time limit":                      {`command: [timeout, --signal=INT, 3600, vllm, serve, a/b]`, VLLM, "server", "a/b", ""},
		"poetry":                            {`command: [poetry, run, vllm, serve, a/b]`, VLLM, "server", "a/b", ""},
		"uv with options":                   {`command: [uv, run, --no-sync, --python, "3.12", vllm, serve, a/b]`, VLLM, "server", "a/b", ""},
		"uv with a package":                 {`command: [uv, run, --with, vllm, vllm, serve, a/b]`, VLLM, "server", "a/b", ""},
		"pixi":                              {`command: [pixi, run, vllm, serve, a/b]`, VLLM, "server", "a/b", ""},
		"conda without capture":             {`command: [conda, run, --no-capture-output, -n, llm, vllm, serve, a/b]`, VLLM, "server", "a/b", ""},
		"secrets from a manager":            {`command: [doppler, run, --, vllm, serve, a/b]`, VLLM, "server", "a/b", ""},
		"an s6 set-up":                      {`command: [s6-setuidgid, nobody, vllm, serve, a/b]`, VLLM, "server", "a/b", ""},
		"unbuffered output":                 {`command: [unbuffer, vllm, serve, a/b]`, VLLM, "server", "a/b", ""},
		"MPI":                               {`command: [mpirun, --allow-run-as-root, -np, "2", -x, HF_TOKEN, trtllm-serve, a/b]`, TensorRTLLM, "server", "a/b", ""},
		"TensorRT-LLM's own launcher":       {`command: [bash, -c, "trtllm-llmapi-launch trtllm-serve a/b --tp_size 16"]`, TensorRTLLM, "server", "a/b", ""},

		// shells
		"options as words":                     {`command: [/bin/bash, -o, errexit, -o, pipefail, -c, "vllm serve a/b"]`, VLLM, "server", "a/b", ""},
		"clustered options with pipefail":      {`command: [/bin/bash, -euxo, pipefail, -c, "vllm serve a/b"]`, VLLM, "server", "a/b", Xtrace},
		"a login shell by its long name":       {`command: [bash, --login, -c, "vllm serve a/b"]`, VLLM, "server", "a/b", ""},
		"options after -c":                     {`command: [bash, -c, -x, "vllm serve a/b"]`, VLLM, "server", "a/b", Xtrace},
		"a restricted shell":                   {`command: [bash, -r, -c, "vllm serve a/b"]`, VLLM, "server", "a/b", Confined},
		"a shell in a limited address space":   {`command: [prlimit, --as=800000000, bash, -c, "exec vllm serve a/b"]`, VLLM, "server", "a/b", Confined},
		"one among other options":              {`command: [bash, -erc, "vllm serve a/b"]`, VLLM, "server", "a/b", Confined},
		"one by its long name":                 {`command: [bash, --norc, --restricted, -c, "vllm serve a/b"]`, VLLM, "server", "a/b", Confined},
		"one by another name":                  {`command: [rbash, -c, "vllm serve a/b"]`, VLLM, "server", "a/b", DynamicCommand},
		"a shell without its files":            {`command: [bash, -e, --norc, -c, "vllm serve a/b"]`, VLLM, "server", "a/b", ""},
		"other limits":                         {`command: [bash, -c, "ulimit -n 65536 -l unlimited; prlimit --nofile=65536 vllm serve a/b -v"]`, VLLM, "server", "a/b", ""},
		"KubeRay's shell":                      {`{command: [/bin/bash, -lc, --], args: ["ulimit -n 65536; ray start --address=raycluster-head-svc.ns.svc:6379 --block"]}`, Ray, "worker", "", ""},
		"the command as the shell's arguments": {`command: [bash, -c, 'exec "$0" "$@"', vllm, serve, a/b]`, VLLM, "server", "a/b", DynamicCommand},
		"the command after a name":             {`command: [sh, -c, 'source /venv/bin/activate && exec "$@"', sh, python3, -m, vllm_server, --served-model-name, m7]`, VLLM, "server", "m7", DynamicCommand},
		"arguments as the shell's arguments":   {`command: [bash, -c, 'vllm serve "$@"', bash, a/b, --port, "1"]`, VLLM, "server", "a/b", ""},
		"arguments with the shell's first":     {`command: [bash, -c, 'vllm serve "$0" "$@"', a/b, --port, "1"]`, VLLM, "server", "a/b", ""},
		"arguments by set":                     {`command: [bash, -c, 'set -- a/b --port 1; vllm serve "$@"']`, VLLM, "server", "a/b", ""},
		"arguments by an array":                {`command: [bash, -c, 'ARGS=(a/b --port 1); ARGS+=(--tensor-parallel-size 2); vllm serve "${ARGS[@]}"']`, VLLM, "server", "a/b", ""},
		"arguments of a function":              {`command: [bash, -c, 'run() { vllm serve "$@"; }; run a/b --port 1']`, VLLM, "server", "a/b", ""},
		"a variable with the whole command":    {`command: [bash, -c, 'CMD="vllm serve a/b --served-model-name nice --port 1"; exec $CMD']`, VLLM, "server", "nice", DynamicCommand},
		"env with the whole command":           {`{command: [bash, -c, 'exec $SERVER_CMD'], env: [{name: SERVER_CMD, value: "python3 -m sglang.launch_server --model-path a/b"}]}`, SGLang, "server", "a/b", DynamicCommand},
		"eval with a served name":              {`command: [bash, -c, 'eval "vllm serve a/b --served-model-name nice"']`, VLLM, "server", "nice", Eval},
		"a script that is written first":       {"command: [bash, -c, \"cat > /tmp/r.sh <<'EOF'\\nexec vllm serve a/b --port 1\\nEOF\\nbash /tmp/r.sh\"]", VLLM, "server", "a/b", DynamicCommand},
		"a server that is tried again":         {`command: [bash, -c, 'until vllm serve a/b; do echo again; sleep 5; done']`, VLLM, "server", "a/b", ""},
		"a server whose failure is forgiven":   {`command: [bash, -c, 'vllm serve a/b || true']`, VLLM, "server", "a/b", ""},
		"a server in the background":           {`command: [bash, -c, 'trap "kill -TERM $PID" TERM; vllm serve a/b & PID=$!; wait $PID']`, VLLM, "server", "a/b", ""},
		"a server beside a router":             {`command: [bash, -c, 'python -m sglang_router.launch_router --port 1 & vllm serve a/b']`, VLLM, "server", "a/b", ""},
		"a benchmark after its server":         {`command: [bash, -c, 'vllm serve a/b & sleep 60; vllm bench serve --model a/b']`, VLLM, "server", "a/b", ""},
		"a download by huggingface-cli":        {`command: [bash, -c, 'huggingface-cli download meta-llama/Llama-3.1-8B --local-dir /models && vllm serve /models']`, VLLM, "server", "meta-llama/Llama-3.1-8B", ""},
		"a download by hf":                     {`command: [bash, -c, 'hf download Qwen/Qwen3-8B --local-dir /data/model; exec vllm serve /data/model']`, VLLM, "server", "Qwen/Qwen3-8B", ""},

		// Ray
		"a worker at an address not known":    {`command: [bash, -c, 'ray start --address=$RAY_HEAD:6379 --block']`, Ray, "worker", "", ""},
		"a worker at an address in two words": {`command: [bash, -c, 'ray start --address "${RAY_HEAD_ADDRESS}" --block']`, Ray, "worker", "", ""},
		"KServe's multi-node worker":          {`command: [bash, -c, 'export RAY_HEAD=$(hostname); until ray status --address $RAY_HEAD; do sleep 1; done; ray start --address="${RAY_HEAD}" --block']`, Ray, "worker", "", ""},
		"a head that serves":                  {`command: [bash, -c, 'ray start --head --port=6379 && vllm serve a/b --distributed-executor-backend ray']`, VLLM, "server", "a/b", ""},
		"vLLM's leader script":                {`command: [sh, -c, "bash /vllm-workspace/examples/online_serving/multi-node-serving.sh leader --ray_cluster_size=$(LWS_GROUP_SIZE); python3 -m vllm.entrypoints.openai.api_server --port 8080 --model a/b"]`, VLLM, "server", "a/b", ""},

		// other engines
		"SGLang by its program":             {`command: [sglang, serve, --model-path, a/b]`, SGLang, "server", "a/b", ""},
		"SGLang's first node":               {`command: [python3, -m, sglang.launch_server, --model-path, a/b, --nnodes, "2", --node-rank, "0"]`, SGLang, "server", "a/b", ""},
		"SGLang's second node":              {`command: [python3, -m, sglang.launch_server, --model-path, a/b, --nnodes=2, --node-rank=1]`, SGLang, "worker", "a/b", ""},
		"SGLang's router launching servers": {`command: [python3, -m, sglang_router.launch_server, --model, a/b]`, SGLang, "server", "a/b", ""},
		"TGI's server itself":               {`command: [text-generation-server, serve, bigscience/bloom-560m]`, TGI, "server", "bigscience/bloom-560m", ""},
		"TGI at Amazon":                     {`{image: "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-tgi-inference:2.4-tgi3.0", env: [{name: HF_MODEL_ID, value: a/b}]}`, TGI, "server", "a/b", EntrypointUnknown},
		"embeddings by the image":           {`{image: "ghcr.io/huggingface/text-embeddings-inference:1.8", args: [--model-id, BAAI/bge-m3]}`, TEI, "server", "BAAI/bge-m3", EntrypointUnknown},
		"Triton in a shell":                 {`command: [sh, -c, "tritonserver --model-repository=s3://b/m --strict-readiness=true"]`, Triton, "server", "", ""},
		"Triton by its path":                {`command: [/opt/tritonserver/bin/tritonserver, --model-store=/m]`, Triton, "server", "", ""},
		"Triton by args":                    {`{image: "nvcr.io/nvidia/tritonserver:25.01-py3", args: [tritonserver, --model-repository=/m]}`, Triton, "server", "", EntrypointUnknown},
		"Triton under MPI":                  {`command: [mpirun, --allow-run-as-root, -n, "1", tritonserver, --model-repository=/m]`, Triton, "server", "", ""},
		"TensorRT-LLM with a served name":   {`command: [trtllm-serve, /m/engine, --served_model_name, llama]`, TensorRTLLM, "server", "llama", ""},
		"LightLLM with a name":              {`command: [python, -m, lightllm.server.api_server, --model_dir, /m, --model_name, llama]`, LightLLM, "server", "llama", ""},
		"LMDeploy with options first":       {`command: [lmdeploy, serve, api_server, --server-port, "1", --backend, turbomind, internlm/internlm3-8b]`, LMDeploy, "server", "internlm/internlm3-8b", ""},
		"LMDeploy with a name":              {`command: [bash, -c, "lmdeploy serve api_server /m --model-name internlm"]`, LMDeploy, "server", "internlm", ""},
		"NIM names the model by its image":  {`image: nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8.0`, NIM, "server", "meta/llama-3.1-8b-instruct", EntrypointUnknown},
		"NIM mirrored":                      {`image: registry.corp/nim/meta/llama-3.1-8b-instruct:1.8.0`, NIM, "server", "meta/llama-3.1-8b-instruct", EntrypointUnknown},
		"NIM with a served name":            {`{image: "nvcr.io/nim/nvidia/llm-nim:1.12", env: [{name: NIM_MODEL_NAME, value: "hf://meta-llama/Llama-3.1-8B"}, {name: NIM_SERVED_MODEL_NAME, value: "llama,llama-alias"}]}`, NIM, "server", "llama", EntrypointUnknown},
		"NIM with a model from the hub":     {`{image: "nvcr.io/nim/nvidia/llm-nim:1.12", env: [{name: NIM_MODEL_NAME, value: "hf://meta-llama/Llama-3.1-8B"}]}`, NIM, "server", "meta-llama/Llama-3.1-8B", EntrypointUnknown},
		"NIM behind NVIDIA's entrypoint":    {`command: [/opt/nvidia/nvidia_entrypoint.sh, /opt/nim/start_server.sh]`, NIM, "server", "", ""},
		"NIM's vLLM":                        {`command: [python3, -m, vllm_nvext.entrypoints.openai.api_server, --served-model-name, llama]`, NIM, "server", "llama", ""},
		"Dynamo by its image":               {`image: nvcr.io/nvidia/ai-dynamo/vllm-runtime:0.6`, Dynamo, "server", "", EntrypointUnknown},
		"Dynamo in a shell":                 {`{command: [/bin/sh, -c], args: ["python3 -m dynamo.sglang --model-path a/b --served-model-name nice"]}`, Dynamo, "server", "nice", ""},
		"KServe's own server, its model id": {`{image: "kserve/huggingfaceserver:v0.16", args: [--model_name, llama3, --model_id, a/b]}`, KServeHF, "server", "llama3", EntrypointUnknown},
		"llama.cpp":                         {`command: [/app/llama-server, -m, /models/x.gguf, --alias, nice]`, LlamaCPP, "server", "nice", ""},
		"llama.cpp with a repository":       {`command: [llama-server, -hf, ggml-org/gemma-3-4b-it-GGUF]`, LlamaCPP, "server", "ggml-org/gemma-3-4b-it-GGUF", ""},
	} {
		t.Run(name, func(t *testing.T) {
			id := identify(t, c.container)
			if id.Engine != c.engine || string(id.Role) != c.role || id.ModelName != c.model || id.Command.Site.Problem != c.problem {
				t.Errorf("engine %q role %q model %q problem %q, want %q %q %q %q",
					id.Engine, id.Role, id.ModelName, id.Command.Site.Problem, c.engine, c.role, c.model, c.problem)
			}
		})
	}
}

func TestAScriptThatDoublesItsVariablesIsReadInBoundedMemory(t *testing.T) {
	const rounds = 60
	script := "A=xxxxxxxx; L=(a b); set -- a b;" + strings.Repeat(`A="$A$A"; L=("${L[@]}" "${L[@]}"); set -- "$@" "$@";`, rounds) + `vllm serve "$@" "${L[@]}" $A`
	l := commandOf(&Container{Command: []string{"bash", "-c", script}}, nil, nil)
	if l.Engine != VLLM || len(l.Args) > maxWords {
		t.Errorf("engine %q with %d arguments", l.Engine, len(l.Args))
	}
}
