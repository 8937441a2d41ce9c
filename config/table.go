// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/startup"
)

// Prefix of the annotations and labels of coldtrace.
const Prefix = "coldtrace.io/"

// The label that a namespace is opted in with.
const (
	NamespaceLabel    = Prefix + "inject"
	NamespaceValue    = "enabled"
	NamespaceSelector = NamespaceLabel + "=" + NamespaceValue
)

// StatusAnnotation holds the decision that was made for a pod. It is written, never read as a setting.
const StatusAnnotation = Prefix + "status"

// Setting is one thing that may be said: by the operator in a field of the policy, by the owner of a namespace or a pod in
// an annotation. It is checked alike wherever it stands.
type Setting struct {
	Field      string // of the policy, such as wrapper.timeout; empty: it is no operator's to say
	Annotation string // without Prefix; empty: it is the operator's alone
	PodOnly    bool   // a namespace cannot say it for all of its pods
	Env        string // the container's variable in which the wrapper hears of it, unless it is the default
	Type       string // what it may be, if value does not list it
	Default    string // what holds if nobody says it, if that is not the policy's field
	Doc        string
	value
}

// Table is all settings that have rules, in the order in which they are documented. It drives the annotations' parsing, the
// policy's validation, the wrapper's variables and docs/annotations.md; example.yaml documents the policy's fields.
var Table = []Setting{
	{
		Annotation: "inject", Default: "by the policy's selection",
		Doc:   "`false` leaves the pod as it is. `true` selects it whatever its labels and engine are; it still needs a GPU.",
		value: oneOf(func(s *Settings) *string { return &s.Inject }, "true", "false"),
	},
	{
		Annotation: "container", Type: "name", Default: "the first of main, lws-leader, lws-worker with a GPU, else the only one with a GPU",
		PodOnly: true,
		Doc:     "The container whose start is traced.",
		value:   text(func(s *Settings) *string { return &s.Container }, checkName),
	},
	{
		Annotation: "endpoint-name", Type: "text", Default: "from labels", PodOnly: true,
		Doc:   "The endpoint's name in spans and metrics.",
		value: text(func(s *Settings) *string { return &s.EndpointName }, checkText),
	},
	{
		Annotation: "model-name", Type: "text", Default: "from the command, else from env", PodOnly: true,
		Doc:   "The model's name in spans and metrics.",
		value: text(func(s *Settings) *string { return &s.ModelName }, checkText),
	},
	{
		Annotation: "gpu-type", Type: "text", Default: "from nodeSelector, affinity, instance type",
		Doc:   "The GPU's short name, such as h100.",
		value: text(func(s *Settings) *string { return &s.GPUType }, checkText),
	},
	{
		Field: "region", Annotation: "region", Type: "text",
		Doc:   "The cloud region.",
		value: text(func(s *Settings) *string { return &s.Region }, checkText),
	},
	{
		Annotation: "engine", Type: "name", Default: "from the command", PodOnly: true,
		Doc:   "The engine whose log the wrapper reads: " + strings.Join(recipe.Engines(), ", ") + ".",
		value: oneOf(func(s *Settings) *string { return &s.Engine }, recipe.Engines()...),
	},
	{
		Annotation: "role", Default: "from labels, container name and command", PodOnly: true,
		Doc:   "What the container becomes: a server answers, a worker joins its Ray cluster, a batch job has no server.",
		value: oneOf(func(s *Settings) *startup.Role { return &s.Role }, startup.RoleServer, startup.RoleWorker, startup.RoleBatch),
	},
	{
		Annotation: "health-url", Type: "URL on localhost", Default: "from the readiness probe, else from the command", PodOnly: true,
		Doc: "What answers 200 when the server is ready: a socket of the container's own command. Also `grpc://localhost:9000/SERVICE` " +
			"(SERVING, by gRPC's health protocol), `http+unix:///run/server.sock:/health`, and `tcp://localhost:9000`, where listening is all there is.",
		value: text(func(s *Settings) *string { return &s.HealthURL }, checkAddress),
	},
	{
		Annotation: "group", Type: "text, or none", Default: "from labels, owners and commands: see the contract", PodOnly: true,
		Doc:   "Pods of a namespace with the same name start as one. `none`: the pod starts alone. It needs `group-size`, or an index.",
		value: text(func(s *Settings) *string { return &s.Group }, checkText),
	},
	{
		Annotation: "group-size", Type: "number", Default: "unknown", PodOnly: true,
		Doc:   "How many pods the group has. The group is complete with them.",
		value: text(func(s *Settings) *string { return &s.GroupSize }, checkCount),
	},
	{
		Annotation: "group-index", Type: "number", Default: "the pod's index in its StatefulSet or indexed Job", PodOnly: true,
		Doc:   "Which of the group's pods it is. The one of index 0 leads: the group is ready when it is.",
		value: text(func(s *Settings) *string { return &s.GroupIndex }, checkCount),
	},
	{
		Annotation: "entrypoint", Type: "JSON array of strings", Default: "policy `knownImages`", PodOnly: true,
		Doc:   "The image's ENTRYPOINT, for a container without `command`. With it the wrapper can be used there too.",
		value: words(func(s *Settings) *[]string { return &s.Entrypoint }),
	},
	{
		Annotation: "cmd", Type: "JSON array of strings", Default: "policy `knownImages`", PodOnly: true,
		Doc:   "The image's CMD, for a container without `command` and `args`.",
		value: words(func(s *Settings) *[]string { return &s.Cmd }),
	},
	{
		Field: "wrapper.delivery", Annotation: "delivery",
		Doc: "How the wrapper gets into the pod. `off`: no wrapper, only env and the watcher's spans.",
		value: oneOf(func(s *Settings) *Delivery { return &s.Wrapper.Delivery },
			DeliveryAuto, DeliveryImageVolume, DeliveryInitContainer, DeliveryOff),
	},
	{
		Field: "otlp.endpoint", Annotation: "otlp-endpoint", Type: "URL",
		Doc:   "Where the container sends its telemetry. May refer to the container's variables as `$(NAME)`.",
		value: text(func(s *Settings) *string { return &s.OTLP.Endpoint }, checkEndpoint),
	},
	{
		Field: "otlp.protocol", Annotation: "otlp-protocol",
		Doc:   "The protocol spoken there. A container that has an endpoint of its own says its own, in `OTEL_EXPORTER_OTLP_PROTOCOL`.",
		value: oneOf(func(s *Settings) *string { return &s.OTLP.Protocol }, startup.ProtocolGRPC, startup.ProtocolHTTP),
	},
	{
		Field: "vllmFlag", Annotation: "vllm-flag",
		Doc:   "Whether vLLM gets `--otlp-traces-endpoint`. `auto` looks inside the container whether it can take it; `always` can stop a vLLM without the OpenTelemetry packages from starting.",
		value: oneOf(func(s *Settings) *string { return &s.VLLMFlag }, startup.VLLMFlagAuto, startup.VLLMFlagAlways, startup.VLLMFlagOff),
	},
	{
		Field: "requestSampling.sampler", Annotation: "request-sampler", Type: "a value of OTEL_TRACES_SAMPLER, or off",
		Doc: "How vLLM samples its request traces. `off` adds no sampler variables.",
		value: oneOf(func(s *Settings) *string { return &s.RequestSampling.Sampler }, "always_on", "always_off", "traceidratio",
			"parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio", "off"),
	},
	{
		Field: "requestSampling.ratio", Annotation: "request-ratio", Type: "0 to 1",
		Doc:   "The share of requests that are traced.",
		value: at(func(s *Settings) *float64 { return &s.RequestSampling.Ratio }, parseNumber, checkRatio),
	},
	{
		Field: "startupTraces", Annotation: "startup-traces",
		Doc:   "What samplers are told about the pod's startup spans (`sampling.priority` 2 or -1). Metrics are not affected.",
		value: oneOf(func(s *Settings) *StartupTraces { return &s.StartupTraces }, KeepStartupTraces, DropStartupTraces),
	},
	{
		Field: "logs", Annotation: "logs",
		Doc: "Whether the watcher reads the container's log, where the chart's `logs.namespaces` gives it the right: `fallback` where the " +
			"wrapper is not in, and of an attempt that failed in any case, for the reason of the whole start; `always` beside it, too, for comparing, with spans of their own.",
		value: oneOf(func(s *Settings) *Logs { return &s.Logs }, LogsOff, LogsFallback, LogsAlways),
	},
	{
		Field: "traceID", Annotation: "trace-id", Env: startup.EnvTraceIDHash,
		Doc:   "The hash that makes trace and span ids of the pod's UID; `sha256` joins model-engine's own startup tracing.",
		value: oneOf(func(s *Settings) *startup.Hash { return &s.TraceID }, startup.MD5, startup.SHA256),
	},
	{
		Field: "wrapper.timeout", Annotation: "timeout", Type: "duration", Env: startup.EnvTimeout,
		Doc:   "When the wrapper stops waiting for the server to be ready, from the container's start; `0s` is an hour. The pod's start as a whole is given up after two hours, or after this if it is longer.",
		value: at(func(s *Settings) *time.Duration { return &s.Wrapper.Timeout }, parseDuration, checkDuration),
	},
	{
		Field: "wrapper.flushTimeout", Annotation: "flush-timeout", Type: "duration", Env: startup.EnvFlushTimeout,
		Doc:   "How long the end of a container whose start is not over may wait for its spans to be delivered, where the collector does not take them: at most 10 s, and `0s` is 2 s.",
		value: at(func(s *Settings) *time.Duration { return &s.Wrapper.FlushTimeout }, parseDuration, checkFlush),
	},
	{
		Field: "wrapper.startupz", Annotation: "startupz", Type: "host:port", Env: startup.EnvStartupz,
		Doc:   "Where the wrapper serves `GET /startupz`, the live state of the start.",
		value: text(func(s *Settings) *string { return &s.Wrapper.Startupz }, checkHostPort),
	},
	{
		Field: "wrapper.statusFile", Annotation: "status-file", Type: "path", Env: startup.EnvStatusFile,
		Doc:   "Where the wrapper writes the live state of the start.",
		value: text(func(s *Settings) *string { return &s.Wrapper.StatusFile }, checkPath),
	},
	{Field: "clusterName", Env: startup.EnvClusterName, value: text(func(s *Settings) *string { return &s.ClusterName }, checkText)},
	{Field: "wrapper.imagePullPolicy", value: oneOf(func(s *Settings) *string { return &s.Wrapper.ImagePullPolicy }, "Always", "IfNotPresent", "Never")},
	{Field: "wrapper.cpu", value: text(func(s *Settings) *string { return &s.Wrapper.CPU }, atLeast("1m"))},
	{Field: "wrapper.memory", value: text(func(s *Settings) *string { return &s.Wrapper.Memory }, atLeast("16Mi"))},
	{Field: "canaryPercent", value: rule(func(p *Policy) error {
		if p.CanaryPercent < 0 || p.CanaryPercent > 100 {
			return fmt.Errorf("%d is not between 0 and 100", p.CanaryPercent)
		}
		return nil
	})},
	{Field: "selection.requireLabel", value: rule(func(p *Policy) error {
		if p.Selection.LabelKey == "" && p.Selection.RequireLabel {
			return errors.New("needs selection.labelKey")
		}
		return nil
	})},
	{Field: "selection.gpuResources", value: rule(func(p *Policy) error { return checkResources(p.Selection.GPUResources) })},
	{Field: "knownImages", value: rule(func(p *Policy) error { return checkImages(p.KnownImages) })},
}
