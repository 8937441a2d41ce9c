// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/startup"
)

// gpuPod is a labelled pod with one GPU container that runs a command.
func gpuPod(command, args []string) *endpoint.Pod {
	return &endpoint.Pod{
		Metadata: endpoint.Metadata{Labels: map[string]string{"managed-by": "model-engine"}},
		Spec: endpoint.PodSpec{Containers: []endpoint.Container{{
			Name: "main", Image: "registry.example/server:1", Command: command, Args: args,
			Resources: endpoint.Resources{Limits: map[string]endpoint.Quantity{"nvidia.com/gpu": "1"}},
		}}},
	}
}

// edited is the command after injection without the wrapper's prefix, and the decision.
func edited(t testing.TB, pod *endpoint.Pod, policy string) ([]string, inject.Decision) {
	t.Helper()
	req := inject.Request{Pod: pod, Policy: mergedPolicy(t, policy), ImageVolumes: true, Version: "test"}
	ops, decision := inject.Pod(req)
	c := pod.Spec.Containers[0]
	command, args := slices.Clone(c.Command), slices.Clone(c.Args)
	for _, op := range ops {
		rest, ok := strings.CutPrefix(op.Path, "/spec/containers/0/")
		if !ok {
			continue
		}
		field, index, _ := strings.Cut(rest, "/")
		list := &command
		if field == "args" {
			list = &args
		}
		if field != "command" && field != "args" {
			continue
		}
		if index == "" {
			*list = slices.Clone(op.Value.([]string))
			continue
		}
		n := int(index[0] - '0')
		if len(index) > 1 {
			n = n*10 + int(index[1]-'0')
		}
		if op.Operation == "replace" {
			(*list)[n] = op.Value.(string)
		} else {
			*list = slices.Insert(*list, n, op.Value.(string))
		}
	}
	rest, _ := endpoint.Unwrap(append(command, args...))
	return rest, decision
}

const here = "HERE" // stands for the placeholder in the tables below

