// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const tracesFlag = "--otlp-traces-endpoint"

// sitePackages are the folders that the interpreter imports from: PYTHONPATH, SIM_SITE_PACKAGES, those of a virtual
// environment and of the usual prefixes.
func sitePackages() []string {
	dirs := filepath.SplitList(os.Getenv("PYTHONPATH"))
	if set := os.Getenv("SIM_SITE_PACKAGES"); set != "" {
		return append(dirs, filepath.SplitList(set)...)
	}
	prefixes := []string{os.Getenv("VIRTUAL_ENV"), filepath.Dir(filepath.Dir(os.Args[0])), "/usr/local", "/usr", "/opt/venv"}
	for _, prefix := range prefixes {
		if !filepath.IsAbs(prefix) {
			continue
		}
		for _, kind := range []string{"dist-packages", "site-packages"} {
			found, err := filepath.Glob(filepath.Join(prefix, "lib", "python3*", kind))
			if err == nil { // the pattern is well formed
				dirs = append(dirs, found...)
			}
		}
	}
	return dirs
}

func importable(module string) bool {
	for _, dir := range sitePackages() {
		path := filepath.Join(dir, filepath.FromSlash(strings.ReplaceAll(module, ".", "/")))
		for _, name := range []string{path, path + ".py"} {
			if _, err := os.Stat(name); err == nil {
				return true
			}
		}
	}
	return false
}

var distInfo = regexp.MustCompile(`^vllm-([0-9][^-]*)\.dist-info$`)

// simulatedVersion is SIM_VERSION, else that of the vLLM in site-packages, else one of the middle.
func simulatedVersion() string {
	if v := os.Getenv("SIM_VERSION"); v != "" {
		return v
	}
	for _, dir := range sitePackages() {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // not every prefix exists
		}
		for _, e := range entries {
			if m := distInfo.FindStringSubmatch(e.Name()); m != nil {
				return m[1]
			}
		}
	}
	return "0.13.0"
}

// imports is what importing a module imports in its turn: one that lacks any of it is there, and can't be imported.
var imports = map[string][]string{
	"opentelemetry.sdk": {"opentelemetry.trace", "opentelemetry.semconv"},
	"opentelemetry.exporter.otlp.proto.grpc.trace_exporter": {
		"opentelemetry.exporter.otlp.proto.common", "opentelemetry.proto", "grpc", "google.protobuf", "google.rpc",
	},
	"opentelemetry.exporter.otlp.proto.http.trace_exporter": {
		"opentelemetry.exporter.otlp.proto.common", "opentelemetry.proto", "google.protobuf", "requests",
	},
}

// missing is the first module that importing one fails at, empty if it succeeds. The API looks for its context among the
// entry points of what is installed, so it needs its metadata.
func missing(module string) string {
	for _, m := range append(imports[module], module) {
		if !importable(m) {
			return m
		}
	}
	for _, dir := range sitePackages() {
		if found, err := filepath.Glob(filepath.Join(dir, "opentelemetry_api-*.dist-info")); err == nil && len(found) > 0 {
			return ""
		}
	}
	return "opentelemetry.context.contextvars_context"
}

// tracingCrash is what vLLM dies of if tracing is asked for and can't be had; nil if it can. What is checked first, and
// what only fails later, is as the version does it.
func tracingCrash(version string) []string {
	need := []string{"opentelemetry.sdk", "opentelemetry.trace"}
	exporters := []string{
		"opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
		"opentelemetry.exporter.otlp.proto.http.trace_exporter",
	}
	if older(version, "0.7") {
		need = append(need, "opentelemetry.semconv.ai")
	}
	if !older(version, "0.16") {
		need = append(need, exporters...)
	}
	for _, module := range need {
		if missing(module) != "" {
			return otelMissing(version)
		}
	}
	exporter := exporters[0]
	switch protocol := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"); protocol {
	case "", "grpc":
	case "http/protobuf":
		exporter = exporters[1]
	default:
		return []string{escape("ValueError: Unsupported OTLP protocol '" + protocol + "' is configured")}
	}
	if module := missing(exporter); module != "" {
		return []string{"ModuleNotFoundError: No module named '" + strings.TrimSuffix(module, ".trace_exporter") + "'"}
	}
	return nil
}

func otelMissing(version string) []string {
	if older(version, "0.5.5") {
		return []string{"ValueError: OpenTelemetry packages must be installed before configuring 'otlp_traces_endpoint'"}
	}
	return []string{
		"ValueError: OpenTelemetry is not available. Unable to configure 'otlp_traces_endpoint'. Ensure OpenTelemetry packages are installed. Original error:",
		"Traceback (most recent call last):",
		`  File "/usr/local/lib/python3.12/dist-packages/vllm/tracing.py", line 21, in <module>`,
		"    from opentelemetry.context.context import Context",
		"ModuleNotFoundError: No module named 'opentelemetry'",
	}
}
