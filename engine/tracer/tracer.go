// SPDX-License-Identifier: Apache-2.0

// Package tracer knows the signs of another tracer in a container. It imports nearly nothing: the wrapper asks it before
// the command starts.
package tracer

import (
	"slices"
	"strings"
)

// Signs of another tracer in a container. One that is there reads OpenTelemetry's variables too, or has set up what
// vLLM's own tracing would set up again: it is left alone with them. That a pod names Datadog's agent or service is no
// sign, for that is what metrics and logs need as well.
var (
	// programs are those that load one into the command behind them, by base name.
	programs = []string{
		"ddtrace-run", "opentelemetry-instrument", "newrelic-admin", "elasticapm-run", "splunk-py-trace", "splk-py-trace",
		"sf-py-trace", "appdynamics", "pyagent", "instana", "lumigo_wrapper", "logfire", "sentry-run", "hypertrace-instrument",
	}
	// loaders are variables that load something into every interpreter or process, with parts of a tracer's paths.
	loaders = []string{"PYTHONPATH", "LD_PRELOAD", "PYTHONSTARTUP"}
	paths   = []string{
		"ddtrace", "datadog", "otel", "opentelemetry", "newrelic", "elastic", "splunk", "signalfx", "appdynamics", "instana", "dynatrace", "oneagent",
		"odigos", "lumigo", "honeycomb", "dash0",
	}
	// switches are variables that only somebody sets who wants one.
	switches = []string{
		"DD_TRACE_OTEL_ENABLED", "DD_INSTRUMENT_SERVICE_WITH_APM", "DD_INJECTION_ENABLED", "DD_INJECT_FORCE", "AUTOWRAPT_BOOTSTRAP",
		"OTEL_PYTHON_CONFIGURATOR", "OTEL_PYTHON_DISTRO", "OTEL_PYTHON_TRACER_PROVIDER", "OTEL_TRACES_EXPORTER", "OTEL_INJECTOR_K8S_POD_NAME",
		"NEW_RELIC_CONFIG_FILE", "NEW_RELIC_LICENSE_KEY", "ELASTIC_APM_SERVER_URL", "SPLUNK_ACCESS_TOKEN", "APPDYNAMICS_AGENT_APPLICATION_NAME",
		"INSTANA_AGENT_KEY", "DT_TENANT", "LUMIGO_TRACER_TOKEN",
	}
	// annotations ask another webhook for one: a prefix and a part of what follows it.
	annotations = []struct{ prefix, part string }{
		{"instrumentation.opentelemetry.io/inject-", ""},
		{"admission.datadoghq.com/", "-lib."}, {"admission.datadoghq.com/", "apm-inject"},
		{"instrumentation.newrelic.com/", ""}, {"newrelic.com/inject", ""},
		{"co.elastic.apm/", ""}, {"oneagent.dynatrace.com/inject", ""}, {"odigos.io/", ""}, {"instana-autotrace", ""}, {"lumigo.auto-trace", ""},
		{"appdynamics", "inject"}, {"dash0.com/", ""},
	}
)

// off are values of a switch that say no.
var off = map[string]bool{"": true, "0": true, "false": true, "no": true, "none": true, "off": true}

// InCommand tells whether a word of a command, or of a shell string in it, is a program that loads a tracer.
func InCommand(words []string) bool {
	for _, w := range words {
		for _, t := range programs {
			if at := strings.Index(w, t); at >= 0 && ends(w, at) && ends(w, at+len(t)+1) {
				return true
			}
		}
	}
	return false
}

// ends tells whether the byte before an offset ends or begins a program's name.
func ends(s string, at int) bool {
	return at == 0 || at > len(s) || strings.IndexByte(" \t\n;&|(){}\"'`/", s[at-1]) >= 0
}

// Variable tells whether a variable loads or asks for a tracer.
func Variable(name, value string) bool {
	if slices.Contains(loaders, name) {
		return slices.ContainsFunc(paths, func(p string) bool { return strings.Contains(strings.ToLower(value), p) })
	}
	return slices.Contains(switches, name) && !off[strings.ToLower(value)]
}

// Annotation tells whether a pod's annotation asks for a tracer.
func Annotation(key, value string) bool {
	for _, a := range annotations {
		if rest, ok := strings.CutPrefix(key, a.prefix); ok && strings.Contains(rest, a.part) {
			return !off[strings.ToLower(value)]
		}
	}
	return false
}
