// SPDX-License-Identifier: Apache-2.0

package startup

// Spans of the watcher.
const (
	SpanPodStartup        = "pod_startup"
	SpanPodPending        = "pod_pending"
	SpanSchedulingGated   = "scheduling_gated"
	SpanNodeProvisioning  = "node_provisioning"
	SpanSandboxCreating   = "sandbox_creating"
	SpanImagePull         = "image_pull"
	SpanImagePullQueued   = "image_pull_queued"
	SpanInitContainer     = "init_container"
	SpanContainerCreating = "container_creating"
	SpanPodReady          = "pod_ready"
	SpanRestartBackoff    = "restart_backoff"
	SpanInProgress        = "in_progress"
)

// What follows the name of an engine's recipe in its init span's, and of a tool in its download's.
const (
	InitSuffix     = "_init"
	DownloadSuffix = "_download"
)

// Spans of the wrapper.
const (
	SpanStartup          = "startup"
	SpanS5cmdDownload    = "s5cmd_download"
	SpanAzcopyDownload   = "azcopy_download"
	SpanGcloudDownload   = "gcloud_download"
	SpanHFDownload       = "hf_download"
	SpanAWSDownload      = "aws_download"
	SpanRcloneDownload   = "rclone_download"
	SpanCurlDownload     = "curl_download"
	SpanWgetDownload     = "wget_download"
	SpanRayClusterInit   = "ray_cluster_init"
	SpanVLLMInit         = "vllm_init"
	SpanPythonImport     = "python_import"
	SpanEngineConfig     = "engine_config"    // configuration, tokenizer, processor
	SpanWorkerLaunch     = "worker_launch"    // engine-core and worker processes, until their first word
	SpanDistributedInit  = "distributed_init" // devices and NCCL, HCCL, gloo
	SpanModelLoad        = "model_load"
	SpanWeightsLoad      = "weights_load"
	SpanTorchCompile     = "torch_compile"
	SpanDynamo           = "dynamo"           // in torch_compile
	SpanMemoryProfiling  = "memory_profiling" // a run with the largest batch, to see what is left for requests
	SpanEncoderProfiling = "encoder_profiling"
	SpanKVCacheInit      = "kv_cache_init"
	SpanKVConnectorInit  = "kv_connector_init"
	SpanKernelWarmup     = "kernel_warmup" // autotuning, JIT, precompilation, trying itself out
	SpanCUDAGraphCapture = "cuda_graph_capture"
	SpanServerReady      = "server_ready"
	SpanLoRALoad         = "lora_load"
	SpanAPIServerInit    = "api_server_init" // in server_ready: what the API server does before it listens
	SpanServerWarmup     = "server_warmup"   // in server_ready: requests that it sends to itself
)

// Attributes of every span, absent when unknown.
const (
	AttrEndpointName = "endpoint_name"
	AttrModelName    = "model_name"
	AttrGPUType      = "gpu_type"
	AttrNodeName     = "node_name"
	AttrNamespace    = "namespace"
	AttrNumGPUs      = "num_gpus" // int
	AttrImageTag     = "image_tag"
	AttrRegion       = "region"

	AttrGroupKey        = "group.key"        // of a pod that starts with others: see Group
	AttrGroupGeneration = "group.generation" // which making of the group
	AttrGroupPart       = "group.part"       // of the group, where each has an owner of its own
	AttrGroupRole       = "group.role"       // leader | worker
	AttrGroupSize       = "group.size"       // int, in pods
	AttrGroupIndex      = "group.index"      // int

	AttrDurationSeconds  = "duration_seconds" // float64, End − Start
	AttrSamplingPriority = "sampling.priority"
	AttrTimeSource       = "time.source" // one of the TimeSource constants
	AttrReason           = "reason"      // why a phase failed: the typed reason that is also its status description
)

// Attributes of some spans.
const (
	AttrTotalStartupSeconds = "total_startup_seconds" // startup: float64
	AttrAttempt             = "attempt"               // int, from 1, where a container started more than once
	AttrContainerName       = "k8s.container.name"    // spans of one container
	AttrImageSizeBytes      = "image_size_bytes"      // image_pull: int64
	AttrCached              = "cached"                // image_pull: bool
	AttrQueuedSeconds       = "queued_seconds"        // image_pull: float64
	AttrThroughputMBps      = "throughput_mbps"       // image_pull and downloads: float64, 10^6 bytes per second
	AttrBytes               = "bytes"                 // downloads: int64
	AttrFiles               = "files"                 // downloads: int64
	AttrTool                = "tool"                  // downloads: s5cmd, azcopy, …
	AttrEngine              = "engine"                // *_init: vllm, sglang, …
	AttrEngineVersion       = "engine_version"        // *_init
	AttrExitCode            = "exit_code"             // int
	AttrSignal              = "signal"                // int: that ended the process
	AttrUnobserved          = "unobserved"            // startup: string, what the wrapper could not watch
	AttrTelemetryDropped    = "telemetry.dropped"     // startup: int, spans and values that were not delivered and never will be
	AttrClockSkewSeconds    = "clock.skew_seconds"    // float64: by how much a time was clamped into its parent
	AttrTimeSourceStart     = "time.source.start"     // where the two ends differ; time.source is the coarser
	AttrTimeSourceEnd       = "time.source.end"
	AttrTimePrecision       = "time.precision_seconds" // watcher: float64, of the coarser edge
	AttrOutcome             = "outcome"                // pod_startup: one of the Outcome constants
	AttrWaitingReason       = "waiting_reason"         // a phase that did not end well: why the kubelet said it waits
	AttrWaitingFor          = "waiting_for"            // pod_ready, init_container that did not end: what holds the pod up, a list
	AttrCause               = "cause"                  // beside a reason: what the registry, runtime or kubelet gave as its cause
	AttrEndedBy             = "ended_by"               // pod_startup that failed: deleted or timed_out, where that ended it
	AttrFailedAttempts      = "failed_attempts"        // pod_startup: int, of the endpoint's container
	AttrPhase               = "phase"                  // in_progress: the name of the phase
	AttrProbe               = "probe"                  // of the event probe_failed: startup, liveness, readiness
	AttrRestarts            = "restarts"               // pod_startup: int, of all containers together
	AttrReasons             = "reasons"                // failed_scheduling: list of words
	AttrCount               = "count"                  // of an event that was repeated: int, how often
	AttrAfter               = "after"                  // of the event silence: the phase that ended before it
	AttrBefore              = "before"                 // of the event silence: the phase that began after it
)

