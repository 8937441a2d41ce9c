// SPDX-License-Identifier: Apache-2.0

package startup

import (
	"slices"
	"strconv"
	"strings"
)

// Reason is why a phase failed, the value of AttrReason: a word of Reasons, where it has one followed by a code, as in
// exit_code=137 and python_exception:KeyError.
type Reason string

// Reasons that follow from how a process or a start ended. Those that follow from a text stand in the recipes, by the word.
const (
	ReasonTimedOut        = "timed_out"
	ReasonTerminated      = "terminated"
	ReasonKilled          = "killed"
	ReasonExitedEarly     = "exited_early"
	ReasonEndedSilently   = "ended_silently"
	ReasonInterrupted     = "interrupted"
	ReasonEngineFailed    = "engine_failed"
	ReasonModelLoadFailed = "model_load_failed"
	ReasonDownloadFailed  = "download_failed"
	ReasonRayIncomplete   = "ray_incomplete"

	ReasonExitCode        = "exit_code"
	ReasonSignal          = "signal"
	ReasonPythonException = "python_exception"
)

// Exited is the reason of a process that ended with a code, or of a signal if that is not 0.
func Exited(code, signal int) Reason {
	switch {
	case signal == 9:
		return ReasonKilled
	case signal != 0:
		return Reason(ReasonSignal + "=" + strconv.Itoa(signal))
	}
	return Reason(ReasonExitCode + "=" + strconv.Itoa(code))
}

// PythonException is the reason of a program that died of an exception which no recipe explains.
func PythonException(class string) Reason { return Reason(ReasonPythonException + ":" + class) }

// Kind is the word without its code.
func (r Reason) Kind() string {
	if i := strings.IndexAny(string(r), "=:"); i > 0 {
		return string(r[:i])
	}
	return string(r)
}

// Meaning is the row of Reasons; not known: it is none of them, but Kubernetes's or the runtime's own word.
func (r Reason) Meaning() (m Meaning, known bool) {
	i := slices.IndexFunc(Reasons, func(m Meaning) bool { return m.Kind == r.Kind() })
	if i < 0 {
		return Meaning{Kind: r.Kind(), Tells: TellsWhat}, false
	}
	return Reasons[i], true
}

// Tells is how much a reason says: of several about one start the most telling is shown.
type Tells int

// What a reason tells, the least first.
const (
	TellsFailed Tells = iota + 1 // that something failed, and no more
	TellsExit                    // with what code
	TellsPart                    // which part, but not why
	TellsKilled                  // that somebody killed it: the kubelet may know who
	TellsWhat                    // what happened
)

// Meaning is what a reason's word means.
type Meaning struct {
	Kind  string
	Code  string // how a code follows the word, such as =N; empty: none does
	Tells Tells
	Says  string
}

