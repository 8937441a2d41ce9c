// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/coldtrace/coldtrace/test/freeport"
	wrapped "github.com/coldtrace/coldtrace/wrapper/vllm"
)

// What an image can have of OpenTelemetry. The API's metadata is a module here: it is looked for by name, too.
var (
	otelAPI  = []string{"opentelemetry/trace", "opentelemetry_api-1.34.1.dist-info"}
	otelSDK  = slices.Concat(otelAPI, []string{"opentelemetry/sdk", "opentelemetry/semconv", "opentelemetry/semconv/ai"})
	otlp     = []string{"opentelemetry/exporter/otlp/proto/common", "opentelemetry/proto", "google/protobuf"}
	otlpGRPC = slices.Concat(otlp, []string{"opentelemetry/exporter/otlp/proto/grpc/trace_exporter", "grpc", "google/rpc"})
	otlpHTTP = slices.Concat(otlp, []string{"opentelemetry/exporter/otlp/proto/http/trace_exporter", "requests"})
	otelAll  = slices.Concat(otelSDK, otlpGRPC, otlpHTTP)
)

// distributions are what the other modules come in.
var distributions = map[string]string{
	"opentelemetry/sdk": "opentelemetry-sdk", "opentelemetry/semconv": "opentelemetry-semantic-conventions",
	"opentelemetry/semconv/ai": "opentelemetry-semantic-conventions-ai", "opentelemetry/exporter/otlp/proto/common": "opentelemetry-exporter-otlp-proto-common",
	"opentelemetry/proto": "opentelemetry-proto", "google/protobuf": "protobuf", "grpc": "grpcio", "google/rpc": "googleapis-common-protos",
	"opentelemetry/exporter/otlp/proto/grpc/trace_exporter": "opentelemetry-exporter-otlp-proto-grpc",
	"opentelemetry/exporter/otlp/proto/http/trace_exporter": "opentelemetry-exporter-otlp-proto-http", "requests": "requests",
	"vllm": "vllm",
}

// without is a full installation that lost something.
func without(modules ...string) []string {
	return slices.DeleteFunc(slices.Clone(otelAll), func(m string) bool { return slices.Contains(modules, m) })
}

