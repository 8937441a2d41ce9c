// SPDX-License-Identifier: Apache-2.0

package vllm

import (
	"slices"
	"strings"

	"github.com/coldtrace/coldtrace/startup/otlpurl"
)

// Modes of the flag, the values of COLDTRACE_VLLM_FLAG.
const auto = "auto"

// Names of OpenTelemetry's environment that vLLM reads.
const (
	envEndpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envProtocol       = "OTEL_EXPORTER_OTLP_PROTOCOL"
	envTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	envTracesProtocol = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
)

// Plan is what a command that starts vLLM gets. The zero value is nothing.
type Plan struct {
	Argv   []string
	Env    []string
	Flag   bool // requests will be traced
	Traced bool // vLLM will send spans of its start
}

// Prepare looks at the vLLM that a command would start and asks it for what it can do: for request tracing by its flag
// if mode is auto and the installation has all that the flag needs, else for spans of its start by environment alone,
// as children of traceparent.
//
// Both at once is not possible: with the flag, vLLM makes each request without a traceparent of its own a child of the
// environment's, for the pod's life (facts: otel.py's _get_smart_context).
func Prepare(argv, env []string, mode, traceparent string) Plan {
	p := Plan{Argv: argv, Env: env}
	e := environment(env)
	if flagged(argv, env) {
		return p
	}
	where, ok := locate(argv)
	if !ok {
		return p
	}
	interpreter := where.interpreter
	if where.program != "" {
		interpreter = shebang(e.which(where.program))
	}
	dirs := importFolders(interpreter, e)
	if where.module {
		dirs = append(folders{"."}, dirs...)
	}
	v, ok := dirs.version()
	if !ok || len(dirs) == 0 {
		return p
	}
	endpoint, protocol, ok := destination(e)
	if !ok || !dirs.described() || slices.ContainsFunc(v.needs(protocol), func(m string) bool { return !dirs.has(m) }) {
		return p
	}
	switch {
	case mode == auto && v.flagWorks() && visible(argv) && (where.argument >= 0 || where.after < len(argv)):
		p.give(where, Flag+"="+endpoint)
	case v.tracesLoading() && traceparent != "" && !e.has("TRACEPARENT") && !e.has("traceparent") && visible(argv):
		p.Traced = true
		p.set("TRACEPARENT", traceparent)
		p.set("traceparent", traceparent)
		if !e.has(envTracesEndpoint) {
			p.set(envTracesEndpoint, endpoint)
		}
	default:
		return p
	}
	if protocol != "grpc" && !e.has(envTracesProtocol) {
		p.set(envTracesProtocol, protocol)
	}
	return p
}

// flagged tells whether somebody has asked for request tracing already, in sight or in a variable.
func flagged(argv, env []string) bool {
	has := func(s string) bool { return strings.Contains(s, Flag) || strings.Contains(s, "otlp_traces_endpoint") }
	return slices.ContainsFunc(argv, has) || slices.ContainsFunc(env, has)
}

// visible tells whether all of vLLM's arguments are in sight: a file of arguments may ask for request tracing. And with one
// vLLM takes the word after serve for the model, so that the flag cannot stand there.
func visible(argv []string) bool {
	return !slices.ContainsFunc(argv, func(a string) bool { return strings.Contains(a, "--config") })
}

// destination is where vLLM is to send spans, in its own terms: it reads no generic protocol, and takes an HTTP URL as
// it is.
func destination(e environment) (endpoint, protocol string, ok bool) {
	u, err := otlpurl.Parse(e.get(envEndpoint), false)
	if err != nil || u.User {
		return "", "", false
	}
	protocol = e.get(envTracesProtocol)
	if protocol == "" {
		if protocol = e.get(envProtocol); protocol == "" || protocol == "http/json" {
			protocol = "grpc"
			if u.Port == "4318" || e.get(envProtocol) != "" {
				protocol = "http/protobuf"
			}
		}
	}
	switch protocol {
	case "grpc":
		u.Path = ""
	case "http/protobuf":
		if !strings.HasSuffix(u.Path, "/v1/traces") {
			u.Path = strings.TrimSuffix(u.Path, "/") + "/v1/traces"
		}
	default: // vLLM would refuse to start
		return "", "", false
	}
	return u.String(), protocol, true
}

// give hands the flag over: into the arguments, or by the variable that the shell string refers to.
func (p *Plan) give(where located, flag string) {
	p.Flag = true
	if where.argument >= 0 {
		p.set(Args, flag)
		return
	}
	p.Argv = slices.Insert(slices.Clone(p.Argv), where.after+1, flag)
}

// set replaces or adds a variable.
func (p *Plan) set(name, value string) {
	p.Env = slices.DeleteFunc(slices.Clone(p.Env), func(e string) bool { return strings.HasPrefix(e, name+"=") })
	p.Env = append(p.Env, name+"="+value)
}