func TestThePlaceholderGoesRightAfterTheServersToken(t *testing.T) {
	for name, c := range map[string]struct {
		script string // with HERE where the placeholder belongs
		shell  []string
	}{
		"a single command":                          {script: `HERE python -m vllm_server --port 5005`},
		"the last of several commands":              {script: `set -euo pipefail;./s5cmd cp "s3://b/*" m;HERE python -m vllm_server --model m`},
		"a semicolon inside quotes":                 {script: `azcopy copy --include-pattern "*.model;*.json" x y;HERE python -m vllm_server --model m`},
		"a trailing comment":                        {script: `HERE python -m vllm_server --port 5005 # tuned by ops`},
		"a comment that names the server":           {script: "# python -m vllm_server is started below\nHERE python -m vllm_server --port 1"},
		"a trailing semicolon":                      {script: `HERE python -m vllm_server --port 5005 ;`},
		"a trailing newline":                        {script: "HERE python -m vllm_server --port 5005\n"},
		"a pipe into tee":                           {script: `HERE python -m vllm_server --port 5005 2>&1 | tee /tmp/log`},
		"exec":                                      {script: `exec HERE python -m vllm_server --port 5005`},
		"background and wait":                       {script: `HERE python -m vllm_server --port 5005 & wait $!`},
		"a redirection before the command":          {script: `2>/tmp/err HERE python -m vllm_server --port 5005`},
		"a redirection between token and arguments": {script: `HERE python -m vllm_server >/tmp/out --port 5005`},
		"an assignment before the command":          {script: `VLLM_USE_V1=1 HERE python -m vllm_server --port 5005`},
		"a line continuation right after the token": {script: "HERE python -m vllm_server \\\n  --port 5005"},
		"a line continuation inside the command":    {script: "HERE python \\\n -m \\\n vllm_server --port 5005"},
		"a tab after the token":                     {script: "HERE python -m vllm_server\t--port 5005"},
		"a quoted token":                            {script: `HERE python -m "vllm_server" --port 5005`},
		"single quotes around the token":            {script: `HERE python -m 'vllm_server' --port 5005`},
		"a JSON argument":                           {script: `HERE python -m vllm_server --override '{"a": "b;c", "d": [1]}' --port 5005`},
		"if":                                        {script: `if [ -d m ]; then echo yes; fi; HERE python -m vllm_server --port 5005`},
		"inside if":                                 {script: `if true; then HERE python -m vllm_server --port 5005; fi`},
		"inside a loop":                             {script: `while true; do HERE python -m vllm_server --port 5005; sleep 1; done`},
		"inside a subshell":                         {script: `( cd /w && HERE python -m vllm_server --port 5005 )`},
		"inside a group":                            {script: `{ HERE python -m vllm_server --port 5005; }`},
		"inside a function":                         {script: `serve() { HERE python -m vllm_server "$@"; }; serve --port 5005`},
		"inside case":                               {script: `case $ROLE in a) HERE python -m vllm_server --port 5005 ;; *) exit 1 ;; esac`},
		"after &&":                                  {script: `cd /w && HERE python -m vllm_server --port 5005`},
		"after ||":                                  {script: `false || HERE python -m vllm_server --port 5005`},
		"a here-document for another command":       {script: "cat > c.json <<EOF\n{\"vllm\": \"serve\"}\nEOF\nHERE python -m vllm_server --port 5005"},
		"a command substitution as an argument":     {script: `HERE python -m vllm_server --host $(hostname -i) --port 5005`},
		"a command substitution before it":          {script: `export T=$(echo "e30=" | base64 --decode);HERE python -m vllm_server --chat-template "$T"`},
		"a dollar that the kubelet unescapes":       {script: `echo heartbeat.$$ ; HERE python -m vllm_server --port 5005`},
		"a doubled dollar before a parenthesis":     {script: `echo $$(date) ; HERE python -m vllm_server --port 5005`},
		"arithmetic":                                {script: `N=$((8 / 2)); HERE python -m vllm_server --tensor-parallel-size $N`},
		"parameter expansion with a default":        {script: `HERE python -m vllm_server --port ${PORT:-5005}`},
		"vllm serve":                                {script: `HERE vllm serve m --port 5005`},
		"vllm serve by its path":                    {script: `HERE /opt/venv/bin/vllm serve m`},
		"the OpenAI module":                         {script: `HERE python3 -m vllm.entrypoints.openai.api_server --model m`},
		"python with options":                       {script: `HERE python3.12 -u -X faulthandler -m vllm_server --port 1`},
		"clustered python options":                  {script: `HERE python -um vllm_server --port 1`},
		"an attached module":                        {script: `HERE python -mvllm_server --port 1`},
		"the script file":                           {script: `HERE python /workspace/vllm_server.py --port 1`},
		"vllm run by an interpreter":                {script: `HERE python3 /usr/local/bin/vllm serve m`},
		"env with assignments":                      {script: `env -u LD_PRELOAD A=1 HERE python -m vllm_server --port 1`},
		"nohup and nice":                            {script: `nohup nice -n 5 HERE python -m vllm_server --port 1 &`},
		"timeout":                                   {script: `timeout -k 5 3600 HERE python -m vllm_server --port 1`},
		"numactl":                                   {script: `numactl --cpunodebind=0 --membind 0 HERE python -m vllm_server --port 1`},
		"time":                                      {script: `time HERE python -m vllm_server --port 1`},
		"a negation":                                {script: `! HERE python -m vllm_server --port 1`},
		"a login shell":                             {script: `HERE vllm serve m`, shell: []string{"bash", "-lc"}},
		"a shell with options":                      {script: `HERE vllm serve m`, shell: []string{"/bin/bash", "-euo", "pipefail", "-c"}},
		"a shell with a double dash":                {script: `HERE vllm serve m`, shell: []string{"/bin/bash", "-c", "--"}},
		"dash":                                      {script: `HERE vllm serve m`, shell: []string{"dash", "-ec"}},
		"sh that may be bash":                       {script: `[[ -d m ]] && HERE vllm serve m`, shell: []string{"sh", "-c"}},
		"behind dumb-init":                          {script: `HERE vllm serve m`, shell: []string{"dumb-init", "--", "/bin/bash", "-c"}},
		"behind tini":                               {script: `HERE vllm serve m`, shell: []string{"/usr/bin/tini", "-g", "-s", "--", "bash", "-c"}},
		"behind env":                                {script: `HERE vllm serve m`, shell: []string{"/usr/bin/env", "A=1", "bash", "-c"}},
		"a ray head first":                          {script: `ray start --head --port=6379; HERE vllm serve m --tensor-parallel-size 16`},
		"model-engine's leader":                     {script: `/workspace/init_ray.sh leader --ray_cluster_size=$N;HERE python -m vllm_server --model m`},
		"a wait loop in front":                      {script: `until curl -sf http://db; do sleep 1; done; HERE vllm serve m`},
		"an until loop around":                      {script: `until HERE vllm serve m; do sleep 1; done`},
		"coloured text with escapes":                {script: `printf '\033[1mvllm\033[0m\n'; HERE vllm serve m`},
		"bash's own quoting":                        {script: `echo $'it\'s'; HERE vllm serve m`},
		"multibyte text":                            {script: `echo "模型 → läuft"; HERE vllm serve m --served-model-name "模型"`},
		"a trap and functions in front":             {script: `cleanup() { rm -f lock.$$; }; trap cleanup EXIT INT TERM; HERE vllm serve m`},
		"another program's --config":                {script: `rclone --config /r.conf copy r:m /m && HERE vllm serve /m`},
		"a format of the model's configuration":     {script: `HERE vllm serve m --config-format mistral --load-format mistral`},
		"the same beside arguments in a variable":   {script: `HERE vllm serve m --config-format mistral $MORE`},
		"an array of arguments":                     {script: `ARGS=(m --port 1); HERE vllm serve "${ARGS[@]}"`},
		"a loop that tries again":                   {script: `for i in 1 2 3; do HERE vllm serve m && break; sleep 5; done`},
		"CRLF line ends":                            {script: "echo a\r\nHERE vllm serve m\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			shell := c.shell
			if shell == nil {
				shell = []string{"/bin/bash", "-c"}
			}
			got, decision := edited(t, gpuPod(append(slices.Clone(shell), strings.Replace(c.script, here+" ", "", 1)), nil), "")
			want := strings.Replace(c.script, here, startup.VLLMExecPlaceholder, 1)
			if last := got[len(got)-1]; last != want {
				t.Errorf("got\n%s\nwant\n%s\nnotes %v", last, want, decision.Notes)
			}
		})
	}
}

