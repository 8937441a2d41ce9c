// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/otlptest"
)

// parts are the distributions that vLLM's tracing stands on, with a module of each.
var parts = map[string]string{
	"vllm": "vllm", "opentelemetry-api": "opentelemetry/trace", "opentelemetry-sdk": "opentelemetry/sdk",
	"opentelemetry-semantic-conventions": "opentelemetry/semconv", "opentelemetry-proto": "opentelemetry/proto",
	"opentelemetry-exporter-otlp-proto-common": "opentelemetry/exporter/otlp/proto/common",
	"opentelemetry-exporter-otlp-proto-grpc":   "opentelemetry/exporter/otlp/proto/grpc/trace_exporter",
	"opentelemetry-exporter-otlp-proto-http":   "opentelemetry/exporter/otlp/proto/http/trace_exporter",
	"grpcio":                                   "grpc", "googleapis-common-protos": "google/rpc", "protobuf": "google/protobuf", "requests": "requests",
}

// fakeVLLM installs a vLLM 0.30.0 with all of that but what is lacking, whose program says what it was given and then
// waits for its standard input to end, or for SIGTERM. It is the folder of the program.
func fakeVLLM(t *testing.T, lacking string) string {
	t.Helper()
	root := t.TempDir()
	put := func(name, text string, mode os.FileMode) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, module := range parts {
		if name == lacking {
			continue
		}
		site := "lib/python3.11/site-packages/"
		info := site + strings.ReplaceAll(name, "-", "_") + "-0.30.0.dist-info"
		put(info+"/METADATA", "Name: "+name+"\nVersion: 0.30.0\n", 0o644)
		put(info+"/entry_points.txt", "[opentelemetry_context]\n", 0o644)
		put(site+module+"/__init__.py", "", 0o644)
	}
	put("bin/python3.11", "#!/bin/sh\nshift\necho \"server: $*\"\nenv | grep -E '^(OTEL_|TRACEPARENT|traceparent)' | sort\nexec cat\n", 0o755)
	put("bin/vllm", "#!"+root+"/bin/python3.11\n", 0o755)
	return root + "/bin"
}

func vllmEnv(bin string, more ...string) []string {
	env := quiet(more...)
	env[0] = "PATH=" + bin + ":" + os.Getenv("PATH")
	return append(env, "COLDTRACE_VLLM_FLAG=auto", "COLDTRACE_VLLM_SAMPLER=traceidratio", "COLDTRACE_VLLM_SAMPLER_ARG=0.5", "POD_NAME=p")
}

// behind is a server's command in a shell string, as the webhook leaves it.
func behind(before, command, after string) []string {
	return wrapped("bash", "-c", before+startup.VLLMExecPlaceholder+" "+command+after)
}