// Reasons are the words that coldtrace has of its own, in snake_case, and those of Kubernetes that say little by themselves.
// docs/reasons.md is made of it.
var Reasons = []Meaning{
	{ReasonTimedOut, "", TellsFailed, "It had not ended when the start was given up."},
	{OutcomeDeleted, "", TellsFailed, "The pod was deleted before it was ready."},
	{OutcomeFailed, "", TellsFailed, "The pod failed, and Kubernetes does not say of what."},
	{"Error", "", TellsFailed, "The container ended with a status other than 0."},
	{"CrashLoopBackOff", "", TellsFailed, "The container failed again and again: the kubelet waits before it starts it anew."},
	{ReasonExitCode, "=N", TellsExit, "The process ended with this status, and nothing says why."},
	{ReasonSignal, "=N", TellsExit, "A signal ended the process, and nothing says why."},
	{ReasonTerminated, "", TellsPart, "SIGTERM or SIGINT from outside ended it."},
	{ReasonEndedSilently, "", TellsPart, "The log stops in the middle of a start, with no word about why."},
	{ReasonEngineFailed, "", TellsPart, "The engine's process died and its server reports that, but nothing says of what."},
	{ReasonKilled, "", TellsKilled, "SIGKILL ended it: most often the kernel's out-of-memory killer, which leaves no line."},

	{"liveness_probe_failed", "", TellsWhat, "The kubelet killed the container, whose liveness probe failed."},
	{"startup_probe_failed", "", TellsWhat, "The kubelet killed the container, whose startup probe failed."},
	{ReasonExitedEarly, "", TellsWhat, "The process ended with status 0 before the engine was initialised."},
	{ReasonInterrupted, "", TellsWhat, "The log says that somebody interrupted it."},
	{ReasonModelLoadFailed, "", TellsWhat, "Triton could not load a model, and nothing says why."},
	{ReasonDownloadFailed, "", TellsWhat, "A model could not be fetched, wholly or in part."},
	{ReasonRayIncomplete, "", TellsWhat, "The Ray cluster has not got the nodes or GPUs that the engine asks for."},
	{ReasonPythonException, ":CLASS", TellsWhat, "An exception of this class that no recipe explains."},
	{"python_fatal", "", TellsWhat, "The Python interpreter itself gave up."},
	{"native_exception", "", TellsWhat, "An exception in native code that nobody caught."},

	{"cuda_out_of_memory", "", TellsWhat, "An allocation on an NVIDIA GPU failed."},
	{"hip_out_of_memory", "", TellsWhat, "An allocation on an AMD GPU failed."},
	{"npu_out_of_memory", "", TellsWhat, "An allocation on an Ascend NPU failed."},
	{"xpu_out_of_memory", "", TellsWhat, "An allocation on an Intel GPU failed."},
	{"tpu_out_of_memory", "", TellsWhat, "An allocation on a TPU failed."},
	{"out_of_memory", "", TellsWhat, "The host's memory did not suffice."},
	{"gpu_memory_in_use", "", TellsWhat, "Another process held or freed memory of the GPU while the engine measured it."},
	{"kv_cache_too_small", "", TellsWhat, "What is left beside the weights holds no request of the length that was asked for."},
	{"no_space_left", "", TellsWhat, "A disk or volume is full."},

	{"no_gpu", "", TellsWhat, "The engine sees no GPU."},
	{"too_few_gpus", "", TellsWhat, "The engine sees fewer GPUs than it was told to use."},
	{"gpu_driver", "", TellsWhat, "The node's GPU driver is absent, too old, or not of one version."},
	{"gpu_unsupported", "", TellsWhat, "The engine's build or the model has no code for this GPU."},
	{"gpu_not_initialised", "", TellsWhat, "The GPUs' fabric is not up yet (CUDA error 802)."},
	{"gpu_fault", "", TellsWhat, "The GPU broke: an uncorrectable memory error, or it fell off the bus."},
	{"cuda_error", "", TellsWhat, "Another error of CUDA."},
	{"hip_error", "", TellsWhat, "Another error of HIP."},
	{"cuda_forked", "", TellsWhat, "CUDA was used before a fork and after it."},
	{"cuda_graph_failed", "", TellsWhat, "CUDA graphs, or those of another device, could not be captured."},
	{"nccl_error", "", TellsWhat, "NCCL failed: most often the network between the GPUs."},
	{"hccl_error", "", TellsWhat, "HCCL failed: most often the network between Ascend NPUs."},
	{"nccl_timeout", "", TellsWhat, "A collective operation of NCCL did not end in time."},
	{"rendezvous_timeout", "", TellsWhat, "Not all ranks came together in time."},
	{"engine_timeout", "", TellsWhat, "The server gave up waiting for its engine."},

	{"model_not_found", "", TellsWhat, "The model, or its weights, are not where they were said to be."},
	{"model_unsupported", "", TellsWhat, "This version of the engine does not know the model's architecture or format."},
	{"weights_corrupt", "", TellsWhat, "A file of weights is cut or broken."},
	{"remote_code_not_trusted", "", TellsWhat, "The model brings code that the engine was not told to trust."},
	{"bad_flag", "", TellsWhat, "The engine does not know an argument, or not this value."},
	{"max_model_len_too_large", "", TellsWhat, "A longer context was asked for than the model has."},
	{"parallelism_unsupported", "", TellsWhat, "The model cannot be split in so many parts."},
	{"port_in_use", "", TellsWhat, "Another process listens on the server's port."},
	{"library_missing", "", TellsWhat, "A shared library is not in the image."},
	{"library_mismatch", "", TellsWhat, "Libraries of different builds don't fit together."},
	{"build_tool_missing", "", TellsWhat, "A compiler that the engine needs at run time is not in the image."},
	{"otel_missing", "", TellsWhat, "The tracing flag was given to a vLLM without the OpenTelemetry packages."},
	{"otel_protocol", "", TellsWhat, "vLLM does not speak the OTLP protocol that it was told to."},
	{"otel_unsupported", "", TellsWhat, "This version of vLLM does not take the tracing flag."},

	{"aborted", "", TellsWhat, "The process aborted itself (SIGABRT)."},
	{"segmentation_fault", "", TellsWhat, "The process reached for memory that it has not (SIGSEGV)."},
	{"bus_error", "", TellsWhat, "Memory that was promised is not there (SIGBUS): most often a full /dev/shm."},
	{"illegal_instruction", "", TellsWhat, "The code is for another processor (SIGILL)."},
}