func TestTheCommandIsLeftAloneAndTheReasonGiven(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		want   inject.Reason
	}{
		"the flag is there":                      {`vllm serve m --otlp-traces-endpoint http://otel:4317`, endpoint.FlagPresent},
		"the flag is there with =":               {`vllm serve m --otlp-traces-endpoint=http://otel:4317`, endpoint.FlagPresent},
		"the flag is there with underscores":     {`vllm serve m --otlp_traces_endpoint http://otel:4317`, endpoint.FlagPresent},
		"the flag is in a variable":              {`A="--otlp-traces-endpoint http://x"; vllm serve m $A`, endpoint.FlagPresent},
		"two servers":                            {`vllm serve a --port 1 & vllm serve b --port 2`, endpoint.TwoServers},
		"either of two servers":                  {`if [ -n "$X" ]; then vllm serve a; else vllm serve b; fi`, endpoint.TwoServers},
		"a server of another kind beside it":     {`python -m sglang.launch_server & vllm serve b`, endpoint.TwoServers},
		"eval":                                   {`eval "vllm serve m"`, endpoint.Eval},
		"eval of words":                          {`eval vllm serve m`, endpoint.Eval},
		"a file of arguments":                    {`vllm serve m --config /etc/vllm.yaml`, endpoint.ConfigFile},
		"a file of arguments in a variable":      {`ARGS="--config=/etc/vllm.yaml"; vllm serve m $ARGS`, endpoint.ConfigFile},
		"the shell's own arguments are the call": {`set -- vllm serve m; exec "$@"`, endpoint.DynamicCommand},
		"one server plain and one in a variable": {`CMD="vllm serve a"; $CMD & vllm serve b`, endpoint.TwoServers},
		"a nested shell":                         {`bash -c 'vllm serve m'`, endpoint.NestedShell},
		"a variable holds the command":           {`CMD="vllm serve m"; $CMD`, endpoint.DynamicCommand},
		"an array holds the command":             {`args=(vllm serve m); "${args[@]}"`, endpoint.DynamicCommand},
		"an unknown program runs it":             {`mywrapper vllm serve m`, endpoint.DynamicCommand},
		"the module is in a variable":            {`M=vllm_server; python -m $M --port 1`, endpoint.DynamicCommand},
		"a command substitution runs it":         {`X=$(vllm serve m)`, endpoint.CommandSubstitution},
		"a process substitution runs it":         {`tee log < <(vllm serve m)`, endpoint.CommandSubstitution},
		"a here-document holds it":               {"bash <<EOF\nvllm serve m\nEOF", endpoint.DynamicCommand},
		"a here-document's substitution runs it": {"cat <<EOF\n$(vllm serve m)\nEOF", endpoint.HereDocument},
		"not a shell string at all":              {`vllm serve "m`, endpoint.ShellSyntax},
		"unbalanced":                             {`if true; then vllm serve m`, endpoint.ShellSyntax},
		"a script in the image":                  {`cat > run.sh <<'X'` + "\nvllm serve m\nX\nsh run.sh", endpoint.DynamicCommand},
		"an echo of the command":                 {`echo vllm serve m`, endpoint.DynamicCommand},
		"SGLang":                                 {`python3 -m sglang.launch_server --model-path m`, inject.ReasonNotVLLM},
		"TGI":                                    {`text-generation-launcher --model-id m`, inject.ReasonNotVLLM},
		"model-engine's worker":                  {`./s5cmd cp "s3://b/*" m;/workspace/init_ray.sh worker --ray_address=$L`, inject.ReasonNotServer},
		"vLLM's own worker script":               {`bash /vllm-workspace/examples/online_serving/multi-node-serving.sh worker --ray_address=$L`, inject.ReasonNotServer},
		"a headless vLLM":                        {`vllm serve m --headless --data-parallel-address $A`, inject.ReasonNotServer},
		"vLLM batch":                             {`ddtrace-run python vllm_batch.py`, inject.ReasonNotServer},
		"vLLM's own batch":                       {`vllm run-batch -i a -o b --model m`, inject.ReasonNotServer},
		"sudo, which allows certain commands":    {`sudo -E HF_HOME=/x vllm serve m`, endpoint.DynamicCommand},
		"uv, which looks elsewhere":              {`uv run --with ray vllm serve m`, endpoint.DynamicCommand},
		"another name for the process":           {`exec -a server vllm serve m`, endpoint.DynamicCommand},
		"a function of the program's name":       {`vllm() { command vllm "$@" --port 1; }; vllm serve m`, endpoint.DynamicCommand},
		"an alias of the program's name":         {`shopt -s expand_aliases; alias python=python3.11` + "\npython -m vllm_server", endpoint.DynamicCommand},
		"a trace of what runs":                   {`set -ex; vllm serve m`, endpoint.Xtrace},
		"a trace by its long name":               {`set -o pipefail -o xtrace; vllm serve m`, endpoint.Xtrace},
		"a trap that tells what failed":          {`trap 'echo "failed: $BASH_COMMAND"' ERR; vllm serve m`, endpoint.Xtrace},
		"a function that is printed":             {`run() { vllm serve m; }; declare -f run; run`, endpoint.Xtrace},
		"a shell that becomes restricted":        {`set -r; vllm serve m`, endpoint.Confined},
		"it does among other options":            {`set -eur -o pipefail; vllm serve m`, endpoint.Confined},
		"a limit of the address space":           {`ulimit -c 0 -v 800000; vllm serve m`, endpoint.Confined},
		"a soft one":                             {`ulimit -Sv 800000 && vllm serve m`, endpoint.Confined},
		"one of the server alone":                {`prlimit --nofile=65536 --as=800000000 vllm serve m`, endpoint.Confined},
		"one of the shell itself":                {`prlimit --pid $$ --as=800000000; exec vllm serve m`, endpoint.Confined},
		"one of the shell itself, in letters":    {`prlimit -p $$ -v800000000 && vllm serve m`, endpoint.Confined},
		"one of another process":                 {`prlimit --pid 1 --as=800000000 && vllm serve m`, endpoint.Confined},
		"one in a subshell":                      {`(command ulimit -v 800000; vllm serve m)`, endpoint.Confined},
		"a job that goes by its command's name":  {`vllm serve m & sleep 60; kill %vllm`, endpoint.DynamicCommand},
		"a file of arguments beside its format":  {`vllm serve m --config-format hf --config=/etc/vllm.yaml`, endpoint.ConfigFile},
		"another tracer":                         {`ddtrace-run python -m vllm_server --port 1`, inject.ReasonTracer},
		"a value the kubelet puts in front":      {`export A=$(PREFIX); vllm serve m`, endpoint.KubeletExpansion},
	} {
		t.Run(name, func(t *testing.T) {
			pod := gpuPod([]string{"bash", "-c", c.script}, nil)
			pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "PREFIX", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}}
			got, decision := edited(t, pod, "")
			if last := got[len(got)-1]; last != c.script {
				t.Errorf("the command became %s", last)
			}
			if !slices.ContainsFunc(decision.Notes, func(n inject.Note) bool { return n.Reason == c.want }) {
				t.Errorf("notes are %v, want %s", decision.Notes, c.want)
			}
		})
	}
}

