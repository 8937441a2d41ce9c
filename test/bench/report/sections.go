// SPDX-License-Identifier: Apache-2.0

package main

const head = `# Benchmarks

Each table compares, within one run, what coldtrace does with what would be there without it or instead of it. The arms take
turns, so that other load falls on all of them alike; the ratios carry over to other machines, the absolute figures don't.
Nothing here is a threshold: ` + "`make bench`" + ` measures again and ` + "`make benchstat`" + ` compares that with these.

| | |
|---|---|
`

// sections are the document.
var sections = []section{
	{
		title: "What injection costs a pod's start",
		text: `
From Scheduled (the nanoseconds in the event's name) until the first instruction of the container's own command by its own
clock, on a real kubelet and containerd, images present. *Empty init* is a pod that has an init container which does nothing,
and no coldtrace: what any init container costs; *unused volume* is one that has an image volume which nobody uses. Medians in milliseconds.`,
		tables: []table{{
			pkg: "test/bench", bench: "PodStart", row: "pods at once", per: "pods",
			columns: []column{
				{head: "plain", unit: "plain-ms", slope: true},
				{head: "plain, 10th", unit: "plain-p10-ms"}, {head: "90th", unit: "plain-p90-ms"},
				{head: "image volume", unit: "image-volume-ms", slope: true},
				{head: "10th", unit: "image-volume-p10-ms"}, {head: "90th", unit: "image-volume-p90-ms"},
				{head: "**÷ plain**", unit: "x-plain"},
				{head: "unused volume", unit: "empty-volume-ms", slope: true}, {head: "**÷ unused volume**", unit: "x-empty-volume"},
				{head: "empty init", unit: "empty-init-ms", slope: true},
				{head: "init container", unit: "init-container-ms", slope: true},
				{head: "10th", unit: "init-container-p10-ms"}, {head: "90th", unit: "init-container-p90-ms"},
				{head: "**÷ empty init**", unit: "x-empty-init"},
			},
		}},
	},
	{
		title: "Admission",
		text: `
The whole HTTPS round trip of one admission review on controller-runtime's server. *Allow* is controller-runtime's handler
that only says allowed; *usual* decodes the pod, changes it, marshals it and compares, as most webhooks do. Processor time is
in microseconds for one review (or milliseconds for 1,000), client included; latencies are in microseconds.`,
		tables: []table{
			{
				pkg: "webhook", bench: "AdmissionRatios", row: "pod / clients", per: "env",
				columns: []column{
					{head: "review, bytes", unit: "body-bytes"}, {head: "patch, bytes", unit: "patch-bytes"},
					{head: "CPU: allow", unit: "allow-cpu-us", slope: true}, {head: "usual", unit: "usual-cpu-us", slope: true},
					{head: "coldtrace", unit: "inject-cpu-us", slope: true},
					{head: "**÷ allow**", unit: "x-allow"}, {head: "**usual ÷ coldtrace**", unit: "usual-x"},
					{head: "p50: allow", unit: "allow-p50-us"}, {head: "coldtrace", unit: "inject-p50-us"},
					{head: "p99: allow", unit: "allow-p99-us"}, {head: "coldtrace", unit: "inject-p99-us"},
				},
			},
			{
				pkg: "webhook", bench: "Admission", row: "handler alone",
				columns: []column{{head: "ns", unit: "ns/op"}, {head: "bytes", unit: "B/op"}, {head: "allocations", unit: "allocs/op"}},
			},
		},
	},
	{
		title: "Creating a pod",
		text: `
A create request against a real API server, by a client beside it, in milliseconds: where nothing watches, where a
MutatingAdmissionPolicy adds the same variables (it can do no more), and through the webhook.`,
		tables: []table{{
			pkg: "test/webhook", bench: "Create", row: "variables of the pod", per: "env",
			columns: []column{
				{head: "plain p50", unit: "plain-p50-ms", slope: true}, {head: "p99", unit: "plain-p99-ms"},
				{head: "policy p50", unit: "policy-p50-ms", slope: true}, {head: "p99", unit: "policy-p99-ms"},
				{head: "webhook p50", unit: "webhook-p50-ms", slope: true}, {head: "p99", unit: "webhook-p99-ms"},
				{head: "**policy adds**", unit: "policy-adds-ms"}, {head: "**webhook adds**", unit: "webhook-adds-ms"},
			},
		}},
	},
	{
		title: "Traces of coldtrace itself",
		text:  "One admission in the handler alone: without spans, as by default; with a share of 5 %; with all of them.",
		tables: []table{{
			pkg: "webhook", bench: "SelfTelemetry", row: "",
			columns: []column{{head: "ns", unit: "ns/op"}, {head: "bytes", unit: "B/op"}, {head: "allocations", unit: "allocs/op"}},
		}},
	},
	{
		title: "The wrapper",
		text: `
A command behind the wrapper, behind tini, behind dumb-init, behind the least supervisor that can be written in Go, and behind
nothing. *p10* is what a machine takes when it leaves them alone. Output: so many MiB at once; *observing* during a start, *told*
when it is over, *untold* when it is over and no collector has taken it yet; × is the part of what nothing reaches, by the
medians: tini and dumb-init, which never see the output, show how far the machine itself strays. A noisy start writes so many
lines a second; processor time is in percent of a core, memory is resident.`,
		tables: []table{
			{
				pkg: "cmd/coldtrace-wrapper", bench: "Exec", row: "a command that does nothing, ms; its environment", per: "env",
				columns: []column{
					{head: "nothing p10", unit: "p10-ms/nothing", slope: true}, {head: "tini", unit: "p10-ms/tini"}, {head: "dumb-init", unit: "p10-ms/dumb-init"},
					{head: "least Go supervisor", unit: "p10-ms/minimal", slope: true}, {head: "**wrapper**", unit: "p10-ms/wrapper", slope: true},
					{head: "nothing p50", unit: "p50-ms/nothing"}, {head: "tini", unit: "p50-ms/tini"}, {head: "dumb-init", unit: "p50-ms/dumb-init"},
					{head: "least Go supervisor", unit: "p50-ms/minimal"}, {head: "**wrapper**", unit: "p50-ms/wrapper"},
				},
			},
			{
				pkg: "cmd/coldtrace-wrapper", bench: "Output", row: "output", per: "MiB",
				columns: []column{
					{head: "nothing, ms", unit: "p50-ms/nothing", slope: true}, {head: "observing", unit: "p50-ms/observing", slope: true},
					{head: "told", unit: "p50-ms/told", slope: true},
					{head: "tini, ×", unit: "p50-x/tini"}, {head: "dumb-init, ×", unit: "p50-x/dumb-init"},
					{head: "**observing, ×**", unit: "p50-x/observing"}, {head: "**told, ×**", unit: "p50-x/told"}, {head: "untold, ×", unit: "p50-x/untold"},
					{head: "best turns: observing, ×", unit: "best-x/observing"}, {head: "told, ×", unit: "best-x/told"},
				},
			},
			{
				pkg: "cmd/coldtrace-wrapper", bench: "NoisyStart", row: "lines a second", per: "lines",
				columns: []column{
					{head: "supervisor, % of a core", unit: "%core/supervisor", slope: true}, {head: "observer", unit: "%core/observer", slope: true},
					{head: "after the start", unit: "%core/told"}, {head: "tini", unit: "%core/tini"}, {head: "dumb-init", unit: "%core/dumb-init"},
					{head: "supervisor, MB", unit: "MB/supervisor"}, {head: "observer", unit: "MB/observer"}, {head: "after the start", unit: "MB/told"},
					{head: "tini", unit: "MB/tini"}, {head: "dumb-init", unit: "MB/dumb-init"},
				},
			},
			{
				pkg: "cmd/coldtrace-wrapper", bench: "AfterReady", row: "30 s of a server that says nothing",
				columns: []column{{head: "processor time, µs", unit: "µs/30s"}, {head: "MB", unit: "MB"}},
			},
			{
				pkg: "wrapper/process", bench: "Watching", row: "watching processes", per: "processes",
				columns: []column{{head: "% of a core", unit: "%core", slope: true}},
			},
		},
	},
	{
		title: "Recipes",
		text: `
Reading the start-up logs of the tests: the recipe's reader, a line that says nothing, and a regular expression for each of the
recipe's texts. Below, one line of so many bytes: what is beyond the cap costs nothing.`,
		tables: []table{
			{
				pkg: "engine/recipe", bench: "Lines", row: "",
				columns: []column{{head: "lines a second", unit: "lines/s"}, {head: "ns a line", unit: "ns/op"}, {head: "allocations", unit: "allocs/op"}},
			},
			{
				pkg: "engine/recipe", bench: "Log", row: "a whole log", per: "lines",
				columns: []column{{head: "ms", unit: "ms/log", slope: true}},
			},
			{pkg: "engine/recipe", bench: "LineLength", row: "bytes", columns: []column{{head: "ns", unit: "ns/op"}, {head: "MB/s", unit: "MB/s"}}},
		},
	},
	{
		title: "The watcher",
		text: `
One process that watches so many pods which are long ready, and 2,000 more that start, with 500 events a second: coldtrace, and
typed informers with the same selectors that do nothing. Memory is the peak, the first list included; processor time is in
percent of a core while events come; lag is from a pod's scheduling until the receiver has the span.`,
		tables: []table{{
			pkg: "watch", bench: "Scale", row: "pods", per: "pods",
			columns: []column{
				{head: "coldtrace, MB", unit: "coldtrace-MB", slope: true}, {head: "informers, MB", unit: "informers-MB", slope: true},
				{head: "**÷ coldtrace**", unit: "x-less"},
				{head: "coldtrace, % of a core", unit: "coldtrace-%core"}, {head: "informers, % of a core", unit: "informers-%core"},
				{head: "lag p50, ms", unit: "lag-p50-ms"}, {head: "p99, ms", unit: "lag-p99-ms"},
			},
		}},
	},
}