func TestWhatVLLMIsGivenIsGivenToVLLMAlone(t *testing.T) {
	bin, bare := fakeVLLM(t, ""), fakeVLLM(t, "opentelemetry-proto")
	const show = "env | grep -cE '^(OTEL_TRACES|OTEL_SERVICE|OTEL_RESOURCE|TRACEPARENT|traceparent)'; "
	for name, c := range map[string]struct {
		argv          []string
		env           []string
		flag, loading bool
	}{
		"an argument list":                       {argv: wrapped("vllm", "serve", "m"), flag: true},
		"a shell string":                         {argv: behind(show, "vllm serve m", "; "+show), flag: true},
		"a shell that becomes the server":        {argv: behind(show+"exec ", "vllm serve m", ""), flag: true},
		"a program by its path":                  {argv: behind("", bin+"/vllm serve m", ""), flag: true},
		"the flag switched off":                  {argv: behind(show, "vllm serve m", ""), env: []string{"COLDTRACE_VLLM_FLAG=off"}, loading: true},
		"an environment that the script enters":  {argv: behind("PATH="+bare+":$PATH; ", "vllm serve m", "")},
		"one that it leaves":                     {argv: behind("PATH="+bin+":$PATH; ", "vllm serve m", ""), env: []string{"PATH=" + bare + ":/usr/bin:/bin"}, flag: true},
		"the front end in Rust, by the script":   {argv: behind("export VLLM_USE_RUST_FRONTEND=1; ", "vllm serve m", ""), loading: true},
		"the front end in Rust, for one command": {argv: wrapped("bash", "-c", "VLLM_USE_RUST_FRONTEND=1 "+startup.VLLMExecPlaceholder+" vllm serve m"), loading: true},
		"the front end in Rust, by env":          {argv: wrapped("env", "VLLM_USE_RUST_FRONTEND=1", "vllm", "serve", "m"), loading: true},
		"another tracer, by the script":          {argv: behind("export PYTHONPATH=/opt/ddtrace/bootstrap; ", "vllm serve m", "")},
		"an installation without a part":         {argv: wrapped(bare+"/vllm", "serve", "m")},
		"an environment that is emptied":         {argv: behind("env -i PATH=\"$PATH\" ", "vllm serve m", "")},
		"one from which we ourselves are taken":  {argv: behind("export -n COLDTRACE_VLLM_EXEC; ", "vllm serve m", ""), flag: true},
		"one that setpriv resets":                {argv: behind("setpriv --reset-env ", bin+"/vllm serve m", "")},
	} {
		t.Run(name, func(t *testing.T) {
			env := vllmEnv(bin)
			for _, e := range c.env { // in the place of what is there
				key, _, _ := strings.Cut(e, "=")
				for i := range env {
					if strings.HasPrefix(env[i], key+"=") {
						env[i] = e
					}
				}
			}
			o := run(t, env, c.argv, "the server's input\n")
			if o.code != 0 && !strings.Contains(o.stdout, "\n0\n") || o.stderr != "" || !strings.Contains(o.stdout, "the server's input\n") {
				t.Errorf("code %d, stderr %q", o.code, o.stderr)
			}
			for what, given := range map[string]struct{ got, want bool }{
				"the flag":                   {strings.Contains(o.stdout, "serve --otlp-traces-endpoint=http://127.0.0.1:"), c.flag},
				"the sampler":                {strings.Contains(o.stdout, "OTEL_TRACES_SAMPLER=traceidratio\nOTEL_TRACES_SAMPLER_ARG=0.5\n"), c.flag},
				"a parent":                   {strings.Contains(o.stdout, "TRACEPARENT=00-"), c.loading},
				"where loading goes":         {strings.Contains(o.stdout, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:"), c.loading},
				"the pod":                    {strings.Contains(o.stdout, "OTEL_RESOURCE_ATTRIBUTES=k8s.pod.uid=0f0e2c1a-6d1b-4f2e-9c55-3d2b1a0e7f10,k8s.pod.name=p"), c.flag || c.loading},
				"something, another program": {strings.Contains("\n"+o.stdout, "\n1\n") || strings.Contains("\n"+o.stdout, "\n5\n"), false},
			} {
				if given.got != given.want {
					t.Errorf("%s is given: %t, want %t\n%s", what, given.got, given.want, o.stdout)
				}
			}
		})
	}
}

// What admission could not know, the wrapper sees.
func TestWhatAConfigMapLeftOutIsSet(t *testing.T) {
	env := append(quiet("COLDTRACE_DEFAULT_GPU_TYPE=h100", "COLDTRACE_DEFAULT_AWS_REGION=us-west-2", "AWS_REGION=eu-west-1"), "COLDTRACE_OTLP_ENDPOINT=http://127.0.0.1:1")
	o := run(t, env, wrapped("sh", "-c", "echo $GPU_TYPE $AWS_REGION"), "")
	if o.stdout != "h100 eu-west-1\n" || o.code != 0 || o.stderr != "" {
		t.Errorf("%+v", o)
	}
}

// The spans that vLLM makes itself arrive whenever they come, and neither they nor a collector that is away hold up its end.
func TestVLLMsOwnSpansGoByThePortOfOurs(t *testing.T) {
	for name, there := range map[string]bool{"a collector": true, "none": false} {
		t.Run(name, func(t *testing.T) {
			r := otlptest.New(t)
			env := vllmEnv(fakeVLLM(t, ""))
			if there {
				env = append(env, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+r.GRPC) // the last counts
			}
			cmd := exec.Command(wrapper, behind("exec ", "vllm serve m", "")[1:]...)
			cmd.Env = env
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			first, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			_, url, _ := strings.Cut(strings.TrimSpace(first), "endpoint=")
			url, _, _ = strings.Cut(url, " ")
			for _, span := range []string{"first", "last"} {
				body, err := proto.Marshal(&collector.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{
					Spans: []*tracepb.Span{{TraceId: bytes.Repeat([]byte{9}, 16), SpanId: bytes.Repeat([]byte{8}, 8), Name: span}},
				}}}}})
				if err != nil {
					t.Fatal(err)
				}
				answer, err := http.Post(url, "application/x-protobuf", bytes.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK {
					t.Errorf("answer %s, %v", answer.Status, err)
				}
			}
			told := time.Now()
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if took := time.Since(told); took > 2*time.Second { // 0.3 s on a quiet machine
				t.Errorf("the end took %v", took)
			}
			if got := status(cmd.ProcessState); got != 143 || stderr.Len() > 0 {
				t.Errorf("code %d, stderr %q", got, stderr.String())
			}
			if there {
				for _, span := range []string{"first", "last"} {
					if _, ok := r.WaitSpan(5*time.Second, span); !ok {
						t.Errorf("%s did not arrive", span)
					}
				}
			}
		})
	}
}