func TestAlwaysInsertsTheLiteralFlag(t *testing.T) {
	const flag = "--otlp-traces-endpoint=$(OTEL_EXPORTER_OTLP_ENDPOINT)"
	for name, c := range map[string]struct{ command, args, want []string }{
		"argv":            {[]string{"vllm", "serve", "m"}, nil, []string{"vllm", "serve", flag, "m"}},
		"argv in args":    {[]string{"vllm"}, []string{"serve", "m"}, []string{"vllm", "serve", flag, "m"}},
		"token ends argv": {[]string{"vllm", "serve"}, []string{"m"}, []string{"vllm", "serve", flag, "m"}},
		"module":          {[]string{"python3", "-m", "vllm_server", "--port", "1"}, nil, []string{"python3", "-m", "vllm_server", flag, "--port", "1"}},
		"shell":           {[]string{"sh", "-c"}, []string{"vllm serve m"}, []string{"sh", "-c", `vllm serve "` + flag + `" m`}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, delivery := range []string{"image-volume", "off"} {
				want := slices.Clone(c.want)
				if delivery != "off" && want[0] == "sh" { // the sampler goes with it
					want[2] = startup.VLLMExecPlaceholder + " " + want[2]
				}
				got, d := edited(t, gpuPod(c.command, c.args), "vllmFlag: always\nwrapper: {delivery: "+delivery+"}")
				if !slices.Equal(got, want) {
					t.Errorf("%s: got %q, want %q; notes %v", delivery, got, want, d.Notes)
				}
			}
		})
	}
}

