// SPDX-License-Identifier: Apache-2.0

package vllm

import (
	"os"
	"path"
	"slices"
	"strings"
)

// dependency is a distribution that tracing needs, and what is imported from it: some when arguments are checked, the
// exporter's parts only when the first span is about to leave.
type dependency struct {
	name   string
	module string
}

var (
	core = []dependency{
		{"opentelemetry-api", "opentelemetry.trace"},
		{"opentelemetry-sdk", "opentelemetry.sdk"},
		{"opentelemetry-semantic-conventions", "opentelemetry.semconv"},
	}
	exporters = []dependency{
		{"opentelemetry-exporter-otlp-proto-common", "opentelemetry.exporter.otlp.proto.common"},
		{"opentelemetry-proto", "opentelemetry.proto"},
		{"protobuf", "google.protobuf"},
	}
	overHTTP = []dependency{
		{"opentelemetry-exporter-otlp-proto-http", "opentelemetry.exporter.otlp.proto.http.trace_exporter"},
		{"requests", "requests"},
	}
	overGRPC = []dependency{
		{"opentelemetry-exporter-otlp-proto-grpc", "opentelemetry.exporter.otlp.proto.grpc.trace_exporter"},
		{"grpcio", "grpc"}, {"googleapis-common-protos", "google.rpc"},
	}
	conventions = []dependency{{"opentelemetry-semantic-conventions-ai", "opentelemetry.semconv.ai"}}
)

// dependencies of a vLLM's tracing: from 0.16 on it imports both exporters, whichever it uses.
func dependencies(v version) []dependency {
	out := slices.Concat(core, exporters, overHTTP)
	if !v.before(16) {
		out = append(out, overGRPC...)
	}
	if v.before(7) {
		out = append(out, conventions...)
	}
	return out
}

// before tells whether a version's first two numbers are lower than 0.minor.
func (v version) before(minor int) bool {
	return compareRelease(truncated(v.release, 2), []int{0, minor}) < 0
}

// flagWorks tells whether request tracing can be asked for without harm. 0.8.0 to 0.10.1 fall back to the old engine
// for it, or refuse to start; before 0.5.1 the flag is unknown. (vllm#4687, vllm#20372)
func (v version) flagWorks() bool { return v.since(5, 1) && v.before(8) || v.since(10, 2) }

// tracesLoading tells whether vLLM has spans of its own for its start. (vllm#31162)
func (v version) tracesLoading() bool { return v.since(16, 0) }

// tracing is the version of the vLLM that would run, if all that its tracing needs is installed and agrees with each
// other by its own metadata. What contradicts itself may start and die at the first request: pip only warns of it.
func (s site) tracing(e environment) (v version, ok bool) {
	interpreter := s.interpreter
	if s.program != "" {
		interpreter = shebang(which(e, s.program))
	}
	dirs, python := importFolders(interpreter, e)
	if dirs == nil {
		return version{}, false
	}
	if s.module {
		dirs = append(folders{"."}, dirs...)
	}
	in := dirs.installed(python)
	if in == nil {
		return version{}, false
	}
	vllm := in.find("vllm")
	if vllm == nil || !in.provides("vllm", "vllm") {
		return version{}, false
	}
	var needed []requirement
	for _, d := range dependencies(vllm.version) {
		if !in.provides(d.name, d.module) {
			return version{}, false
		}
		needed = append(needed, requirement{name: d.name})
		for _, r := range vllm.requires {
			if r.name == d.name && r.applies(python, nil) {
				needed = append(needed, r)
			}
		}
	}
	return vllm.version, in.agrees(needed) && in.registered()
}

// registered tells whether OpenTelemetry's API has its entry points: without them it is importable and then finds no
// context to work with, because it looks that up by name among them.
func (in *installation) registered() bool {
	text, err := os.ReadFile(path.Join(in.find("opentelemetry-api").info, "entry_points.txt"))
	return err == nil && strings.Contains(string(text), "[opentelemetry_context]")
}
