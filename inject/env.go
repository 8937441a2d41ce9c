// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/engine"
	"github.com/coldtrace/coldtrace/engine/recipe"
	"github.com/coldtrace/coldtrace/engine/tracer"
	"github.com/coldtrace/coldtrace/startup"
)

// envPlan are the entries to append: at the end, so that no value of the pod's own changes its meaning and ours can
// refer to every one of them.
type envPlan struct {
	container *endpoint.Container
	add       []corev1.EnvVar
	identity  bool
	sampling  bool
}

// has tells if the container defines a name. A second entry would win with the kubelet and lose with others.
func (e *envPlan) has(name string) bool {
	return e.container.Defines(name) ||
		slices.ContainsFunc(e.add, func(v corev1.EnvVar) bool { return v.Name == name })
}

// value appends a literal. Its $ are escaped: nothing of ours is expanded by accident.
func (e *envPlan) value(name, value string) {
	if value != "" && !e.has(name) {
		e.add = append(e.add, corev1.EnvVar{Name: name, Value: strings.ReplaceAll(value, "$", "$$")})
	}
}

func (e *envPlan) write(p *patch) {
	if len(e.add) == 0 {
		return
	}
	if e.container.Env == nil {
		p.add(p.at("env"), e.add)
		return
	}
	path := p.at("env/-")
	for i := range e.add {
		p.add(path, &e.add[i])
	}
}

// identity are the fields that tell who the pod is.
var identity = [...]corev1.EnvVar{
	fromField(startup.EnvPodUID, "metadata.uid"), fromField(startup.EnvPodName, "metadata.name"), fromField(startup.EnvNodeName, "spec.nodeName"),
}

// fromField names the version that defaulting would write: the result is the same on reinvocation.
func fromField(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}}
}

// identity is who the pod is.
func (p *patch) identity(env *envPlan) {
	env.identity = true
	for _, v := range identity {
		if !env.has(v.Name) && !p.referenced(env, v.Name) {
			env.add = append(env.add, v)
		}
	}
	p.optional(env, startup.EnvGPUType, p.sel.Identity.GPUType)
	// A region set by us would keep the EKS identity webhook from setting either of the two, and s5cmd from asking for
	// the bucket's own.
	if region := p.sel.Settings.Region; region != "" && !env.has(startup.EnvAWSDefault) {
		p.optional(env, startup.EnvAWSRegion, region)
	}
}

// optional adds a name that people also set themselves. Where it may come from an envFrom, the wrapper sets it if it does
// not.
func (p *patch) optional(env *envPlan, name, value string) {
	switch {
	case value == "" || env.has(name) || p.referenced(env, name):
	case len(env.container.EnvFrom) == 0:
		env.value(name, value)
	case p.wrap != nil:
		env.value(startup.EnvDefault+name, value)
	default:
		p.note(ReasonEnvFrom, name)
	}
}

// referenced notes a variable that the pod refers to without having it.
func (p *patch) referenced(env *envPlan, name string) bool {
	if env.has(name) || !refers(env.container, name) {
		return false
	}
	p.note(ReasonReferenced, name)
	return true
}

// endpointEnv is where telemetry goes. It and the wrapper's fallback are the values in which $(NAME) is meant.
func (p *patch) endpointEnv(env *envPlan) {
	switch r := p.noEndpoint; {
	case env.has(startup.EnvOTLPEndpoint):
	case r == "":
		env.add = append(env.add, corev1.EnvVar{Name: startup.EnvOTLPEndpoint, Value: p.sel.Settings.OTLP.Endpoint})
	case r == ReasonEnvFrom && p.wrap != nil: // wrapperEnv
	case !slices.ContainsFunc(p.decision.Notes, func(n Note) bool { return n.Reason == r && n.Detail != startup.EnvSampler }):
		p.note(r, startup.EnvOTLPEndpoint)
	}
}

// ownEndpoint tells if the container says itself where telemetry goes. How to speak there is its own to say, too: a protocol
// beside it would be read by all exporters that the container has.
func (p *patch) ownEndpoint() bool {
	return p.container().Defines(startup.EnvOTLPEndpoint)
}

// endpointProblem is why the container will have no OTLP endpoint, empty if it will.
func (p *patch) endpointProblem() Reason {
	c, url := p.container(), p.sel.Settings.OTLP.Endpoint
	switch {
	case p.ownEndpoint():
		return ""
	case !p.req.Policy.Features.Env:
		return ReasonDisabled
	case url == "":
		return ReasonNoEndpoint
	case !resolvable(c, url):
		return ReasonUnresolved
	case len(c.EnvFrom) > 0:
		return ReasonEnvFrom
	case url == p.req.Policy.OTLP.Endpoint && !p.endpointAnnotated(url) && strayHeaders(c):
		return ReasonOwnHeaders
	case refers(c, startup.EnvOTLPEndpoint):
		return ReasonReferenced
	}
	return ""
}

// wrapperSends tells that the container itself gets no endpoint, and the wrapper has a variable of its own.
func (p *patch) wrapperSends() bool {
	return p.noEndpoint == ReasonEnvFrom || p.noEndpoint == ReasonOwnHeaders
}

// strayHeaders tells if the container has headers for OTLP endpoints that it does not name. Whoever names one for the pod, in an
// annotation, means them for it; the operator, who names one for all pods, knows nothing of them.
func strayHeaders(c *endpoint.Container) bool {
	return slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool {
		of, headers := strings.CutSuffix(v.Name, "HEADERS")
		return headers && strings.HasPrefix(of, "OTEL_EXPORTER_OTLP_") && !c.Defines(of+"ENDPOINT")
	})
}

