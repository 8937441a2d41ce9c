// SPDX-License-Identifier: Apache-2.0

package vllm

import (
	"slices"
	"strings"

	"github.com/coldtrace/coldtrace/engine/server"
	"github.com/coldtrace/coldtrace/startup"
)

// Names of OpenTelemetry's environment that vLLM reads.
const (
	envTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	envTracesProtocol = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	envService        = "OTEL_SERVICE_NAME"
	envAttributes     = "OTEL_RESOURCE_ATTRIBUTES"
)

// Offer is what vLLM can be given.
type Offer struct {
	Mode        string // of the flag
	Endpoint    string // where its spans go, as an HTTP URL with its path; empty: nowhere
	Traceparent string // what the spans of its loading belong to; empty: they are not wanted
	Sampler     string // of the request spans; empty: whatever the environment says
	SamplerArg  string // empty: none
	Attributes  string // of the resource, encoded
}

// Plan is what a command that starts vLLM gets.
type Plan struct {
	Argv []string
	Env  []string
	Flag bool // requests will be traced
	Load bool // vLLM will send spans of its loading
}

// Prepare looks at the vLLM that a command would start and asks it for what it can do: for request tracing by its flag
// if the mode is auto and the installation has all that the flag needs, else for spans of its loading by environment alone.
//
// Both at once is not possible: with the flag, vLLM makes each request without a traceparent of its own a child of the
// environment's, for the pod's life (facts: otel.py's _get_smart_context).
func Prepare(argv, env []string, o Offer) Plan {
	p := Plan{Argv: argv, Env: env}
	where, ok := find(argv)
	e := slices.Concat(where.assigned, env)
	if !ok || traced(argv, e) {
		return p
	}
	if flagged(argv, env) {
		if o.Mode == startup.VLLMFlagAlways { // it is ours
			p.sample(o)
		}
		return p
	}
	if o.Endpoint == "" || !visible(argv) || !local(e, o.Endpoint) {
		return p
	}
	v, ok := where.tracing(e)
	if !ok {
		return p
	}
	own := e.Has(envTracesEndpoint)
	other := slices.ContainsFunc(argv[where.after:], server.OtherParser) || e.Has(server.Rust) && server.RustFrontEnd(e.Get(server.Rust))
	switch {
	case e.Has(envTracesProtocol) && e.Get(envTracesProtocol) != startup.ProtocolHTTP && !own:
	case o.Mode == startup.VLLMFlagAuto && v.flagWorks() && !own && !other:
		p.Flag = true
		p.sample(o)
		p.Argv = slices.Insert(slices.Clone(argv), where.after+1, startup.VLLMTracesFlag+"="+o.Endpoint)
		p.set(envTracesProtocol, startup.ProtocolHTTP)
	case v.tracesLoading() && o.Traceparent != "" && !e.Has("TRACEPARENT") && !e.Has("traceparent"):
		p.Load = true
		p.describe(o)
		p.set("TRACEPARENT", o.Traceparent)
		p.set("traceparent", o.Traceparent)
		if !own {
			p.set(envTracesEndpoint, o.Endpoint)
			p.set(envTracesProtocol, startup.ProtocolHTTP)
		}
	}
	return p
}

// sample says how request spans are sampled: both variables or none, since a ratio of ours beside a sampler of the
// user's would change the user's.
func (p *Plan) sample(o Offer) {
	p.describe(o)
	if e := environment(p.Env); o.Sampler == "" || e.Has(startup.EnvSampler) || e.Has(startup.EnvSamplerArg) {
		return
	}
	p.set(startup.EnvSampler, o.Sampler)
	if o.SamplerArg != "" {
		p.set(startup.EnvSamplerArg, o.SamplerArg)
	}
}

// describe says whose spans these are, where nobody has.
func (p *Plan) describe(o Offer) {
	e := environment(p.Env)
	if !e.Has(envService) && !strings.Contains(e.Get(envAttributes), "service.name=") {
		p.set(envService, "vllm")
	}
	if !e.Has(envAttributes) && o.Attributes != "" {
		p.set(envAttributes, o.Attributes)
	}
}

// local tells whether Python would ask our end of the line itself and not a proxy.
func local(e environment, endpoint string) bool {
	for _, name := range []string{"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"} {
		if e.Get(name) == "" {
			continue
		}
		_, host, _ := strings.Cut(endpoint, "://")
		host, _, _ = strings.Cut(host, ":")
		direct := e.Get("no_proxy")
		if !e.Has("no_proxy") {
			direct = e.Get("NO_PROXY")
		}
		return slices.ContainsFunc(strings.Split(direct, ","), func(d string) bool {
			d = strings.TrimSpace(d)
			return d == host || d == "*"
		})
	}
	return true
}

// set replaces or adds a variable.
func (p *Plan) set(name, value string) {
	p.Env = slices.DeleteFunc(slices.Clone(p.Env), func(e string) bool { return strings.HasPrefix(e, name+"=") })
	p.Env = append(p.Env, name+"="+value)
}
