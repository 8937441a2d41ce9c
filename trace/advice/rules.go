// SPDX-License-Identifier: Apache-2.0

package advice

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/trace"
)

// rules are all that is known of making starts quicker. docs/advice.md has a section for each, with the source of its claim.
var rules = []rule{
	// Before a container runs.
	{
		id: "node-provisioning", phase: startup.SpanNodeProvisioning,
		change: "Keep a node warm: low-priority placeholder pods that a start may preempt, or a minimum size of the node pool.",
	},
	{
		id: "no-room", phase: startup.SpanPodPending, holds: (*start).noRoom, note: (*start).whyPending, to: but(startup.SpanSchedulingGated),
		change: "No node had room. Raise the quota or the node pool's limit, or use Recreate where the old pod holds the GPUs that the new one waits for.",
	},
	{
		id: "scheduling-gate", phase: startup.SpanSchedulingGated,
		change: "The pod waited at a scheduling gate, as a queue's quota makes it: raise the quota, or the workload's priority.",
	},
	{
		id: "image-pull", phase: startup.SpanImagePull, holds: imageMoved, note: (*start).pulledElsewhere,
		change: "Have the image on the node: pre-pull it with a DaemonSet, bake it into the node's image, or load it lazily (image streaming).",
	},
	{
		id: "image-pull-queued", phase: startup.SpanImagePullQueued,
		change: "The kubelet pulls one image at a time: set serializeImagePulls: false and maxParallelImagePulls in its configuration.",
	},
	{
		id: "registry-throughput", phase: startup.SpanImagePull, holds: slower(true), to: asUsual(true), note: othersReach(true),
		change: "Other nodes pull the same image more than twice as fast: look at this node's network, disk and registry mirror.",
	},
	{
		id: "init-containers", find: (*start).initContainers,
		change: "Init containers run one after the other: do independent work in one of them at once, or in sidecars.",
	},
	{
		id: "own-cost", phase: startup.SpanInitContainer, least: time.Second,
		holds:  func(_ *start, n *trace.Node) bool { return n.Get(startup.AttrContainerName) == startup.InstallName },
		change: "coldtrace's own init container costs this: deliver the wrapper as an image volume (delivery: image-volume), or pre-pull its image.",
	},
	// Weights.
	{
		id: "overlap-download", find: (*start).downloadThenLoad,
		change: "Weights are downloaded, and then loaded: stream them into the GPU from object storage (--load-format runai_streamer), which does both at once.",
	},
	{
		id: "download-throughput", phase: startup.DownloadSuffix, holds: slower(false), to: asUsual(false), note: othersReach(false),
		change: "Other starts download the same model more than twice as fast: look at this node's network and at the tool's concurrency.",
	},
	{
		id: "engine-download", phase: startup.SpanHFDownload, holds: (*start).inEngine,
		change: "The engine downloads the weights at every start: keep them on a volume (HF_HOME), or in a model image.",
	},
	{
		id: "weights-throughput", phase: startup.SpanWeightsLoad, holds: slower(false), to: asUsual(false),
		change: "Other starts load the same weights more than twice as fast: look at this node's storage, or whether others had them in the page cache.",
	},
	// Compilation, profiling, warm-up.
	{
		id: "compile-cache", phase: startup.SpanTorchCompile, to: but(startup.SpanDynamo),
		holds:  func(_ *start, n *trace.Node) bool { return n.Get("compile_cache") == "miss" },
		change: "Nothing was in the compilation's cache: keep it on a volume. vLLM: torch_compile_cache under VLLM_CACHE_ROOT (~/.cache/vllm). SGLang: TORCHINDUCTOR_CACHE_DIR.",
	},
	{
		id: "eager", find: (*start).compileDominates,
		change: "Compilation and graph capture are most of the engine's start: where starting matters more than speed afterwards, --enforce-eager (vLLM) does without.",
	},
	{
		id: "graph-capture", phase: startup.SpanCUDAGraphCapture, least: 10 * time.Second,
		change: "Capture graphs of fewer batch sizes: vLLM --max-cudagraph-capture-size or --cudagraph-capture-sizes, SGLang --cuda-graph-max-bs.",
	},
	{
		id: "startup-plan", phase: startup.SpanMemoryProfiling, holds: (*start).hasStartupPlan, to: but(startup.SpanEncoderProfiling),
		change: "The same profiling runs at every start: VLLM_ENABLE_STARTUP_PLAN=1 keeps its result, with VLLM_CACHE_ROOT on a volume.",
	},
	{
		id: "encoder-profiling", phase: startup.SpanEncoderProfiling, holds: ofVLLM,
		change: "Multimodal encoders are tried with the largest input: allow smaller ones (--limit-mm-per-prompt), or none where only text is served; --skip-mm-profiling leaves the memory to you.",
	},
	{
		id: "kernel-warmup", phase: startup.SpanKernelWarmup,
		change: "Kernels are tuned and compiled at every start: keep their caches on a volume (VLLM_CACHE_ROOT, FlashInfer's, Triton's TRITON_CACHE_DIR, DeepGEMM's), or warm up less (VLLM_DEEP_GEMM_WARMUP=skip).",
	},
	{
		id: "p2p-check", phase: startup.SpanDistributedInit, least: 10 * time.Second,
		holds:  (*start).checksPeers,
		change: "vLLM tries whether each GPU reaches each other one: VLLM_SKIP_P2P_CHECK=1 believes the driver instead, as 0.10.1 and newer do by default.",
	},
	{
		id: "worker-import", phase: startup.SpanWorkerLaunch, least: 10 * time.Second,
		holds:  func(s *start, _ *trace.Node) bool { return s.gpus > 1 },
		change: "Each worker process imports Python's modules anew: have the image on a local disk, not loaded lazily, with its bytecode compiled; or start from processes that have them imported.",
	},
	// When it serves.
	{
		id: "readiness-probe", phase: trace.SpanReadinessWait,
		change: "The server answered that much before the pod was called ready: a shorter periodSeconds and initialDelaySeconds of the readiness probe, with a startup probe in front; or look at what else the pod waits for, other containers or readiness gates.",
	},
	// Failures.
	{
		id: "crash-loop", find: (*start).failedAttempts, any: true,
		change: "Attempts failed before one succeeded, or none did: cure the reason; the kubelet's back-off between attempts grows to five minutes.",
	},
	{
		id: "cut-short", find: (*start).cutShort, any: true,
		change: "The cluster ended the start, not the server: give the pod a higher priority class, requests as large as what it uses, and a disruption budget.",
	},
}

