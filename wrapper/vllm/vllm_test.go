// SPDX-License-Identifier: Apache-2.0

package vllm

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/engine/server"
	"github.com/coldtrace/coldtrace/startup"
)

const (
	parent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
	inbox  = "http://127.0.0.1:40001/v1/traces"
)

func offer(mode string) Offer {
	return Offer{
		Mode: mode, Endpoint: inbox, Traceparent: parent, Sampler: "parentbased_traceidratio", SamplerArg: "0.01",
		Attributes: "k8s.pod.uid=u,k8s.pod.name=p",
	}
}

func environmentOf(root string, more ...string) []string {
	return append([]string{"PATH=" + root + "/bin:/nowhere", "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317"}, more...)
}

// added is what one environment has and another has not.
func added(before, after []string) []string {
	out := slices.DeleteFunc(slices.Clone(after), func(v string) bool { return slices.Contains(before, v) })
	slices.Sort(out)
	return out
}

var (
	withFlag = []string{
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf", "OTEL_RESOURCE_ATTRIBUTES=k8s.pod.uid=u,k8s.pod.name=p", "OTEL_SERVICE_NAME=vllm",
		"OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.01",
	}
	withLoading = []string{
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=" + inbox, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf",
		"OTEL_RESOURCE_ATTRIBUTES=k8s.pod.uid=u,k8s.pod.name=p", "OTEL_SERVICE_NAME=vllm", "TRACEPARENT=" + parent, "traceparent=" + parent,
	}
)

func TestTheFlagIsGivenByVersion(t *testing.T) {
	for version, want := range map[string]bool{
		"0.4.3": false, "0.5.0.post1": false, "0.5.1": true, "0.6.6.post1": true, "0.7.3": true, "0.8.0": false, "0.8.5.post1": false,
		"0.9.2": false, "0.10.1.1": false, "0.10.2rc1": false, "0.10.2.dev4+gabc": false, "0.10.2": true, "0.11.1.dev8+g1.cu129": true,
		"0.16.0": true, "0.27.1+cu130": true, "0.33.0": true, "1.0.0": true, "0.1.dev1+gdeadbee": false,
	} {
		root := installed(t, healthy(version))
		for name, argv := range map[string][]string{
			"of -m":             {"python3", "-m", "vllm.entrypoints.openai.api_server", "--model", "m"},
			"of the tool":       {"vllm", "serve", "m"},
			"behind a launcher": {"dumb-init", "--", "python", "-u", "-m", "vllm_server"},
		} {
			p := Prepare(argv, environmentOf(root), offer(startup.VLLMFlagAuto))
			if p.Flag != want || slices.Contains(p.Argv, startup.VLLMTracesFlag+"="+inbox) != want {
				t.Errorf("%s, %s: flag %v, want %v: %q", version, name, p.Flag, want, p.Argv)
			}
			if got := added(environmentOf(root), p.Env); want && !slices.Equal(got, withFlag) {
				t.Errorf("%s, %s: %q", version, name, got)
			}
		}
	}
}

func TestEveryServerInTheTableGetsTheFlagAfterItsOwnWords(t *testing.T) {
	root := installed(t, healthy("0.19.0"))
	const flag = startup.VLLMTracesFlag + "=" + inbox
	for module, sub := range server.Modules {
		argv := []string{"python", "-X", "dev", "-m", module}
		if sub != "" {
			argv = append(argv, sub)
		}
		if p := Prepare(append(argv, "--port", "1"), environmentOf(root), offer(startup.VLLMFlagAuto)); !slices.Equal(p.Argv, append(argv, flag, "--port", "1")) {
			t.Errorf("%q", p.Argv)
		}
		if sub != "" {
			if p := Prepare([]string{"python", "-m", module, "bench"}, environmentOf(root), offer(startup.VLLMFlagAuto)); p.Flag || p.Load {
				t.Errorf("%s: another subcommand got something", module)
			}
		}
	}
	files := map[string]string{server.APIServer: ""}
	maps.Copy(files, server.Programs)
	for _, script := range server.Scripts {
		files[script] = ""
	}
	for tail, sub := range files {
		argv := []string{"python3", "/opt/app/" + tail}
		if sub != "" {
			argv = append(argv, sub)
		}
		if p := Prepare(append(argv, "m"), environmentOf(root), offer(startup.VLLMFlagAuto)); !slices.Equal(p.Argv, append(argv, flag, "m")) {
			t.Errorf("%q", p.Argv)
		}
	}
}

