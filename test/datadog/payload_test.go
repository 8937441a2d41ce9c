// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	keptUID    = "6f0f7d10-3c3b-4d5e-9a52-000000000001"
	droppedUID = "6f0f7d10-3c3b-4d5e-9a52-000000000002"
)

// TestAnAnnotationDecidesWhatDatadogGetsOfAStart goes the whole way: annotation, injected variable, wrapper, collector,
// Datadog's intake.
func TestAnAnnotationDecidesWhatDatadogGetsOfAStart(t *testing.T) {
	paths := programs(t, "coldtrace", "coldtrace-wrapper", "coldtrace-observer")
	coldtrace, wrapper := paths[0], paths[1]
	for name, values := range map[string]string{
		"every trace":         "collector: {datadog: {enabled: true}}",
		"the volume is bound": "collector: {datadog: {enabled: true}}\ntraceVolume: {enabled: true, keepPercent: 0}",
	} {
		t.Run(name, func(t *testing.T) {
			in := newIntake(t)
			c := start(t, rendered(t, values), in, "processors: {batch: {timeout: 200ms}}")
			run(t, wrapper, droppedUID, injected(t, coldtrace, "drop"), c)
			run(t, wrapper, keptUID, injected(t, coldtrace, "keep"), c)
			// The exporter writes traces every 5 s, and keeps to itself what it holds when it ends.
			eventually(t, "the kept start at Datadog's intake", func() bool {
				return len(in.find(func(s *ddSpan) bool { return s.TraceID == datadogID(keptUID) && s.Resource == "startup" })) > 0
			})
			c.stop(t)

			checkKept(t, in)
			if dropped := in.find(func(s *ddSpan) bool { return s.TraceID == datadogID(droppedUID) }); len(dropped) != 0 {
				t.Errorf("%d spans of the start that asked to be dropped", len(dropped))
			}
			// Metrics tell of both starts, whatever became of their traces.
			for _, endpoint := range []string{"keep", "drop"} {
				if n := in.observations("startup.phase.duration_seconds", "phase:startup", "endpoint_name:"+endpoint); n != 1 {
					t.Errorf("endpoint %s: %d values of startup.phase.duration_seconds of the phase startup, want 1", endpoint, n)
				}
			}
			in.look(func() {
				for _, s := range in.sketches {
					for _, tag := range s.Tags {
						if strings.HasPrefix(tag, "pod_name:") || strings.Contains(tag, keptUID) {
							t.Errorf("%s has the tag %s", s.Metric, tag)
						}
					}
				}
				if len(in.problems) > 0 {
					t.Errorf("the intake: %v", in.problems)
				}
			})
		})
	}
}

func checkKept(t *testing.T, in *intake) {
	t.Helper()
	kept := in.find(func(s *ddSpan) bool { return s.TraceID == datadogID(keptUID) })
	names := map[string]bool{}
	sum := md5.Sum([]byte(keptUID))
	for _, s := range kept {
		names[s.Resource] = true
		if s.Service != "vllm-startup" {
			t.Errorf("%s: service %q", s.Resource, s.Service)
		}
		if s.priority != priorityKeep || s.Metrics["_sampling_priority_v1"] != priorityKeep {
			t.Errorf("%s: priority %d, in the span %v", s.Resource, s.priority, s.Metrics["_sampling_priority_v1"])
		}
		if s.Meta["otel.trace_id"] != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: trace id %s, want %x", s.Resource, s.Meta["otel.trace_id"], sum)
		}
		if s.Meta["endpoint_name"] != "keep" {
			t.Errorf("%s: endpoint_name %q", s.Resource, s.Meta["endpoint_name"])
		}
	}
	// With span_name_as_resource_name the resource is the phase.
	if !names["startup"] {
		t.Errorf("resources %v, want startup", names)
	}
}

// datadogID is what Datadog calls the trace of a pod: the low half of its id.
func datadogID(uid string) uint64 {
	sum := md5.Sum([]byte(uid))
	return binary.BigEndian.Uint64(sum[8:])
}

// program is built of the product, as it is shipped.
// programs builds them into one folder, where the wrapper looks for the observer, and returns their paths.
func programs(t *testing.T, names ...string) []string {
	t.Helper()
	dir := t.TempDir()
	args := []string{"build", "-trimpath", "-tags", "grpcnotrace", "-o", dir}
	paths := make([]string, len(names))
	for i, name := range names {
		args, paths[i] = append(args, "./cmd/"+name), filepath.Join(dir, name)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %q: %v\n%s", names, err, out)
	}
	return paths
}

const pod = `
apiVersion: v1
kind: Pod
metadata:
  name: endpoint
  labels: {managed-by: model-engine, endpoint_name: %[1]s}
  annotations:
    coldtrace.io/startup-traces: %[1]s
spec:
  containers:
    - name: main
      image: registry.example/server:1
      command: [python3, -m, vllm.entrypoints.openai.api_server, --model, m]
      resources: {limits: {nvidia.com/gpu: "1"}}
`

// injected are the variables that the target container gets, by name.
func injected(t *testing.T, coldtrace, annotation string) map[string]string {
	t.Helper()
	cmd := exec.Command(coldtrace, "inject", "-f", "-", "-n", "models")
	cmd.Stdin = strings.NewReader(fmt.Sprintf(pod, annotation))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("inject: %v: %s", err, errs.String())
	}
	var p struct {
		Spec struct {
			Containers []struct {
				Env []struct{ Name, Value string }
			}
		}
	}
	must(t, yaml.Unmarshal(out.Bytes(), &p))
	env := map[string]string{}
	for _, v := range p.Spec.Containers[0].Env {
		env[v.Name] = v.Value
	}
	if len(env) == 0 {
		t.Fatalf("nothing is injected:\n%s%s", out.String(), errs.String())
	}
	return env
}

// run starts a command under the wrapper, which answers its health check, and ends it when the collector has had time to get
// the whole start: the wrapper delivers what it has before it ends.
func run(t *testing.T, wrapper, uid string, env map[string]string, c *collector) {
	t.Helper()
	address := "127.0.0.1:" + freePorts(t, 1)[0]
	status := filepath.Join(t.TempDir(), "status.json")
	env["POD_UID"], env["POD_NAME"], env["NODE_NAME"] = uid, "endpoint", node
	env["COLDTRACE_HEALTH_URL"], env[serveEnv] = "http://"+address, address
	env["COLDTRACE_STATUS_FILE"] = status
	env["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://" + c.grpc
	delete(env, "COLDTRACE_ENGINE")
	cmd := exec.Command(wrapper, "run", "--", os.Args[0])
	cmd.Env = os.Environ()
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, cmd.Start())
	eventually(t, "the wrapper to see that the server is ready", func() bool {
		b, err := os.ReadFile(status)
		return err == nil && strings.Contains(string(b), `"ready"`)
	})
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	if err := cmd.Wait(); err == nil {
		t.Error("the command ended by itself")
	}
	if t.Failed() {
		t.Log(said.String())
	}
}
