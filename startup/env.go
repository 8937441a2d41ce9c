// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"slices"
	"strings"
	"time"
)

// Environment that the webhook adds to the target container and the wrapper reads. None replaces one that is there.
const (
	EnvPodUID       = "POD_UID"
	EnvPodName      = "POD_NAME"
	EnvNodeName     = "NODE_NAME"
	EnvGPUType      = "GPU_TYPE"
	EnvOTLPEndpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	EnvAWSRegion    = "AWS_REGION"
	EnvAWSDefault   = "AWS_DEFAULT_REGION"     // in place of it, and never ours
	EnvUpstream     = "ENABLE_STARTUP_METRICS" // model-engine's own: true, it sends the spans of the start itself

	// EnvDefault is the beginning of a name whose rest is a variable that the wrapper sets if it is absent. It is for
	// containers with envFrom: a ConfigMap that admission can't see may hold the variable, and an entry of ours would win
	// over it.
	EnvDefault = "COLDTRACE_DEFAULT_"

	// EnvFallbackEndpoint is where the wrapper sends to if EnvOTLPEndpoint is absent, for the same containers and those with
	// headers for they do not say which endpoint: the pod's own programs get no endpoint of ours, and ours gets no headers of theirs.
	// EnvFallbackProtocol goes with it.
	EnvFallbackEndpoint = "COLDTRACE_OTLP_ENDPOINT"
	EnvFallbackProtocol = "COLDTRACE_OTLP_PROTOCOL"

	EnvEndpointName   = "COLDTRACE_ENDPOINT_NAME"
	EnvModelName      = "COLDTRACE_MODEL_NAME"
	EnvNamespace      = "COLDTRACE_NAMESPACE"
	EnvContainer      = "COLDTRACE_CONTAINER"
	EnvNumGPUs        = "COLDTRACE_NUM_GPUS"
	EnvImageTag       = "COLDTRACE_IMAGE_TAG"
	EnvRegion         = "COLDTRACE_REGION"
	EnvClusterName    = "COLDTRACE_CLUSTER_NAME"
	EnvEngine         = "COLDTRACE_ENGINE"            // the recipe's name; absent: recognised at run time by argv
	EnvRole           = "COLDTRACE_ROLE"              // one of the Role constants; absent: server
	EnvGroup          = "COLDTRACE_GROUP"             // Group.Text; absent: the pod starts alone
	EnvHealthURL      = "COLDTRACE_HEALTH_URL"        // see engine.ParseAddress; absent: from the real argv
	EnvTraceIDHash    = "COLDTRACE_TRACE_ID_HASH"     // md5 | sha256; absent: md5
	EnvVLLMFlag       = "COLDTRACE_VLLM_FLAG"         // one of the VLLMFlag constants; absent: off
	EnvTimeout        = "COLDTRACE_TIMEOUT"           // Go duration; absent: DefaultTimeout
	EnvFlushTimeout   = "COLDTRACE_FLUSH_TIMEOUT"     // Go duration; absent: DefaultFlushTimeout
	EnvStartupz       = "COLDTRACE_STARTUPZ"          // host:port to serve /startupz on; absent: not served
	EnvStatusFile     = "COLDTRACE_STATUS_FILE"       // path of the status file; absent: none
	EnvSamplePriority = "COLDTRACE_SAMPLING_PRIORITY" // 2 | -1; absent: 2

	// How a program samples, as OpenTelemetry has it.
	EnvSampler    = "OTEL_TRACES_SAMPLER"
	EnvSamplerArg = "OTEL_TRACES_SAMPLER_ARG"

	// EnvVLLMSampler and EnvVLLMSamplerArg are how vLLM samples requests. The wrapper hands them to vLLM with the flag.
	EnvVLLMSampler    = "COLDTRACE_VLLM_SAMPLER"
	EnvVLLMSamplerArg = "COLDTRACE_VLLM_SAMPLER_ARG"

	// EnvVLLMExec is set by the wrapper for a shell that starts vLLM: a program that becomes the command behind it, after
	// it has looked at what that command will find. The webhook puts VLLMExecPlaceholder in front of the command. It is
	// one word or none, whatever IFS, `set -u` or `failglob` do.
	EnvVLLMExec         = "COLDTRACE_VLLM_EXEC"
	VLLMExecPlaceholder = `${COLDTRACE_VLLM_EXEC:+"$COLDTRACE_VLLM_EXEC"}`
	VLLMTracesFlag      = "--otlp-traces-endpoint"
)

// Values of EnvVLLMFlag. Auto leaves it to the wrapper, which sees whether this vLLM can take the flag.
const (
	VLLMFlagAuto   = "auto"
	VLLMFlagAlways = "always"
	VLLMFlagOff    = "off"
)

// Protocols of OTLP, as OTEL_EXPORTER_OTLP_PROTOCOL spells them.
const (
	ProtocolGRPC = "grpc"
	ProtocolHTTP = "http/protobuf"
)

// Defaults of the wrapper's environment.
const (
	// DefaultTimeout ends a start that never got ready: above the longest published one (vllm#16961: 11,629 s is an
	// outlier of hours; model-engine waits 20 minutes for Ray alone).
	DefaultTimeout = time.Hour
	// DefaultFlushTimeout bounds how long the wrapper's exit waits for a collector.
	DefaultFlushTimeout = 2 * time.Second
	// MaxFlushTimeout is the most that may be said: a pod's grace is 30 s, and may be spent.
	MaxFlushTimeout = 10 * time.Second
)

// Timeout is what EnvTimeout says.
func Timeout(text string) time.Duration { return duration(text, DefaultTimeout) }

// FlushTimeout is what EnvFlushTimeout says, to both of the wrapper's programs.
func FlushTimeout(text string) time.Duration {
	return min(duration(text, DefaultFlushTimeout), MaxFlushTimeout)
}

// duration has the default where the text is none above 0: in a container nobody is there to be told.
func duration(text string, standard time.Duration) time.Duration {
	if d, err := time.ParseDuration(strings.TrimSpace(text)); err == nil && d > 0 {
		return d
	}
	return standard
}

// Role is what a container is expected to become, the value of EnvRole.
type Role string

// Roles: a server is ready when it answers, a worker when it has joined its Ray cluster, a batch job when its engine
// is initialised.
const (
	RoleServer Role = "server"
	RoleWorker Role = "worker"
	RoleBatch  Role = "batch"
)

// Where the wrapper's two programs lie in a container, whichever way they got there, and the init container that copies them.
const (
	MountPath    = "/coldtrace"
	WrapperName  = "coldtrace-wrapper"
	WrapperPath  = MountPath + "/" + WrapperName
	ObserverName = "coldtrace-observer"
	InstallName  = "coldtrace-install"
)

// Environ is a process's environment, as NAME=VALUE.
type Environ []string

// Get is the value of the first entry of a name, which libc takes; empty if there is none.
func (e Environ) Get(name string) string {
	for _, v := range e {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// Has tells whether there is an entry of a name.
func (e Environ) Has(name string) bool {
	return slices.ContainsFunc(e, func(v string) bool { return strings.HasPrefix(v, name+"=") })
}