func TestTheServerIsFoundInEverySpelling(t *testing.T) {
	root := installed(t, healthy("0.19.0"))
	for _, argv := range [][]string{
		{"python", "-mvllm_server"}, {"python3", "-um", "vllm_server"}, {"python", "-u", "-m", "vllm_server"}, {"env", "A=b", "vllm", "serve"},
		{"numactl", "-m", "0", "python", "-m", "vllm_server"}, {root + "/bin/vllm", "serve"}, {"python", root + "/bin/vllm", "serve"},
		{"/usr/bin/tini", "-s", "--", "nice", "-n", "5", "vllm", "serve"},
	} {
		if p := Prepare(append(slices.Clone(argv), "--config-format", "mistral"), environmentOf(root), offer(startup.VLLMFlagAuto)); !p.Flag {
			t.Errorf("%q: a format is taken for a file of arguments", argv)
		}
		if p := Prepare(argv, environmentOf(root), offer(startup.VLLMFlagAuto)); !slices.Equal(p.Argv, append(slices.Clone(argv), startup.VLLMTracesFlag+"="+inbox)) {
			t.Errorf("%q became %q", argv, p.Argv)
		}
	}
}

func TestWhatIsNotClearIsLeftAlone(t *testing.T) {
	root := installed(t, healthy("0.19.0"))
	m := []string{"python", "-m", "vllm_server"}
	for name, c := range map[string]struct {
		argv []string
		env  []string
	}{
		"the flag is there":                   {argv: append(slices.Clone(m), startup.VLLMTracesFlag, "http://x:4317")},
		"the flag is in a variable":           {argv: m, env: []string{"ARGS=" + startup.VLLMTracesFlag + "=x"}},
		"a file of arguments":                 {argv: append(slices.Clone(m), "--config", "f.yaml")},
		"a file of arguments, joined":         {argv: append(slices.Clone(m), "--config=f.yaml")},
		"another module":                      {argv: []string{"python", "-m", "vllm_batch"}},
		"vLLM's gRPC server":                  {argv: []string{"python", "-m", "vllm.entrypoints.grpc_server"}},
		"its batch runner":                    {argv: []string{"python", "-m", "vllm.entrypoints.openai.run_batch", "-i", "f"}},
		"another subcommand":                  {argv: []string{"vllm", "bench", "serve"}},
		"the batch subcommand":                {argv: []string{"vllm", "run-batch", "-i", "f"}},
		"a subcommand before serve":           {argv: []string{"vllm", "chat", "serve"}},
		"another program":                     {argv: []string{"echo", "vllm"}},
		"a server as somebody's argument":     {argv: []string{"cat", "vllm_server.py"}},
		"a shell string":                      {argv: []string{"bash", "-c", "python -m vllm_server"}},
		"an unknown interpreter":              {argv: []string{"python2.7", "-m", "vllm_server"}},
		"a launcher that looks elsewhere":     {argv: []string{"uv", "run", "vllm", "serve"}},
		"one that other machines run":         {argv: []string{"mpirun", "-np", "2", "python", "-m", "vllm_server"}},
		"an environment that is swept":        {argv: []string{"env", "-i", "vllm", "serve"}},
		"env that hides another interpreter":  {argv: []string{"env", "PYTHONHOME=/x", "vllm", "serve"}},
		"PYTHONHOME":                          {argv: m, env: []string{"PYTHONHOME=/x"}},
		"ddtrace in front":                    {argv: append([]string{"ddtrace-run"}, m...)},
		"OpenTelemetry's own agent in front":  {argv: append([]string{"/v/bin/opentelemetry-instrument", "--traces_exporter", "otlp"}, m...)},
		"an agent behind a launcher":          {argv: append([]string{"tini", "--", "newrelic-admin", "run-program"}, m...)},
		"an operator's agent on the path":     {argv: m, env: []string{"PYTHONPATH=/otel-auto-instrumentation-python/opentelemetry/instrumentation/auto_instrumentation:/otel-auto-instrumentation-python"}},
		"a preloaded agent":                   {argv: m, env: []string{"LD_PRELOAD=/opt/datadog-packages/datadog-apm-inject/stable/inject/launcher.preload.so"}},
		"ddtrace speaks OpenTelemetry":        {argv: m, env: []string{"DD_TRACE_OTEL_ENABLED=true"}},
		"an exporter that somebody asked for": {argv: m, env: []string{"OTEL_TRACES_EXPORTER=otlp"}},
		"a proxy that would be asked":         {argv: m, env: []string{"http_proxy=http://proxy:3128", "no_proxy=localhost,.svc"}},
	} {
		env := append(slices.Clone(c.env), environmentOf(root)...)
		for _, mode := range []string{startup.VLLMFlagAuto, startup.VLLMFlagOff} {
			p := Prepare(c.argv, env, offer(mode))
			if p.Flag || p.Load || !slices.Equal(p.Argv, c.argv) || !slices.Equal(p.Env, env) {
				t.Errorf("%s, mode %s: %+v", name, mode, p)
			}
		}
	}
}

