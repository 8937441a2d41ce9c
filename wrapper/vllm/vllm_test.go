// SPDX-License-Identifier: Apache-2.0

package vllm

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coldtrace/coldtrace/startup"
)

const parent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"

// installed makes a Python installation: an interpreter, a vLLM of some version ("" for none) and modules.
func installed(t *testing.T, version string, modules ...string) (root string) {
	t.Helper()
	root = t.TempDir()
	site := filepath.Join(root, "lib/python3.12/site-packages")
	write(t, filepath.Join(root, "bin/python3.12"), "ELF", 0o755)
	for _, link := range []string{"python", "python3"} {
		if err := os.Symlink("python3.12", filepath.Join(root, "bin", link)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(root, "bin/vllm"), "#!"+root+"/bin/python3\nimport vllm\n", 0o755)
	if version != "" {
		write(t, filepath.Join(site, "vllm-"+version+".dist-info/METADATA"), "", 0o644)
		write(t, filepath.Join(site, "vllm/__init__.py"), "", 0o644)
	}
	if slices.Contains(modules, "opentelemetry.trace") {
		write(t, filepath.Join(site, "opentelemetry_api-1.34.1.dist-info/entry_points.txt"), "[opentelemetry_context]\n", 0o644)
	}
	for _, m := range modules {
		write(t, filepath.Join(site, strings.ReplaceAll(m, ".", "/"), "__init__.py"), "", 0o644)
	}
	return root
}

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

var (
	core = []string{"opentelemetry.trace", "opentelemetry.sdk", "opentelemetry.semconv", "opentelemetry.semconv.ai"}
	grpc = []string{
		"opentelemetry.exporter.otlp.proto.grpc.trace_exporter", "opentelemetry.exporter.otlp.proto.common", "opentelemetry.proto",
		"grpc", "google.protobuf", "google.rpc",
	}
	http = []string{"opentelemetry.exporter.otlp.proto.http.trace_exporter", "requests"}
	full = slices.Concat(core, grpc, http)
)

func environmentOf(root string, more ...string) []string {
	return append([]string{"PATH=" + root + "/bin:/nowhere", "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317"}, more...)
}

func TestTheFlagIsGivenOnlyWhereItCannotHurt(t *testing.T) {
	type want struct{ flag bool }
	for version, w := range map[string]map[string]want{
		"0.4.3":                {"full": {}, "grpc": {}, "core": {}, "none": {}},
		"0.5.0.post1":          {"full": {}},
		"0.5.1":                {"full": {flag: true}, "grpc": {flag: true}, "core": {}, "none": {}},
		"0.6.6.post1":          {"full": {flag: true}, "core": {}, "none": {}},
		"0.7.3":                {"full": {flag: true}, "grpc": {flag: true}, "core": {}},
		"0.8.0":                {"full": {}},
		"0.8.5.post1":          {"full": {}},
		"0.9.2":                {"full": {}},
		"0.10.1.1":             {"full": {}},
		"0.10.2rc1":            {"full": {}},
		"0.10.2.dev4+gabc":     {"full": {}},
		"0.10.2":               {"full": {flag: true}, "grpc": {flag: true}, "core": {}, "none": {}},
		"0.11.1.dev8+g1.cu129": {"full": {flag: true}},
		"0.15.1":               {"grpc": {flag: true}},
		"0.16.0":               {"full": {flag: true}, "grpc": {}, "core": {}, "none": {}},
		"0.27.1+cu130":         {"full": {flag: true}, "grpc": {}},
		"1.0.0":                {"full": {flag: true}, "grpc": {}},
		"0.1.dev1+gdeadbee":    {"full": {}},
	} {
		for otel, want := range w {
			modules := map[string][]string{"full": full, "grpc": slices.Concat(core, grpc), "core": core, "none": nil}[otel]
			root := installed(t, version, modules...)
			for name, argv := range map[string][]string{
				"argv of -m":        {"python3", "-m", "vllm.entrypoints.openai.api_server", "--model", "m"},
				"argv of the tool":  {"vllm", "serve", "m"},
				"behind a launcher": {"dumb-init", "--", "python", "-u", "-m", "vllm_server"},
				"a shell string":    {"bash", "-c", "set -e;./s5cmd cp a b;python -m vllm_server " + Placeholder + " --model m"},
				"its tool":          {"bash", "-c", "exec vllm serve " + Placeholder + " m"},
			} {
				p := Prepare(argv, environmentOf(root), auto, "")
				if p.Flag != want.flag {
					t.Errorf("%s with %s packages, %s: flag %v, want %v", version, otel, name, p.Flag, want.flag)
				}
				flag := Flag + "=http://collector:4317"
				given := slices.Contains(p.Argv, flag) || slices.Contains(p.Env, Args+"="+flag)
				if given != want.flag {
					t.Errorf("%s with %s packages, %s: given %v: %q", version, otel, name, given, p.Argv)
				}
			}
		}
	}
}

func TestTheFlagFollowsTheModuleOrServe(t *testing.T) {
	root := installed(t, "0.17.0", full...)
	flag := Flag + "=http://collector:4317"
	for name, c := range map[string]struct{ argv, want []string }{
		"a module":            {[]string{"python", "-m", "vllm_server", "--port", "1"}, []string{"python", "-m", "vllm_server", flag, "--port", "1"}},
		"serve with a model":  {[]string{"vllm", "serve", "m"}, []string{"vllm", "serve", flag, "m"}},
		"vllm as a module":    {[]string{"python3", "-m", "vllm", "serve", "m"}, []string{"python3", "-m", "vllm", "serve", flag, "m"}},
		"an absolute program": {[]string{root + "/bin/vllm", "serve"}, []string{root + "/bin/vllm", "serve", flag}},
	} {
		if p := Prepare(c.argv, environmentOf(root), auto, parent); !slices.Equal(p.Argv, c.want) {
			t.Errorf("%s: %q, want %q", name, p.Argv, c.want)
		}
	}
}

func TestWhatIsNotClearIsLeftAlone(t *testing.T) {
	root := installed(t, "0.17.0", full...)
	m := []string{"python", "-m", "vllm_server"}
	for name, c := range map[string]struct {
		argv []string
		env  []string
	}{
		"the flag is there":           {argv: append(slices.Clone(m), Flag, "http://x:4317")},
		"the flag is in a script":     {argv: []string{"bash", "-c", "python -m vllm_server " + Placeholder + " " + Flag + "=x"}},
		"the flag is in a variable":   {argv: []string{"bash", "-c", "python -m vllm_server " + Placeholder + " $ARGS"}, env: []string{"ARGS=" + Flag + "=x"}},
		"a file of arguments":         {argv: append(slices.Clone(m), "--config", "f.yaml")},
		"a file of arguments, script": {argv: []string{"bash", "-c", "vllm serve " + Placeholder + " m --config=f.yaml"}},
		"an environment is activated": {argv: []string{"bash", "-c", "source /venv/bin/activate; python -m vllm_server " + Placeholder}},
		"the path is changed":         {argv: []string{"bash", "-c", "export PATH=/x:$PATH; vllm serve " + Placeholder}},
		"the interpreter is unknown":  {argv: []string{"bash", "-c", "$PYTHON -m vllm_server " + Placeholder}},
		"no placeholder":              {argv: []string{"bash", "-c", "python -m vllm_server"}},
		"another module":              {argv: []string{"python", "-m", "vllm_batch"}},
		"another subcommand":          {argv: []string{"vllm", "bench"}},
		"another program":             {argv: []string{"echo", "vllm"}},
		"an unknown interpreter":      {argv: []string{"python2.7", "-m", "vllm_server"}},
		"PYTHONHOME":                  {argv: m, env: []string{"PYTHONHOME=/x"}},
		"a protocol vLLM dies of":     {argv: m, env: []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json"}},
		"a password in the endpoint":  {argv: m, env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://u:p@c:4317"}},
	} {
		env := append(slices.Clone(c.env), environmentOf(root)...)
		p := Prepare(c.argv, env, auto, parent)
		if p.Flag || p.Traced || !slices.Equal(p.Argv, c.argv) || !slices.Equal(p.Env, env) {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestLoadingSpansAreAskedForWhereRequestTracingIsOff(t *testing.T) {
	m := []string{"python", "-m", "vllm_server"}
	for name, c := range map[string]struct {
		version string
		modules []string
		argv    []string
		env     []string
		want    bool
	}{
		"a version that has them":           {version: "0.17.0", modules: full, want: true},
		"the first that has them":           {version: "0.16.0", modules: full, want: true},
		"a version before":                  {version: "0.15.1", modules: full},
		"an exporter is missing":            {version: "0.17.0", modules: slices.Concat(core, grpc)},
		"a file may turn on the flag":       {version: "0.17.0", modules: full, argv: append(slices.Clone(m), "--config", "f.yaml")},
		"the flag is there":                 {version: "0.17.0", modules: full, argv: append(slices.Clone(m), Flag+"=x")},
		"somebody else's parent":            {version: "0.17.0", modules: full, env: []string{"TRACEPARENT=x"}},
		"the program's own traces endpoint": {version: "0.17.0", modules: full, env: []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://o:4317"}, want: true},
	} {
		argv := c.argv
		if argv == nil {
			argv = m
		}
		env := append(slices.Clone(c.env), environmentOf(installed(t, c.version, c.modules...))...)
		p := Prepare(argv, env, "off", parent)
		if p.Traced != c.want || p.Flag {
			t.Errorf("%s: traced %v, want %v", name, p.Traced, c.want)
		}
		if !c.want {
			if !slices.Equal(p.Env, env) {
				t.Errorf("%s: the environment changed", name)
			}
			continue
		}
		e := environment(p.Env)
		endpoint := "http://collector:4317"
		if v := environment(c.env).get(envTracesEndpoint); v != "" {
			endpoint = v
		}
		if e.get("TRACEPARENT") != parent || e.get("traceparent") != parent || e.get(envTracesEndpoint) != endpoint {
			t.Errorf("%s: %q", name, p.Env)
		}
	}
}

func TestTheEndpointIsInVLLMsTerms(t *testing.T) {
	for name, c := range map[string]struct {
		env                []string
		endpoint, protocol string
	}{
		"gRPC":             {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4317"}, "http://c:4317", "grpc"},
		"a path is no use": {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4317/"}, "http://c:4317", "grpc"},
		"a bare IPv6 host": {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://fd00::1:4317"}, "http://[fd00::1]:4317", "grpc"},
		"HTTP by its port": {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318"}, "http://c:4318/v1/traces", "http/protobuf"},
		"HTTP by protocol": {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=https://c/x", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"}, "https://c/x/v1/traces", "http/protobuf"},
		"its own protocol": {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc"}, "http://c:4318", "grpc"},
	} {
		endpoint, protocol, ok := destination(c.env)
		if !ok || endpoint != c.endpoint || protocol != c.protocol {
			t.Errorf("%s: %s %s %v", name, endpoint, protocol, ok)
		}
	}
}

func TestInstallationsAreFoundWherePythonLooks(t *testing.T) {
	base := installed(t, "0.17.0", full...)
	venv := t.TempDir()
	write(t, filepath.Join(venv, "pyvenv.cfg"), "home = "+base+"/bin\ninclude-system-site-packages = false\n", 0o644)
	if err := os.MkdirAll(filepath.Join(venv, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(base+"/bin/python3.12", filepath.Join(venv, "bin/python")); err != nil {
		t.Fatal(err)
	}
	argv := []string{venv + "/bin/python", "-m", "vllm_server"}
	if p := Prepare(argv, environmentOf(base), auto, parent); p.Flag {
		t.Error("an isolated environment does not see the base's packages")
	}
	write(t, filepath.Join(venv, "pyvenv.cfg"), "home = "+base+"/bin\ninclude-system-site-packages = true\n", 0o644)
	if p := Prepare(argv, environmentOf(base), auto, parent); !p.Flag {
		t.Error("an environment with system packages sees them")
	}
	old := filepath.Join(t.TempDir(), "site")
	write(t, filepath.Join(old, "vllm-0.8.5.dist-info/METADATA"), "", 0o644)
	if p := Prepare(argv, append([]string{"PYTHONPATH=" + old}, environmentOf(base)...), auto, parent); p.Flag {
		t.Error("PYTHONPATH comes first")
	}
	write(t, filepath.Join(base, "lib/python3.12/site-packages/vllm-0.8.5.dist-info/METADATA"), "", 0o644)
	if p := Prepare([]string{"python", "-m", "vllm_server"}, environmentOf(base), auto, parent); p.Flag {
		t.Error("two versions in one folder are nobody knows which")
	}
}

func TestVocabulary(t *testing.T) {
	if Flag != startup.VLLMTracesFlag || Args != startup.EnvVLLMArgs || Placeholder != startup.VLLMArgsPlaceholder {
		t.Error("the vocabulary differs from package startup's")
	}
}