func TestAlwaysGivesNothingToAParserThatDoesNotKnowIt(t *testing.T) {
	for name, c := range map[string]struct {
		command []string
		rust    string
	}{
		"the gRPC server":                 {command: []string{"vllm", "serve", "m", "--grpc"}},
		"the gRPC server in a shell":      {command: []string{"sh", "-c", "vllm serve m --grpc --port 1"}},
		"vLLM Omni":                       {command: []string{"vllm", "serve", "m", "--omni"}},
		"the front end in Rust":           {command: []string{"vllm", "serve", "m"}, rust: "1"},
		"the front end in Rust, exported": {command: []string{"sh", "-c", "export VLLM_USE_RUST_FRONTEND=1; vllm serve m"}},
	} {
		t.Run(name, func(t *testing.T) {
			pod := gpuPod(c.command, nil)
			if c.rust != "" {
				pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "VLLM_USE_RUST_FRONTEND", Value: c.rust}}
			}
			got, d := edited(t, pod, "vllmFlag: always")
			if !slices.Equal(got, c.command) || !slices.ContainsFunc(d.Notes, func(n inject.Note) bool { return n.Reason == inject.ReasonOtherParser }) {
				t.Errorf("%q, notes %v", got, d.Notes)
			}
		})
	}
}

func TestAutoLeavesAnArgumentListToTheWrapper(t *testing.T) {
	command := []string{"vllm", "serve", "m", "--port", "1"}
	got, decision := edited(t, gpuPod(command, nil), "")
	if !slices.Equal(got, command) || !slices.Contains(decision.Features, inject.FeatureVLLMFlag) {
		t.Errorf("got %q and features %v", got, decision.Features)
	}
}