// No flag for a parser that does not know it, though the loading spans, which are asked for by environment, do no harm.
func TestAParserWithoutTheFlagDoesNotGetIt(t *testing.T) {
	root := installed(t, healthy("0.27.1"))
	serve := []string{"vllm", "serve", "m"}
	for name, c := range map[string]struct {
		argv []string
		env  string
		flag bool
	}{
		"the front end in Python":            {argv: serve, flag: true},
		"in Rust":                            {argv: serve, env: "VLLM_USE_RUST_FRONTEND=1"},
		"in Rust, by another number":         {argv: serve, env: "VLLM_USE_RUST_FRONTEND= 2"},
		"in Rust, in words that stop vLLM":   {argv: serve, env: "VLLM_USE_RUST_FRONTEND=true"},
		"in Rust, in no words":               {argv: serve, env: "VLLM_USE_RUST_FRONTEND="},
		"in Rust, switched off":              {argv: serve, env: "VLLM_USE_RUST_FRONTEND=0", flag: true},
		"only its benchmark in Rust":         {argv: serve, env: "VLLM_USE_RUST_BENCH=1", flag: true},
		"its gRPC server":                    {argv: append(slices.Clone(serve), "--grpc")},
		"a gRPC port, which only Rust takes": {argv: append(slices.Clone(serve), "--grpc-port=50051")},
		"vLLM Omni's parser":                 {argv: append(slices.Clone(serve), "--omni")},
	} {
		env := environmentOf(root)
		if c.env != "" {
			env = append(env, c.env)
		}
		p := Prepare(c.argv, env, offer(startup.VLLMFlagAuto))
		if p.Flag != c.flag || p.Load == c.flag || slices.Equal(p.Argv, c.argv) == c.flag {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestLoadingSpansAreAskedForWhereRequestTracingIsOff(t *testing.T) {
	for name, c := range map[string]struct {
		version string
		env     []string
		want    []string
	}{
		"a version that has them":           {"0.17.0", nil, withLoading},
		"the first that has them":           {"0.16.0", nil, withLoading},
		"a version before":                  {"0.15.1", nil, nil},
		"somebody else's parent":            {"0.17.0", []string{"TRACEPARENT=x"}, nil},
		"the pod speaks another protocol":   {"0.17.0", []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc"}, nil},
		"the pod's own destination":         {"0.17.0", []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://o:4317"}, append(slices.Clone(withLoading[2:4]), withLoading[4:]...)},
		"a proxy that is not asked":         {"0.17.0", []string{"HTTP_PROXY=http://p:1", "NO_PROXY=.svc, 127.0.0.1"}, withLoading},
		"the pod's own service":             {"0.17.0", []string{"OTEL_SERVICE_NAME=mine"}, slices.Concat(withLoading[:3], withLoading[4:])},
		"the pod's own resource":            {"0.17.0", []string{"OTEL_RESOURCE_ATTRIBUTES=service.name=mine"}, slices.Concat(withLoading[:2], withLoading[4:])},
		"the pod's own resource, no name":   {"0.17.0", []string{"OTEL_RESOURCE_ATTRIBUTES=team=x"}, slices.Concat(withLoading[:2], withLoading[3:])},
		"the pod's sampler stays the pod's": {"0.17.0", []string{"OTEL_TRACES_SAMPLER=always_off"}, withLoading},
	} {
		env := environmentOf(installed(t, healthy(c.version)), c.env...)
		p := Prepare([]string{"python", "-m", "vllm_server"}, env, offer("off"))
		if got := added(env, p.Env); !slices.Equal(got, c.want) || p.Flag || p.Load != (c.want != nil) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestTheSamplerComesWithTheFlagOnlyAndAsAPair(t *testing.T) {
	root := installed(t, healthy("0.19.0"))
	pair := withFlag[3:]
	for name, c := range map[string]struct {
		argv []string
		env  string
		mode string
		want []string
	}{
		"with the flag":                      {[]string{"vllm", "serve"}, "", startup.VLLMFlagAuto, pair},
		"with the flag that was asked for":   {[]string{"vllm", "serve", startup.VLLMTracesFlag + "=x"}, "", startup.VLLMFlagAlways, pair},
		"with a flag of the pod's own":       {[]string{"vllm", "serve", startup.VLLMTracesFlag + "=x"}, "", startup.VLLMFlagAuto, nil},
		"without it":                         {[]string{"vllm", "serve"}, "", "off", nil},
		"beside a sampler":                   {[]string{"vllm", "serve"}, "OTEL_TRACES_SAMPLER=always_on", startup.VLLMFlagAuto, nil},
		"beside an argument":                 {[]string{"vllm", "serve"}, "OTEL_TRACES_SAMPLER_ARG=1", startup.VLLMFlagAuto, nil},
		"another tracer, the flag asked for": {[]string{"ddtrace-run", "vllm", "serve", startup.VLLMTracesFlag + "=x"}, "", startup.VLLMFlagAlways, nil},
	} {
		env := environmentOf(root)
		if c.env != "" {
			env = append(env, c.env)
		}
		p := Prepare(c.argv, env, offer(c.mode))
		got := slices.DeleteFunc(added(env, p.Env), func(v string) bool { return v[:11] != "OTEL_TRACES" })
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestInstallationsAreFoundWherePythonLooks(t *testing.T) {
	base := installed(t, healthy("0.17.0"))
	venv := t.TempDir()
	write(t, filepath.Join(venv, "pyvenv.cfg"), "home = "+base+"/bin\ninclude-system-site-packages = false\n", 0o644)
	if err := os.MkdirAll(filepath.Join(venv, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(base+"/bin/python3.12", filepath.Join(venv, "bin/python")); err != nil {
		t.Fatal(err)
	}
	argv := []string{venv + "/bin/python", "-m", "vllm_server"}
	if p := Prepare(argv, environmentOf(base), offer(startup.VLLMFlagAuto)); p.Flag {
		t.Error("an isolated environment does not see the base's packages")
	}
	write(t, filepath.Join(venv, "pyvenv.cfg"), "home = "+base+"/bin\ninclude-system-site-packages = true\n", 0o644)
	if p := Prepare(argv, environmentOf(base), offer(startup.VLLMFlagAuto)); !p.Flag {
		t.Error("an environment with system packages sees them")
	}
}

// The command waits for the decision.
func TestADecisionTakesMilliseconds(t *testing.T) {
	root := installed(t, healthy("0.19.0"))
	best := time.Hour
	for range 20 {
		began := time.Now()
		if p := Prepare([]string{"vllm", "serve", "m"}, environmentOf(root), offer(startup.VLLMFlagAuto)); !p.Flag {
			t.Fatal("no flag")
		}
		best = min(best, time.Since(began))
	}
	if best > 20*time.Millisecond {
		t.Errorf("%v", best)
	}
	t.Log(best)
}
