// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/coldtrace/coldtrace/startup"
)

// container is a container from YAML, with one GPU unless it says otherwise.
func container(t testing.TB, text string) *Container {
	t.Helper()
	c := &Container{Name: "main"}
	if err := yaml.Unmarshal([]byte(text), c); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if c.Resources.Limits == nil {
		c.Resources.Limits = map[string]Quantity{"nvidia.com/gpu": "1"}
	}
	return c
}

func identify(t testing.TB, text string) Identity {
	t.Helper()
	pod := &Pod{Spec: PodSpec{Containers: []Container{*container(t, text)}}}
	return Identify(pod, Options{GPUResources: []string{"nvidia.com/gpu"}})
}

func TestEnginesAndModels(t *testing.T) {
	for name, c := range map[string]struct{ container, engine, role, model string }{
		"vllm serve, positional":           {`command: [vllm, serve, Qwen/Qwen2.5-7B, --port, "8000"]`, VLLM, "server", "Qwen/Qwen2.5-7B"},
		"vllm serve, the flag's spelling":  {`command: [vllm, serve, --model=Qwen/Qwen2.5-7B]`, VLLM, "server", "Qwen/Qwen2.5-7B"},
		"the served name wins":             {`command: [vllm, serve, Qwen/Qwen2.5-7B, --served-model-name, qwen, q2]`, VLLM, "server", "qwen"},
		"the served name with =":           {`command: [vllm, serve, m, --served-model-name=qwen]`, VLLM, "server", "qwen"},
		"a path names by its end":          {`command: [vllm, serve, /models/llama-3-8b/]`, VLLM, "server", "llama-3-8b"},
		"a URL names by its end":           {`command: [vllm, serve, "s3://bucket/a/llama-3-8b"]`, VLLM, "server", "llama-3-8b"},
		"a generic folder names nothing":   {`command: [python, -m, vllm_server, --model, model_files]`, VLLM, "server", ""},
		"KServe's mount names nothing":     {`{command: [vllm, serve, /mnt/models]}`, VLLM, "server", ""},
		"env names it":                     {`{command: [vllm, serve, /mnt/models], env: [{name: MODEL_NAME, value: granite}]}`, VLLM, "server", "granite"},
		"a reference to env":               {`{command: [vllm, serve, $(M)], env: [{name: M, value: Qwen/Qwen3-8B}]}`, VLLM, "server", "Qwen/Qwen3-8B"},
		"a reference to a secret":          {`{command: [vllm, serve, $(M)], env: [{name: M, valueFrom: {secretKeyRef: {name: a, key: b}}}]}`, VLLM, "server", ""},
		"a module behind dumb-init":        {`command: [/usr/bin/dumb-init, --, python3, -m, vllm.entrypoints.openai.api_server, --model, a/b]`, VLLM, "server", "a/b"},
		"command and args":                 {`{command: [python3, -m, vllm_server], args: [--served-model-name, m7]}`, VLLM, "server", "m7"},
		"a shell string":                   {`command: [bash, -c, "cd /w; exec vllm serve a/b --port 1"]`, VLLM, "server", "a/b"},
		"a shell string in args":           {`{command: [/bin/sh, -c], args: ["vllm serve a/b"]}`, VLLM, "server", "a/b"},
		"quoted names in a shell string":   {`command: [bash, -c, "vllm serve --served-model-name 'a b' x"]`, VLLM, "server", "a b"},
		"a variable of env":                {`{command: [bash, -c, 'vllm serve "$M" --port 1'], env: [{name: M, value: a/b}]}`, VLLM, "server", "a/b"},
		"a variable of the string":         {`{command: [bash, -c, "export M=a/c; vllm serve ${M}"], env: [{name: M, value: a/b}]}`, VLLM, "server", "a/c"},
		"a variable's default":             {`command: [bash, -c, "vllm serve m --served-model-name ${NAME:-fallback}"]`, VLLM, "server", "fallback"},
		"a variable that is not known":     {`command: [bash, -c, "vllm serve $M"]`, VLLM, "server", ""},
		"a download names it":              {`command: [bash, -c, "./s5cmd cp --include '*.json' s3://b/x/llama-7b/* model_files;python -m vllm_server --model model_files"]`, VLLM, "server", "llama-7b"},
		"a download of a generic folder":   {`command: [bash, -c, "azcopy copy 'https://a.blob.core.windows.net/c/llama-7b/hf/*?sig=x' model_files;python -m vllm_server --model model_files"]`, VLLM, "server", "llama-7b"},
		"batch":                            {`command: [dumb-init, --, /bin/bash, -c, "ddtrace-run python vllm_batch.py"]`, VLLM, "batch", ""},
		"vLLM's own batch":                 {`command: [vllm, run-batch, -i, a, --model, a/b]`, VLLM, "batch", "a/b"},
		"a worker by script":               {`command: [bash, -c, "/workspace/init_ray.sh worker --ray_address=$A"]`, VLLM, "worker", ""},
		"a worker by an example's script":  {`command: [bash, /vllm-workspace/examples/multi-node-serving.sh, worker, --ray_address=$A]`, VLLM, "worker", ""},
		"a leader is a server":             {`command: [bash, -c, "/workspace/init_ray.sh leader --n 2;python -m vllm_server --model a/b"]`, VLLM, "server", "a/b"},
		"a headless node is a worker":      {`command: [vllm, serve, a/b, --headless]`, VLLM, "worker", "a/b"},
		"a Ray worker":                     {`command: [ray, start, --address=head:6379, --block]`, Ray, "worker", ""},
		"a Ray head alone":                 {`command: [ray, start, --head, --block]`, "", "server", ""},
		"SGLang":                           {`command: [python3, -m, sglang.launch_server, --model-path, Qwen/Qwen3-8B]`, SGLang, "server", "Qwen/Qwen3-8B"},
		"TGI":                              {`command: [text-generation-launcher, --model-id, a/b]`, TGI, "server", "a/b"},
		"TGI by its image and env":         {`{image: "ghcr.io/huggingface/text-generation-inference:3.3.7", env: [{name: MODEL_ID, value: a/b}]}`, TGI, "server", "a/b"},
		"Triton":                           {`command: [tritonserver, --model-repository=/m]`, Triton, "server", ""},
		"TensorRT-LLM":                     {`command: [trtllm-serve, nvidia/Llama-3.1-8B-FP8]`, TensorRTLLM, "server", "nvidia/Llama-3.1-8B-FP8"},
		"TensorRT-LLM with its subcommand": {`command: [trtllm-serve, serve, a/b]`, TensorRTLLM, "server", "a/b"},
		"TensorRT-LLM by model-engine":     {`command: [bash, -c, "python3 launch_triton_server.py --world_size=4"]`, TensorRTLLM, "server", ""},
		"LightLLM":                         {`command: [python, -m, lightllm.server.api_server, --model_dir, /m/llama-7b]`, LightLLM, "server", "llama-7b"},
		"LMDeploy":                         {`command: [lmdeploy, serve, api_server, internlm/internlm3-8b, --server-port, "1"]`, LMDeploy, "server", "internlm/internlm3-8b"},
		"NIM by its image":                 {`{image: nvcr.io/nim/meta/llama3:1.0.0, env: [{name: NIM_MODEL_NAME, value: "ngc://nim/meta/llama3"}]}`, NIM, "server", "llama3"},
		"NIM by its script":                {`command: [/opt/nim/start_server.sh]`, NIM, "server", ""},
		"KServe's own server":              {`command: [python, -m, huggingfaceserver, --model_name=llama3]`, KServeHF, "server", "llama3"},
		"KServe's own server by its image": {`{image: kserve/huggingfaceserver:v0.15, args: [--model_name=llama3]}`, KServeHF, "server", "llama3"},
		"Dynamo":                           {`command: [python3, -m, dynamo.vllm, --model, a/b]`, Dynamo, "server", "a/b"},
		"vLLM by its image only":           {`{image: "vllm/vllm-openai:v0.11.0", args: [--model, a/b]}`, VLLM, "server", "a/b"},
		"vLLM's image, another command":    {`{image: "vllm/vllm-openai:v0.11.0", command: [sleep, infinity]}`, "", "server", ""},
		"another vllm subcommand":          {`command: [vllm, bench, serve]`, "", "server", ""},
		"a sleep loop":                     {`command: [bash, -c, "while true; do sleep 30; done"]`, "", "server", ""},
		"a mere mention":                   {`command: [bash, -c, "pip install vllm; sleep 1"]`, "", "server", ""},
		"env runs nothing":                 {`command: [env]`, "", "server", ""},
		"an empty command":                 {`command: [""]`, "", "server", ""},
	} {
		t.Run(name, func(t *testing.T) {
			id := identify(t, c.container)
			if id.Engine != c.engine || string(id.Role) != c.role || id.ModelName != c.model {
				t.Errorf("engine %q role %q model %q, want %q %q %q", id.Engine, id.Role, id.ModelName, c.engine, c.role, c.model)
			}
		})
	}
}

