// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/engine"
	"github.com/coldtrace/coldtrace/startup"
)

// Prefix of the annotations and labels of coldtrace.
const Prefix = "coldtrace.io/"

// StatusAnnotation holds the decision that was made for a pod. It is written, never read as a setting.
const StatusAnnotation = Prefix + "status"

// Annotation is one setting that pods, and most of them also namespaces, can make. Annotations is the one table that
// drives parsing, validation and docs/annotations.md.
type Annotation struct {
	Name    string // without Prefix
	Type    string
	Default string
	PodOnly bool // a namespace cannot say it for all of its pods
	Doc     string
	set     func(*Settings, string) error
}

// Annotations are all settings, as they are documented.
var Annotations = []Annotation{
	{
		Name: "inject", Type: "true | false", Default: "by the policy's selection",
		Doc: "`false` leaves the pod as it is. `true` selects it whatever its labels and engine are; it still needs a GPU.",
		set: func(s *Settings, v string) error {
			var err error
			s.Inject, err = choose(v, "true", "false")
			return err
		},
	},
	{
		Name: "container", Type: "name", Default: "the first of main, lws-leader, lws-worker with a GPU, else the only one with a GPU",
		PodOnly: true,
		Doc:     "The container whose start is traced.",
		set:     func(s *Settings, v string) error { s.Container = v; return checkName(v) },
	},
	{
		Name: "endpoint-name", Type: "text", Default: "from labels", PodOnly: true,
		Doc: "The endpoint's name in spans and metrics.",
		set: func(s *Settings, v string) error { s.EndpointName = v; return checkText(v) },
	},
	{
		Name: "model-name", Type: "text", Default: "from the command, else from env", PodOnly: true,
		Doc: "The model's name in spans and metrics.",
		set: func(s *Settings, v string) error { s.ModelName = v; return checkText(v) },
	},
	{
		Name: "gpu-type", Type: "text", Default: "from nodeSelector, affinity, instance type",
		Doc: "The GPU's short name, such as h100.",
		set: func(s *Settings, v string) error { s.GPUType = v; return checkText(v) },
	},
	{
		Name: "region", Type: "text", Default: "policy `region`",
		Doc: "The cloud region.",
		set: func(s *Settings, v string) error { s.Region = v; return checkText(v) },
	},
	{
		Name: "engine", Type: "name", Default: "from the command", PodOnly: true,
		Doc: "The engine whose log the wrapper reads: " + strings.Join(engines, ", ") + ".",
		set: func(s *Settings, v string) (err error) { s.Engine, err = choose(v, engines...); return err },
	},
	{
		Name: "role", Type: "server | worker | batch", Default: "from labels, container name and command", PodOnly: true,
		Doc: "What the container becomes: a server answers, a worker joins its Ray cluster, a batch job has no server.",
		set: func(s *Settings, v string) (err error) {
			s.Role, err = choose(v, startup.RoleServer, startup.RoleWorker, startup.RoleBatch)
			return err
		},
	},
	{
		Name: "health-url", Type: "URL on localhost", Default: "from the readiness probe, else from the command", PodOnly: true,
		Doc: "What answers 200 when the server is ready: a socket of the container's own command. Also `grpc://localhost:9000/SERVICE` " +
			"(SERVING, by gRPC's health protocol), `http+unix:///run/server.sock:/health`, and `tcp://localhost:9000`, where listening is all there is.",
		set: func(s *Settings, v string) (err error) { s.HealthURL = v; _, err = engine.ParseAddress(v); return err },
	},
	{
		Name: "entrypoint", Type: "JSON array of strings", Default: "policy `knownImages`", PodOnly: true,
		Doc: "The image's ENTRYPOINT, for a container without `command`. With it the wrapper can be used there too.",
		set: func(s *Settings, v string) error { return json.Unmarshal([]byte(v), &s.Entrypoint) },
	},
	{
		Name: "cmd", Type: "JSON array of strings", Default: "policy `knownImages`", PodOnly: true,
		Doc: "The image's CMD, for a container without `command` and `args`.",
		set: func(s *Settings, v string) error { return json.Unmarshal([]byte(v), &s.Cmd) },
	},
	{
		Name: "delivery", Type: "auto | image-volume | init-container | off", Default: "policy `wrapper.delivery`",
		Doc: "How the wrapper gets into the pod. `off`: no wrapper, only env and the watcher's spans.",
		set: func(s *Settings, v string) (err error) { s.Delivery, err = choose(v, deliveries...); return err },
	},
	{
		Name: "otlp-endpoint", Type: "URL", Default: "policy `otlp.endpoint`",
		Doc: "Where the container sends its telemetry. May refer to the container's variables as `$(NAME)`.",
		set: func(s *Settings, v string) error { s.OTLP.Endpoint = v; return checkEndpoint(v) },
	},
	{
		Name: "otlp-protocol", Type: "grpc | http/protobuf", Default: "policy `otlp.protocol`",
		Doc: "The protocol spoken there.",
		set: func(s *Settings, v string) (err error) {
			s.OTLP.Protocol, err = choose(v, GRPC, HTTPProtobuf)
			return err
		},
	},
	{
		Name: "vllm-flag", Type: "auto | always | off", Default: "policy `vllmFlag`",
		Doc: "Whether vLLM gets `--otlp-traces-endpoint`. `auto` looks inside the container whether it can take it; `always` can stop a vLLM without the OpenTelemetry packages from starting.",
		set: func(s *Settings, v string) (err error) { s.VLLMFlag, err = choose(v, vllmFlags...); return err },
	},
	{
		Name: "request-sampler", Type: "a value of OTEL_TRACES_SAMPLER, or off", Default: "policy `requestSampling.sampler`",
		Doc: "How vLLM samples its request traces. `off` adds no sampler variables.",
		set: func(s *Settings, v string) error { s.RequestSampling.Sampler = v; return checkSampler(v) },
	},
	{
		Name: "request-ratio", Type: "0 to 1", Default: "policy `requestSampling.ratio`",
		Doc: "The share of requests that are traced.",
		set: func(s *Settings, v string) error {
			r, err := strconv.ParseFloat(v, 64)
			if err != nil {
				return fmt.Errorf("%q is not a number", v)
			}
			s.RequestSampling.Ratio = r
			return checkRatio(r)
		},
	},
	{
		Name: "startup-traces", Type: "keep | drop", Default: "policy `startupTraces`",
		Doc: "What samplers are told about the pod's startup spans (`sampling.priority` 2 or -1). Metrics are not affected.",
		set: func(s *Settings, v string) (err error) {
			s.StartupTraces, err = choose(v, KeepStartupTraces, DropStartupTraces)
			return err
		},
	},
	{
		Name: "trace-id", Type: "md5 | sha256", Default: "policy `traceID`",
		Doc: "The hash that makes trace and span ids of the pod's UID; `sha256` joins model-engine's own startup tracing.",
		set: func(s *Settings, v string) (err error) {
			s.TraceID, err = choose(v, startup.MD5, startup.SHA256)
			return err
		},
	},
	{
		Name: "timeout", Type: "duration", Default: "policy `wrapper.timeout`",
		Doc: "When the wrapper stops waiting for the server to be ready, from the container's start. The pod's start as a whole is given up after two hours, or after this if it is longer.",
		set: func(s *Settings, v string) (err error) { s.Timeout, err = parseDuration(v); return err },
	},
	{
		Name: "flush-timeout", Type: "duration", Default: "policy `wrapper.flushTimeout`",
		Doc: "How long the end of a failed container may wait for its spans to be delivered.",
		set: func(s *Settings, v string) (err error) { s.FlushTimeout, err = parseDuration(v); return err },
	},
	{
		Name: "startupz", Type: "host:port", Default: "policy `wrapper.startupz`",
		Doc: "Where the wrapper serves `GET /startupz`, the live state of the start.",
		set: func(s *Settings, v string) error { s.Startupz = v; return checkHostPort(v) },
	},
	{
		Name: "status-file", Type: "path", Default: "policy `wrapper.statusFile`",
		Doc: "Where the wrapper writes the live state of the start.",
		set: func(s *Settings, v string) error { s.StatusFile = v; return checkPath(v) },
	},
}

// engines are the names of the wrapper's recipes.
var engines = []string{"vllm", "sglang", "tgi", "tensorrt_llm", "lightllm", "lmdeploy"}

func checkName(v string) error {
	if v == "" || len(v) > 63 {
		return fmt.Errorf("%q is not a container's name", v)
	}
	return nil
}

// checkText keeps attribute values short and free of control characters.
func checkText(v string) error {
	if v == "" || len(v) > 253 || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return errors.New("is empty, longer than 253 bytes or holds control characters")
	}
	return nil
}

func checkPath(v string) error {
	if !strings.HasPrefix(v, "/") || checkText(v) != nil {
		return fmt.Errorf("%q is not an absolute path", v)
	}
	return nil
}

func parseDuration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 30m", v)
	}
	return d, checkDuration(d)
}