// Outcomes of a start: AttrOutcome.
const (
	OutcomeReady     = "ready"
	OutcomeStarted   = "started"   // pod_startup: its containers run, and no probe tells Kubernetes when they serve
	OutcomeCompleted = "completed" // pod_startup: all containers ended well before the pod was ever Ready
	OutcomeFailed    = "failed"
	OutcomeDeleted   = "deleted" // it was told to end before it was ready
	OutcomeTimedOut  = "timed_out"
)

// Events within the watcher's spans.
const (
	EventFailedSchedule = "failed_scheduling"     // pod_pending
	EventScaleUp        = "scale_up_triggered"    // pod_pending
	EventNoScaleUp      = "scale_up_not_possible" // pod_pending
	EventVolumeAttached = "volume_attached"       // sandbox_creating
	EventVolumeFailed   = "volume_failed"         // sandbox_creating
	EventSandboxFailed  = "sandbox_failed"        // sandbox_creating
	EventPullFailed     = "image_pull_failed"     // image_pull
	EventProbeFailed    = "probe_failed"          // pod_ready, init_container
	EventContainerEnded = "container_terminated"  // pod_startup
)

// Events within an engine's init, each at the time when it began, with AttrDurationSeconds.
const (
	EventSilence = "silence"        // the engine wrote nothing for so long; AttrPhase, AttrAfter, AttrBefore
	EventLaunch  = "earlier_launch" // of the engine in the same run of the container; AttrOutcome, AttrReason
)

// Metrics: delta histograms, exponential.
const (
	MetricDownloadDuration   = "startup.download.duration_seconds"
	MetricDownloadThroughput = "startup.download.throughput_mbps"
	MetricVLLMInitDuration   = "startup.vllm_init.duration_seconds"
	MetricTotalDuration      = "startup.total.duration_seconds"
	MetricPodPendingDuration = "startup.pod_pending.duration_seconds"
	MetricImagePullDuration  = "startup.image_pull.duration_seconds"
	MetricPhaseDuration      = "startup.phase.duration_seconds"
	MetricGroupDuration      = "startup.group.duration_seconds"
	MetricGroupStraggler     = "startup.group.straggler_seconds"

	LabelPhase     = "phase"
	LabelAttempts  = "attempts"   // of startup.total: how often the endpoint's container was started; 5+ for five and more
	LabelGroupSize = "group_size" // of startup.group: how many pods
)

// Attributes of a span's resource, by OpenTelemetry's names.
const (
	ResourceService   = "service.name"
	ResourcePodUID    = "k8s.pod.uid"
	ResourcePodName   = "k8s.pod.name"
	ResourceNodeName  = "k8s.node.name"
	ResourceNamespace = "k8s.namespace.name"
	ResourceCluster   = "k8s.cluster.name"
)

// Services: ResourceService.
const (
	ServiceWrapper = "vllm-startup"
	ServiceWatcher = "k8s-startup-watcher"
)

// ScopeName is the instrumentation scope of every span and metric.
const ScopeName = "github.com/coldtrace/coldtrace"

// TimeSource says where an edge of a span comes from; see AttrTimeSource.
type TimeSource string

// Time sources, the most precise first.
const (
	TimeObserved        TimeSource = "observed"         // the wrapper's own clock, /proc: 10 ms or better
	TimeEventName       TimeSource = "event_name"       // the nanoseconds in the name of a kubelet's event
	TimeEventTime       TimeSource = "event_time"       // eventTime of events.k8s.io: microseconds
	TimeLog             TimeSource = "log"              // the runtime's stamp of a line of the container's log
	TimeMessageDuration TimeSource = "message_duration" // a duration stated in an event or log line
	TimeStatus          TimeSource = "status"           // pod status and metadata: 1 s
)

// KeepPriority is the value of AttrSamplingPriority that backends and samplers read as "always keep".
const KeepPriority = 2