// endpointAnnotated tells if somebody names an endpoint for the pod or its namespace.
func (p *patch) endpointAnnotated(url string) bool {
	const key = config.Prefix + "otlp-endpoint"
	return p.req.Pod.Metadata.Annotations[key] == url || p.req.NamespaceAnnotations[key] == url
}

// resolvable tells if the container defines every $(NAME) in a value.
func resolvable(c *endpoint.Container, value string) bool {
	for {
		_, rest, found := strings.Cut(value, "$(")
		if !found {
			return true
		}
		name, rest, _ := strings.Cut(rest, ")")
		if !c.Defines(name) {
			return false
		}
		value = rest
	}
}

// samplerProblem is why vLLM may have no sampler where the policy wants one, empty if that is not so. With the flag and no
// sampler it traces every request.
func (p *patch) samplerProblem() Reason {
	c := p.container()
	switch {
	case !p.req.Policy.Features.RequestSampling || p.sel.Settings.RequestSampling.Sampler == "off":
		return ""
	case c.Defines(startup.EnvSampler), c.Defines(startup.EnvSamplerArg):
		return ""
	case !p.req.Policy.Features.Env:
		return ReasonDisabled
	case len(c.EnvFrom) > 0 && p.wrap == nil:
		return ReasonEnvFrom
	}
	return ""
}

// sampling is how vLLM samples request traces, where it may get the flag: both variables or none, since a ratio of ours
// beside a sampler of the user's would change the user's. They are vLLM's alone: the wrapper hands them over with the
// flag. Without one the container has them.
func (p *patch) sampling(env *envPlan, flag *flagEdit) {
	set := &p.sel.Settings
	name, ratio := startup.EnvVLLMSampler, startup.EnvVLLMSamplerArg
	if p.wrap == nil {
		name, ratio = startup.EnvSampler, startup.EnvSamplerArg
	}
	switch {
	case p.sel.Identity.Engine != engine.VLLM || p.sel.Identity.Role != startup.RoleServer || set.VLLMFlag == startup.VLLMFlagOff:
	case !p.req.Policy.Features.RequestSampling || set.RequestSampling.Sampler == "off":
		p.note(ReasonDisabled, string(FeatureSampling))
	case p.req.Pod.Metadata.Annotations[config.StatusAnnotation] != "" && env.has(name):
		env.sampling = true // ours
	case env.has(startup.EnvSampler), env.has(startup.EnvSamplerArg):
		p.note(ReasonUserSampling, "")
	case flag == nil: // and that was noted
	default:
		env.sampling = true
		env.value(name, set.RequestSampling.Sampler)
		if strings.HasSuffix(set.RequestSampling.Sampler, "traceidratio") {
			env.value(ratio, strconv.FormatFloat(set.RequestSampling.Ratio, 'f', -1, 64))
		}
	}
}

// otherTracer tells if another tracer is evident in the pod.
func otherTracer(pod *endpoint.Pod, c *endpoint.Container) bool {
	for key, value := range pod.Metadata.Annotations {
		if tracer.Annotation(key, value) {
			return true
		}
	}
	return tracer.InCommand(c.Command) || tracer.InCommand(c.Args) || slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool {
		value := v.Value
		if v.ValueFrom != nil {
			value = "somebody sets it"
		}
		return tracer.Variable(v.Name, value)
	})
}

// wrapperEnv is what the wrapper needs to know.
func (p *patch) wrapperEnv(env *envPlan) {
	var (
		id  = &p.sel.Identity
		set = &p.sel.Settings
	)
	if id.NumGPUs > 0 {
		env.value(startup.EnvNumGPUs, strconv.Itoa(id.NumGPUs))
	}
	if slices.Contains(recipe.Engines(), id.Engine) {
		env.value(startup.EnvEngine, id.Engine)
	}
	if id.Role != startup.RoleServer {
		env.value(startup.EnvRole, string(id.Role))
	}
	if id.Engine == engine.VLLM && id.Role == startup.RoleServer {
		env.value(startup.EnvVLLMFlag, p.flagMode())
	}
	if n := set.SamplingPriority(); n != startup.KeepPriority {
		env.value(startup.EnvSamplePriority, strconv.Itoa(n))
	}
	if p.wrapperSends() && !env.has(startup.EnvFallbackEndpoint) {
		env.add = append(env.add, corev1.EnvVar{Name: startup.EnvFallbackEndpoint, Value: set.OTLP.Endpoint})
	}
	for name, text := range id.Variables() {
		env.value(name, *text)
	}
	env.value(startup.EnvGroup, id.Group.Text())
	for name, text := range set.Variables() {
		env.value(name, text)
	}
	env.value(startup.EnvHealthURL, id.HealthURL)
	if set.OTLP.Protocol != startup.ProtocolGRPC && !p.ownEndpoint() {
		name := "OTEL_EXPORTER_OTLP_PROTOCOL"
		if p.wrapperSends() {
			name = startup.EnvFallbackProtocol
		}
		env.value(name, set.OTLP.Protocol)
	}
}

// flagMode is what the wrapper is told to do about the flag: nothing where the command must not be touched, or where
// neither the endpoint nor a sampler may be set, since every request would be traced then.
func (p *patch) flagMode() string {
	if p.noEndpoint != "" && !p.wrapperSends() || p.noSampler != "" || p.tracer {
		return startup.VLLMFlagOff
	}
	switch p.sel.Identity.Command.Site.Problem {
	case endpoint.NoProblem, endpoint.PlaceholderPresent:
		return p.sel.Settings.VLLMFlag
	}
	return startup.VLLMFlagOff
}
