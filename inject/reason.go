// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"slices"

	"github.com/coldtrace/coldtrace/endpoint"
)

// Reasons beside those of package endpoint. Each is documented in Vocabulary, which docs/reasons.md is made of.
const (
	ReasonOptedOut       Reason = "opted-out"
	ReasonNoGPU          Reason = "no-gpu"
	ReasonClaim          Reason = "gpu-by-claim"
	ReasonUnknownClaim   Reason = "claim-unknown"
	ReasonAnnotation     Reason = "annotation-ignored"
	ReasonContainer      Reason = "container-not-found"
	ReasonAmbiguous      Reason = "several-gpu-containers"
	ReasonNotAnEndpoint  Reason = "not-an-endpoint"
	ReasonNoLabel        Reason = "label-missing"
	ReasonCanary         Reason = "outside-canary"
	ReasonWindows        Reason = "windows"
	ReasonStatic         Reason = "static-pod"
	ReasonForced         Reason = "forced-by-annotation"
	ReasonLabel          Reason = "selected-by-label"
	ReasonEngine         Reason = "selected-by-engine"
	ReasonNoEndpoint     Reason = "no-otlp-endpoint"
	ReasonUnresolved     Reason = "otlp-endpoint-unresolved"
	ReasonEnvFrom        Reason = "env-from"
	ReasonOwnHeaders     Reason = "own-otlp-headers"
	ReasonReferenced     Reason = "variable-referenced"
	ReasonUserSampling   Reason = "own-sampling"
	ReasonUpstream       Reason = "upstream-startup-metrics"
	ReasonTracer         Reason = "other-tracer"
	ReasonOtherParser    Reason = "other-parser"
	ReasonDisabled       Reason = "disabled-by-policy"
	ReasonNoWrapperImage Reason = "no-wrapper-image"
	ReasonImageVolumes   Reason = "image-volumes-unsupported"
	ReasonKnownImage     Reason = "known-image"
	ReasonInit           Reason = "needs-pid-1"
	ReasonTaken          Reason = "name-taken"
	ReasonFootprint      Reason = "footprint-too-small"
	ReasonBreaker        Reason = "circuit-breaker"
	ReasonApplied        Reason = "bare-pod-applied"
	ReasonRuntimeClass   Reason = "runtime-class"
	ReasonUserNamespace  Reason = "user-namespace"
	ReasonRefused        Reason = "image-volume-refused"
	ReasonNotVLLM        Reason = "not-vllm"
	ReasonNotServer      Reason = "not-a-server"
	ReasonFlagMode       Reason = "flag-off"
	ReasonFlagNeedsShell Reason = "wrapper-decides"
	ReasonNoWrapper      Reason = "needs-wrapper"
	ReasonPanic          Reason = "internal-error"
	ReasonUnreadable     Reason = "pod-unreadable"
	ReasonWrapperTells   Reason = "wrapper-tells"
	ReasonLogTells       Reason = "log-tells"
	ReasonLogsAlways     Reason = "log-compared"
	ReasonLogsOff        Reason = "logs-off"
	ReasonLogsForbidden  Reason = "logs-not-granted"
	ReasonTooLarge       Reason = "body-too-large"
	ReasonOverloaded     Reason = "overloaded"
	ReasonStarting       Reason = "starting"
	ReasonDeadline       Reason = "deadline"
)

// Explanation is the documented meaning of a reason.
type Explanation struct {
	Reason  Reason
	Meaning string
	Advice  string // what to do about it, empty if nothing needs to be done
}