// installation is an interpreter, a vLLM of that version and modules; the interpreter is this program.
func installation(t *testing.T, version string, modules ...string) (root string) {
	t.Helper()
	root = t.TempDir()
	site := filepath.Join(root, "lib/python3.12/site-packages")
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(site, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(site, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	describe := func(folder, name, version string) {
		write(folder+"/METADATA", "Name: "+name+"\nVersion: "+version+"\n")
		write(folder+"/entry_points.txt", "[opentelemetry_context]\n")
	}
	for _, m := range append(slices.Clone(modules), "vllm") {
		switch name := distributions[m]; {
		case strings.HasSuffix(m, ".dist-info"):
			describe(m, "opentelemetry-api", "1.34.1")
			continue
		case name == "vllm":
			describe("vllm-"+version+".dist-info", name, version)
		case name != "":
			describe(strings.ReplaceAll(name, "-", "_")+"-1.34.1.dist-info", name, "1.34.1")
		}
		write(m+"/__init__.py", "")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(root, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(self, filepath.Join(bin, "python3.12")); err != nil {
		copyProgram(t, self, filepath.Join(bin, "python3.12"))
	}
	if err := os.Symlink("python3.12", filepath.Join(bin, "python")); err != nil {
		t.Fatal(err)
	}
	return root
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// Each version is the first or last of those that behave alike.
func TestTheServerStartsWhateverTracingItsImageCanDo(t *testing.T) {
	images := map[string][]string{
		"nothing of OpenTelemetry":               nil,
		"all of it":                              otelAll,
		"an SDK without exporters, as Ray's":     otelSDK,
		"the gRPC exporter only":                 slices.Concat(otelSDK, otlpGRPC),
		"the HTTP exporter only":                 slices.Concat(otelSDK, otlpHTTP),
		"exporters without an SDK":               slices.Concat(otelAPI, otlpGRPC, otlpHTTP),
		"no protobuf":                            without("google/protobuf"),
		"no grpcio and no requests":              without("grpc", "requests"),
		"no semantic conventions":                without("opentelemetry/semconv", "opentelemetry/semconv/ai"),
		"no metadata, as after a copy by hand":   without("opentelemetry_api-1.34.1.dist-info"),
		"metadata alone, as after half a delete": {"opentelemetry_api-1.34.1.dist-info"},
	}
	for _, version := range []string{
		"0.4.1", "0.5.0.post1", "0.5.1", "0.5.5", "0.6.6.post1", "0.7.3", "0.8.0", "0.8.5.post1", "0.9.2", "0.10.1.1", "0.10.2", "0.15.1",
		"0.16.0", "0.17.1", "0.22.1", "0.27.1", "0.28.0",
	} {
		for image, modules := range images {
			enough := image == "all of it" || image == "the HTTP exporter only" && older(version, "0.16") // which imports both
			t.Run(version+" with "+image, func(t *testing.T) {
				argv, env := asked(t, version, "8000", enough, modules)
				for _, variable := range env {
					name, value, _ := strings.Cut(variable, "=")
					t.Setenv(name, value)
				}
				synctest.Test(t, func(t *testing.T) { play(t, vllm, version, 1, argv[3:]...) }) // fails if it dies
			})
			if version == "0.15.1" || version == "0.17.1" { // asks for one exporter, for both
				t.Run(version+" with "+image+", as a process", func(t *testing.T) {
					t.Parallel()
					starts(t, version, enough, modules)
				})
			}
		}
	}
}

// asked is a vLLM's command line and environment with the tracing that the wrapper would ask it for.
func asked(t *testing.T, version, port string, enough bool, modules []string) (argv, env []string) {
	t.Helper()
	root := installation(t, version, modules...)
	plan := wrapped.Prepare([]string{"python", "-m", "vllm_server", "--model", "/", "--port", port}, []string{
		"PATH=" + root + "/bin", "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317", "SIM_TEST_PROCESS=1", "SIM_SPEED=1000",
		"SIM_SITE_PACKAGES=" + root + "/lib/python3.12/site-packages",
	}, wrapped.Offer{
		Mode: "auto", Endpoint: "http://127.0.0.1:1/v1/traces", Traceparent: "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01",
	})
	old, fallsBack := older(version, "0.5.1"), !older(version, "0.8") && older(version, "0.10.2")
	if want := enough && !old && !fallsBack; plan.Flag != want {
		t.Errorf("the flag is given: %v, want %v", plan.Flag, want)
	}
	return plan.Argv, plan.Env
}

// starts waits until a simulated vLLM serves.
func starts(t *testing.T, version string, enough bool, modules []string) {
	t.Helper()
	port := freeport.Of(t)
	argv, env := asked(t, version, port, enough, modules)
	p := program(t, nil, argv...)
	p.Env = env
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // a server that died must not be waited for
		if err := p.Wait(); err != nil && ctx.Err() == nil {
			select {
			case <-served:
			default:
				t.Errorf("the server died: %v\n%s", err, p.log.String())
			}
		}
		cancel()
	}()
	awaitServing(ctx, t, "http://localhost:"+port+"/health")
	close(served)
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	<-ctx.Done()
}

func TestTracingWithoutItsPackagesStopsTheServer(t *testing.T) {
	for name, c := range map[string]struct {
		version string
		modules []string
		env     string
		says    string // empty: goes on
	}{
		"none":                           {"0.13.0", nil, "", "Unable to configure 'otlp_traces_endpoint'"},
		"none, early":                    {"0.5.4", nil, "", "OpenTelemetry packages must be installed before"},
		"the SDK without an exporter":    {"0.13.0", otelSDK, "", "ModuleNotFoundError: No module named 'opentelemetry.exporter.otlp.proto.common'"},
		"all that 0.13 needs":            {"0.13.0", slices.Concat(otelSDK, otlpGRPC), "", ""},
		"one exporter of two, from 0.16": {"0.17.0", slices.Concat(otelSDK, otlpGRPC), "", "Unable to configure 'otlp_traces_endpoint'"},
		"all":                            {"0.17.0", otelAll, "", ""},
		"all but metadata":               {"0.17.0", without("opentelemetry_api-1.34.1.dist-info"), "", "Unable to configure 'otlp_traces_endpoint'"},
		"a protocol it does not speak":   {"0.17.0", otelAll, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json", "Unsupported OTLP protocol 'http/json'"},
		"V1 without tracing":             {"0.9.0", slices.Concat(otelSDK, otlpGRPC), "VLLM_USE_V1=1", "NotImplementedError"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			site := filepath.Join(installation(t, c.version, c.modules...), "lib/python3.12/site-packages")
			env := []string{"SIM_SITE_PACKAGES=" + site, "SIM_VERSION=" + c.version, "SIM_FAIL=exit3", c.env}
			p := program(t, env, "python", "-m", "vllm_server", "--model", "/", "--otlp-traces-endpoint=http://x:4317", "--port", freeport.Of(t))
			exit := p.finish(t)
			if c.says == "" && exit.Code != 3 || c.says != "" && (exit.Code != 1 || !strings.Contains(p.log.String(), c.says)) {
				t.Errorf("%+v\n%s", exit, p.log.String())
			}
		})
	}
}