// costs are rules whose change makes what comes after the start slower.
var costs = map[string]int{"eager": 1}

func imageMoved(_ *start, n *trace.Node) bool { return moved(n) }

func ofVLLM(s *start, _ *trace.Node) bool { return s.engine == "vllm" }

// vllm is the version of vLLM, as MAJOR.MINOR.PATCH; ok: it is vLLM, and somebody knows.
func (s *start) vllm() (version [3]int, ok bool) {
	text := strings.TrimPrefix(s.Value(startup.AttrEngineVersion), "v")
	n, _ := fmt.Sscanf(text, "%d.%d.%d", &version[0], &version[1], &version[2]) // what follows on a number ends it: 0.8.5.post1
	return version, s.engine == "vllm" && n >= 2
}

// hasStartupPlan says whether vLLM could keep its profiling's result: 0.25.1 does not know the variable, 0.26.0 does.
func (s *start) hasStartupPlan(*trace.Node) bool {
	version, ok := s.vllm()
	return ok && slices.Compare(version[:], []int{0, 26}) >= 0
}

// checksPeers says whether vLLM tries by itself whether GPUs reach one another: from 0.10.1 on it believes the driver
// (vllm-project/vllm#21904).
func (s *start) checksPeers(n *trace.Node) bool {
	version, ok := s.vllm()
	return ok && slices.Compare(version[:], []int{0, 10, 1}) < 0 && s.gpus > 1 && !n.Waited()
}