func TestAShellIsProvenByTheCommandThatRunsIt(t *testing.T) {
	for name, c := range map[string]struct{ container, want string }{
		"bash by path":                 {`command: [/bin/bash, -c, "x"]`, "/bin/bash"},
		"sh by name":                   {`command: [sh, -lc, "x"]`, "sh"},
		"dash":                         {`command: [dash, -ec, "x"]`, "dash"},
		"in args":                      {`{command: [/bin/sh], args: [-c, "x"]}`, "/bin/sh"},
		"running a script":             {`command: [bash, /run.sh]`, "bash"},
		"behind dumb-init":             {`command: [dumb-init, --, /bin/bash, -c, "x"]`, "/bin/bash"},
		"behind env that may set PATH": {`command: [env, PATH=/x, sh, -c, "x"]`, ""},
		"a shell that is no POSIX one": {`command: [fish, -c, "x"]`, ""},
		"zsh is not tried":             {`command: [zsh, -c, "x"]`, ""},
		"no shell":                     {`command: [vllm, serve, m]`, ""},
		"a shell as an argument":       {`command: [run, bash, -c, "x"]`, ""},
		"behind a runner not known":    {`command: [chroot, /x, bash, -c, "x"]`, ""},
		"no command":                   {`image: a`, ""},
	} {
		if got := identify(t, c.container).Command.Shell; got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestImageTags(t *testing.T) {
	for image, want := range map[string]string{
		"vllm/vllm-openai:v0.17.0": "v0.17.0", "reg:5000/a/b": "", "reg:5000/a/b:1": "1", "a": "", "": "",
		"a:1@sha256:0123456789abcdef": "1", "a@sha256:0123456789abcdef": "sha256:0123456789ab", "a@sha256:01": "",
	} {
		if got := imageTag(image); got != want {
			t.Errorf("%q has %q, want %q", image, got, want)
		}
	}
}

func TestTheTargetContainer(t *testing.T) {
	gpu := Resources{Limits: map[string]Quantity{"nvidia.com/gpu": "1"}}
	for name, c := range map[string]struct {
		containers []Container
		annotation string
		want       int
	}{
		"the only one with a GPU":       {[]Container{{Name: "proxy"}, {Name: "x", Resources: gpu}}, "", 1},
		"main before others":            {[]Container{{Name: "x", Resources: gpu}, {Name: "main", Resources: gpu}}, "", 1},
		"main without a GPU is none":    {[]Container{{Name: "main"}, {Name: "x", Resources: gpu}}, "", 1},
		"the leader":                    {[]Container{{Name: "a", Resources: gpu}, {Name: "lws-leader", Resources: gpu}}, "", 1},
		"two without a known name":      {[]Container{{Name: "a", Resources: gpu}, {Name: "b", Resources: gpu}}, "", -1},
		"the annotation's":              {[]Container{{Name: "a", Resources: gpu}, {Name: "main", Resources: gpu}}, "a", 0},
		"an annotation that names none": {[]Container{{Name: "main", Resources: gpu}}, "b", -1},
		"no GPU at all":                 {[]Container{{Name: "main"}}, "", -1},
		"zero GPUs are none":            {[]Container{{Name: "main", Resources: Resources{Limits: map[string]Quantity{"nvidia.com/gpu": "0"}}}}, "", -1},
	} {
		id := Identify(&Pod{Spec: PodSpec{Containers: c.containers}}, Options{GPUResources: []string{"nvidia.com/gpu"}, Declared: Declared{Container: c.annotation}})
		if id.Index != c.want {
			t.Errorf("%s: %d, want %d", name, id.Index, c.want)
		}
	}
}

func TestEndpointNames(t *testing.T) {
	controller := true
	owner := []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "llama-66d9", Controller: &controller}}
	for name, c := range map[string]struct {
		labels map[string]string
		owners []metav1.OwnerReference
		want   string
	}{
		"model-engine":            {map[string]string{"endpoint_name": "a", "app": "b"}, owner, "a"},
		"a job of model-engine":   {map[string]string{"launch_job_id": "ft-1"}, nil, "ft-1"},
		"KServe":                  {map[string]string{"serving.kserve.io/inferenceservice": "llama", "app": "isvc.llama-predictor"}, owner, "llama"},
		"a Ray service":           {map[string]string{"ray.io/cluster": "llama-raycluster-x7k2p", "ray.io/originated-from-cr-name": "llama", "ray.io/serve": "true"}, owner, "llama"},
		"an app":                  {map[string]string{"app": "b"}, owner, "b"},
		"an owner, less its hash": {map[string]string{"pod-template-hash": "66d9"}, owner, "llama"},
		"an owner":                {nil, owner, "llama-66d9"},
		"nothing":                 {nil, nil, ""},
	} {
		if got := endpointName(&Pod{Metadata: Metadata{Labels: c.labels, OwnerReferences: c.owners}}); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestTheRoleInAGroupOfPods(t *testing.T) {
	const probe = `readinessProbe: {httpGet: {port: 1}}, `
	for name, c := range map[string]struct{ container, index, want string }{
		"the first":                     {`{command: [python3, -m, sglang.launch_server, --node-rank, $(I)]}`, "0", "server"},
		"another":                       {`{command: [python3, -m, sglang.launch_server, --node-rank, $(I)]}`, "1", "worker"},
		"another that is a server too":  {`{` + probe + `command: [vllm, serve, a/b, --data-parallel-hybrid-lb]}`, "1", "server"},
		"another whose command is none": {`{command: [sleep, inf]}`, "2", "worker"},
		"no group":                      {`{command: [vllm, serve, a/b]}`, "", "server"},
	} {
		pod := &Pod{Spec: PodSpec{Containers: []Container{*container(t, c.container)}}}
		pod.Metadata.Labels = map[string]string{"leaderworkerset.sigs.k8s.io/worker-index": c.index}
		if got := Identify(pod, Options{GPUResources: []string{"nvidia.com/gpu"}}).Role; string(got) != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestTheSubjectCarriesTheIdentity(t *testing.T) {
	told := startup.Endpoint{Container: "main", EndpointName: "e", ModelName: "m", GPUType: "h100", NumGPUs: 4, Namespace: "ns", ImageTag: "1", Region: "r"}
	got := Identity{Endpoint: told, InstanceType: "asked for"}.Subject("uid", "pod", "node", "cluster", startup.SHA256)
	want := startup.Subject{Endpoint: told, PodUID: "uid", PodName: "pod", NodeName: "node", ClusterName: "cluster", Hash: startup.SHA256}
	if got != want {
		t.Errorf("subject is %+v", got)
	}
}

func TestPodIsASubsetOfThePodAPI(t *testing.T) {
	raw := []byte(`{"metadata":{"name":"p","namespace":"n","uid":"u","labels":{"a":"b"},"ownerReferences":[{"apiVersion":"v1","kind":"Job","name":"j","uid":"u","controller":true}]},
"spec":{"os":{"name":"linux"},"resources":{"limits":{"cpu":"1"}},"nodeName":"x","nodeSelector":{"a":"b"},"imagePullSecrets":[{"name":"s"}],"resourceClaims":[{"name":"gpu","resourceClaimTemplateName":"t"}],
"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"k","operator":"In","values":["v"]}]}]}}},
"securityContext":{"runAsUser":0,"seccompProfile":{"type":"RuntimeDefault"}},"volumes":[{"name":"v","emptyDir":{}}],
"containers":[{"name":"main","command":["a"],"env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"metadata.uid"}}}],"ports":[{"containerPort":1}],
"readinessProbe":{"httpGet":{"path":"/","port":"http"}},"resources":{"limits":{"nvidia.com/gpu":1},"claims":[{"name":"gpu"}]},"volumeMounts":[{"name":"v","mountPath":"/v"}]}]}}`)
	var typed corev1.Pod
	if err := json.Unmarshal(raw, &typed); err != nil {
		t.Fatal(err)
	}
	var direct Pod
	if err := json.Unmarshal(raw, &direct); err != nil {
		t.Fatal(err)
	}
	through := FromPod(&typed)
	opts := Options{GPUResources: []string{"nvidia.com/gpu"}}
	a, _ := json.Marshal(Identify(&direct, opts))
	b, _ := json.Marshal(Identify(through, opts))
	if string(a) != string(b) || through.Spec.Containers[0].Resources.Limits["nvidia.com/gpu"] != "1" || through.Metadata.UID != "u" {
		t.Errorf("decoded\n%s\nconverted\n%s", a, b)
	}
}