// Vocabulary are all reasons.
var Vocabulary = []Explanation{
	{ReasonLabel, "The pod carries the policy's label.", ""},
	{ReasonEngine, "The target container starts an engine that coldtrace knows.", ""},
	{ReasonForced, "The pod or its namespace says `coldtrace.io/inject: \"true\"`.", ""},
	{ReasonOptedOut, "The pod or its namespace says `coldtrace.io/inject: \"false\"`.", ""},
	{ReasonAnnotation, "An annotation under `coldtrace.io/` is unknown, has a bad value, or has an effect on pods only; the rest applies.", "Correct it: docs/annotations.md lists all, and a `kubectl apply --dry-run=server` of the pod says what is wrong with it."},
	{ReasonNoGPU, "No container of the pod has a GPU in its limits or claims.", "If it uses a GPU by another name, add that to the policy's `selection.gpuResources`."},
	{ReasonClaim, "The GPU comes from a resource claim. How many and which stands in the claim or its template, which admission does not read: the number is left out, the type is the one that the names tell until the node or the driver tells it.", ""},
	{ReasonUnknownClaim, "No container has a GPU in its limits, and what one's resource claim is for is neither in its name nor clear from the command.", "Name the container in `coldtrace.io/container` if it is a GPU, or say `coldtrace.io/inject: \"true\"`."},
	{ReasonContainer, "The container that the annotation names does not exist or has no GPU.", "Correct `coldtrace.io/container`."},
	{ReasonAmbiguous, "Several containers have a GPU and none is called main, lws-leader or lws-worker.", "Name one in `coldtrace.io/container`."},
	{ReasonNotAnEndpoint, "The pod has neither the policy's label nor a known engine in its command.", "Label it, or annotate it with `coldtrace.io/inject: \"true\"`."},
	{ReasonNoLabel, "The policy wants its label and the pod does not carry it.", "Label it, or annotate it with `coldtrace.io/inject: \"true\"`."},
	{ReasonCanary, "The policy injects only a share of all workloads, and this pod's is not in it.", "Raise `canaryPercent`."},
	{ReasonWindows, "The pod runs on Windows.", ""},
	{ReasonStatic, "The kubelet runs this pod from a file of its node's, and shows it to the API server: what is changed here changes nothing there.", "Make it a Deployment or a DaemonSet if what happens in its containers is to be traced."},
	{ReasonNoEndpoint, "There is no OTLP endpoint to send to, so the wrapper would do nothing.", "Set `otlp.endpoint` in the policy or `coldtrace.io/otlp-endpoint`."},
	{ReasonUnresolved, "The OTLP endpoint refers to a variable that the container does not have.", "Define the variable in the container or use another endpoint."},
	{ReasonEnvFrom, "The container takes variables from a ConfigMap or Secret that may hold these; an entry of ours would win over it. The wrapper sees what the container really has and sets what is absent; without a wrapper they are left out.", ""},
	{ReasonOwnHeaders, "The container has headers for an OTLP endpoint (`OTEL_EXPORTER_OTLP_HEADERS`) and does not name it for all of its signals. They may hold a key, so its programs are not pointed at the policy's endpoint; the wrapper sends there without them.", "If they are for that endpoint, name it beside them, in `OTEL_EXPORTER_OTLP_ENDPOINT` or `coldtrace.io/otlp-endpoint`."},
	{ReasonOtherParser, "vLLM's gRPC server, its front end in Rust or vLLM Omni reads the arguments, which do not know the flag.", ""},
	{ReasonTracer, "Another tracer is evident in the command, the variables or the annotations. It would read a sampler's variables too, and vLLM's own tracing would get in its way: that stays off.", ""},
	{ReasonReferenced, "The command reads a variable, as $(NAME), $NAME or ${NAME:-default}, that the container does not define; defining it would change what it does.", ""},
	{ReasonUserSampling, "The container has a sampler of its own.", ""},
	{ReasonUpstream, "The endpoint uses model-engine's own startup metrics, which emit the same spans.", "Switch one of the two off."},
	{ReasonDisabled, "The policy or an annotation switches this off.", ""},
	{ReasonNoWrapperImage, "The policy names no wrapper image.", "Set `wrapper.image`."},
	{ReasonImageVolumes, "Image volumes were asked for and not every GPU node can mount them.", "Use `delivery: auto` or `init-container`."},
	{endpoint.EntrypointUnknown, "The container has no command and its image's ENTRYPOINT is not known; setting a command would replace it.", "Give the container a command, annotate it with `coldtrace.io/entrypoint`, or add the image to the policy's `knownImages`."},
	{ReasonKnownImage, "The image's ENTRYPOINT comes from an annotation, the policy or the registry.", ""},
	{ReasonInit, "The command is an init system (systemd, s6-overlay's `/init`, …) that works only as the container's first process, which it would not be behind the wrapper.", "If it is not, say `coldtrace.io/inject: \"true\"`: then the wrapper looks into the image, and becomes the command if it is."},
	{ReasonTaken, "The pod already uses the volume name, container name or path that coldtrace needs.", "Rename the pod's own, or live with the watcher's spans."},
	{ReasonFootprint, "The pod's own requests leave no room for the init container, and more would change its scheduling.", "Use image-volume delivery."},
	{ReasonBreaker, "Pods with the wrapper failed to start, or one was refused; until that is looked into, this owner's pods go without.", "See the Event on the owner."},
	{ReasonApplied, "The pod has no controller and somebody applies it: its command is left as it is, since the API server would refuse the same manifest the next time.", "Put the pod into a Deployment or Job, or create it instead of applying it."},
	{ReasonRuntimeClass, "The pod's runtime class is not among those whose containers can mount an image: the wrapper comes by init container.", ""},
	{ReasonUserNamespace, "The pod has a user namespace (`hostUsers: false`), in which images can't be mounted: the wrapper comes by init container.", ""},
	{ReasonRefused, "Pods with an image volume were refused in this namespace: the wrapper comes by init container.", ""},
	{ReasonNotVLLM, "The engine is not vLLM: it gets no vLLM flag.", ""},
	{ReasonNotServer, "The container is a worker or a batch job: it gets no server flag.", ""},
	{ReasonFlagMode, "The vLLM flag is switched off.", ""},
	{ReasonFlagNeedsShell, "The command is an argument list: the wrapper adds the flag in the container, if that vLLM can take it.", ""},
	{ReasonNoWrapper, "In mode auto the flag is decided by the wrapper, which this pod does not get.", "See why there is no wrapper; or `coldtrace.io/vllm-flag: always` if the image has the OpenTelemetry packages."},
	{ReasonPanic, "coldtrace failed; the pod was admitted as it came.", "Report it with the webhook's log."},
	{ReasonUnreadable, "The pod could not be read; it was admitted as it came.", "Report it with the webhook's log."},
	{endpoint.NoEngine, "No engine is recognised in the command, so there is nothing in the container to observe.", "Set `coldtrace.io/engine`, or the policy's `wrapper.unknownEngines`."},
	{endpoint.FlagPresent, "The command or a variable already holds the flag.", ""},
	{endpoint.Xtrace, "The shell shows what it runs (`set -x`): what stands in front of the server would be in its output.", ""},
	{endpoint.Confined, "The shell is a restricted one (`bash -r`, `set -r`), or limits the address space (`ulimit -v`, `prlimit --as`): what stands in front of the server might not run.", ""},
	{endpoint.ShellSyntax, "The shell string can't be parsed.", ""},
	{endpoint.TwoServers, "The shell string starts more than one server.", ""},
	{endpoint.NestedShell, "The server is started by a shell string inside a shell string.", ""},
	{endpoint.Eval, "The server is started by eval.", ""},
	{endpoint.DynamicCommand, "The server's command is in a variable or behind a program that is not known.", ""},
	{endpoint.CommandSubstitution, "The server is started in a command substitution.", ""},
	{endpoint.HereDocument, "The server's command is in a here-document.", ""},
	{endpoint.KubeletExpansion, "A $(NAME) before the server's command has a value that can't be seen at admission.", ""},
	{endpoint.ScriptUnknown, "The server is started by a script in the image.", ""},
	{endpoint.ConfigFile, "The server reads a file of arguments, which may hold the flag, and with which vLLM takes the word after `serve` for the model.", "Put `otlp-traces-endpoint` into that file if request traces are wanted."},
	{ReasonWrapperTells, "The wrapper is in the container and tells what happens there. Where logs may be read, the log of an attempt that failed says why.", ""},
	{ReasonLogTells, "The wrapper is not in the container: the watcher reads the container's log for what happens there.", ""},
	{ReasonLogsAlways, "The wrapper is in the container, and the watcher reads the log as well, for comparing.", ""},
	{ReasonLogsOff, "The wrapper is not in the container, and the policy or an annotation has logs not read: what happens there is not told.", "Set `logs: fallback`."},
	{ReasonLogsForbidden, "The wrapper is not in the container, and coldtrace has no right to read logs in this namespace: what happens there is not told.", "Name the namespace in the chart's `logs.namespaces`."},
	{ReasonTooLarge, "The admission review is larger than the limit; the pod was admitted as it came.", "Raise `webhook.maxBodyBytes` if pods of this size are wanted."},
	{ReasonOverloaded, "Too many admissions were under way; the pod was admitted as it came.", "Raise `replicas` or `webhook.maxConcurrent`."},
	{ReasonStarting, "coldtrace had not finished starting in time; the pod was admitted as it came.", ""},
	{ReasonDeadline, "The decision took longer than the API server waits; the pod was admitted as it came.", "Report it with the webhook's log."},
}

// Explain is a reason's row of Vocabulary; not known: it has none.
func Explain(r Reason) (e Explanation, known bool) {
	i := slices.IndexFunc(Vocabulary, func(e Explanation) bool { return e.Reason == r })
	if i < 0 {
		return Explanation{Reason: r}, false
	}
	return Vocabulary[i], true
}
