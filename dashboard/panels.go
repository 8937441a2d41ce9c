// SPDX-License-Identifier: Apache-2.0

package dashboard

import "github.com/coldtrace/coldtrace/startup"

// Rows are the dashboard.
func Rows() []Row {
	return []Row{now(), starts(), groups(), failures(), parts(), health()}
}

func phase(name string) []Match { return []Match{{Label: startup.LabelPhase, Value: name}} }

// succeeded leaves out failures, which would spoil a percentile: some fail at once, some after an hour.
func succeeded(name string) []Match {
	return append(phase(name), Match{Label: startup.AttrReason, Value: ""})
}

func percentiles(metric string, where []Match, by ...string) []Query {
	return []Query{
		{Metric: metric, Stat: P50, Where: where, By: by, Name: "p50"},
		{Metric: metric, Stat: P95, Where: where, By: by, Name: "p95"},
	}
}

// now is what goes on: whoever opens the dashboard in trouble looks for that.
func now() Row {
	return Row{Title: "Now", Panels: []Panel{
		{
			Title: "Starts going on", Unit: Count, Shape: Stack, Help: "By the phase that they are in.",
			Queries: []Query{{Metric: "coldtrace_watch_starts_in_flight", Stat: Max, By: []string{"phase"}}},
		},
		{
			Title: "Oldest start going on", Unit: Seconds, Help: "Its age, by the phase that it is in.",
			Queries: []Query{{Metric: "coldtrace_watch_oldest_start_seconds", Stat: Max, By: []string{"phase"}}},
		},
		{
			Title: "Failures", Unit: Count, Shape: Stack, Help: "Attempts that failed, and starts that failed without one. Deletions are none.",
			Queries: []Query{{Metric: "coldtrace_watch_failures_total", Stat: Increase, By: []string{"endpoint_name", "reason", "cause"}}},
		},
		{
			Title: "Starts", Unit: Count, Shape: Stack, Help: "Starts that ended, by outcome.",
			Queries: []Query{{Metric: "coldtrace_watch_starts_total", Stat: Increase, By: []string{"outcome"}}},
		},
		{Title: "Phases that go on for long", Spans: &Spans{Name: startup.SpanInProgress}},
	}}
}

// covered are the phases whose time others tell: what holds several, and the parts of what is one. Without them each second
// is in one phase.
var covered = []string{
	startup.SpanPodStartup, startup.SpanPodReady, startup.SpanStartup,
	"vllm_init", "sglang_init", "tgi_init", "tensorrt_llm_init", "lightllm_init", "lmdeploy_init", "llama_cpp_init",
	startup.SpanSchedulingGated, startup.SpanNodeProvisioning, startup.SpanImagePullQueued,
	startup.SpanWeightsLoad, startup.SpanHFDownload, "encoder_profiling",
}

func starts() Row {
	whole := []Match{{Label: startup.AttrOutcome, Value: startup.OutcomeReady}}
	var panels []Panel
	for _, by := range []struct{ title, label string }{
		{"model", startup.AttrModelName}, {"GPU type", startup.AttrGPUType}, {"region", startup.AttrRegion},
	} {
		panels = append(panels, Panel{
			Title: "Start by " + by.title, Unit: Seconds,
			Help:    "From the pod's creation until it is ready, failed attempts included. Pods that nothing probes are not among them: nobody told Kubernetes when they served.",
			Queries: percentiles(startup.MetricTotalDuration, whole, by.label),
		})
	}
	succeeded := []Match{{Label: startup.AttrReason, Value: ""}}
	for _, name := range covered {
		succeeded = append(succeeded, Match{Label: startup.LabelPhase, Not: true, Value: name})
	}
	return Row{Title: "Starts", Panels: append(panels,
		Panel{
			Title: "Where the time goes", Unit: Seconds, Shape: Stack,
			Help: "Seconds of each phase for each pod that was started. No phase lies within another here, so they add up; " +
				"hf_download is part of model_load.",
			Queries: []Query{{
				Metric: startup.MetricPhaseDuration, Stat: Share, By: []string{startup.LabelPhase}, Where: succeeded, Per: phase(startup.SpanPodStartup),
			}},
		},
		Panel{
			Title: "Costliest phases", Unit: Seconds, Shape: Top,
			Help: "Seconds of a phase for each pod that was started, by endpoint: what is worth a change.",
			Queries: []Query{{
				Metric: startup.MetricPhaseDuration, Stat: Share, By: []string{startup.AttrEndpointName, startup.LabelPhase}, Where: succeeded, Per: phase(startup.SpanPodStartup),
			}},
		},
		Panel{
			Title: "Slower than the week before", Unit: Ratio, Shape: Top,
			Help:    "By what part the median from creation to ready differs from that of as long a time a week before.",
			Queries: []Query{{Metric: startup.MetricTotalDuration, Stat: Change, Where: whole, By: []string{startup.AttrEndpointName}}},
		},
		Panel{
			Title: "Slowest endpoints", Unit: Seconds, Shape: Top,
			Help:    "The 95th percentile from creation to ready.",
			Queries: []Query{{Metric: startup.MetricTotalDuration, Stat: P95, Where: whole, By: []string{startup.AttrEndpointName}}},
		},
		Panel{
			Title: "Attempts of starts that succeeded", Unit: Count, Shape: Stack, Help: "How often the endpoint's container was started.",
			Queries: []Query{{Metric: startup.MetricTotalDuration, Stat: Recorded, Where: whole, By: []string{startup.LabelAttempts}}},
		},
	)}
}

// groups are pods that start as one.
func groups() Row {
	return Row{Title: "Pods that start as one", Panels: []Panel{
		{
			Title: "Start of a group", Unit: Seconds,
			Help:    "From the creation of its first pod until its leader, and whoever else of it serves, is ready.",
			Queries: percentiles(startup.MetricGroupDuration, []Match{{Label: startup.AttrOutcome, Value: startup.OutcomeReady}}, startup.AttrEndpointName, startup.LabelGroupSize),
		},
		{
			Title: "Held up by the last pod", Unit: Seconds,
			Help:    "How much later the last pod of a group was than the median of the others, by the phase in which it lost most of that.",
			Queries: percentiles(startup.MetricGroupStraggler, nil, startup.AttrEndpointName, startup.LabelPhase),
		},
	}}
}

func parts() Row {
	return Row{Title: "Parts of a start", Panels: []Panel{
		{
			Title: "Download throughput", Unit: MegabytesPerSecond,
			Help:    "Of weights, by the download's own process.",
			Queries: percentiles(startup.MetricDownloadThroughput, nil, startup.AttrEndpointName),
		},
		{
			Title: "Download", Unit: Seconds,
			Queries: percentiles(startup.MetricDownloadDuration, nil, startup.AttrEndpointName),
		},
		{
			Title: "Image pull by tag", Unit: Seconds, Help: "Images that were present count, too, with almost nothing.",
			Queries: percentiles(startup.MetricImagePullDuration, nil, startup.AttrImageTag),
		},
		{
			Title: "vLLM's initialisation", Unit: Seconds,
			Queries: percentiles(startup.MetricVLLMInitDuration, nil, startup.AttrModelName, startup.AttrGPUType),
		},
		{
			Title: "Waiting for a node", Unit: Seconds,
			Queries: percentiles(startup.MetricPodPendingDuration, nil, startup.AttrEndpointName),
		},
		{
			Title: "In the container", Unit: Seconds, Help: "From the container's first process until the server answers, of starts that succeeded.",
			Queries: percentiles(startup.MetricPhaseDuration, succeeded(startup.SpanStartup), startup.AttrEndpointName),
		},
	}}
}

func failures() Row {
	failed := []Match{{Label: startup.AttrReason, Not: true, Value: ""}}
	return Row{Title: "Failures", Panels: []Panel{
		{
			Title: "Failed phases by reason", Unit: Count, Shape: Stack,
			Queries: []Query{{
				Metric: startup.MetricPhaseDuration, Stat: Recorded, Where: failed, By: []string{startup.LabelPhase, startup.AttrReason},
			}},
		},
		{
			Title: "Endpoints that fail", Unit: Count, Shape: Top,
			Help: "With what the log says where it may be read, else with what Kubernetes says of the pod: what the engine said is then with the phase startup in the panel before.",
			Queries: []Query{{
				Metric: startup.MetricTotalDuration, Stat: Recorded, By: []string{startup.AttrEndpointName, startup.AttrReason},
				Where: append([]Match{{Label: startup.AttrOutcome, Not: true, Value: startup.OutcomeDeleted}}, failed...),
			}},
		},
		{Title: "Failed starts", Spans: &Spans{Name: startup.SpanPodStartup, Failed: true}},
	}}
}

func health() Row {
	counter := func(metric string, by ...string) []Query { return []Query{{Metric: metric, Stat: Increase, By: by}} }
	return Row{Title: "coldtrace itself", Panels: []Panel{
		{
			Title: "Admissions", Unit: Count, Shape: Stack, Help: "Pods decided about, by outcome and first reason.",
			Queries: counter("coldtrace_admission_decisions_total", "outcome", "reason"),
		},
		{
			Title: "Admission latency", Unit: Seconds, Help: "From the request's header to the answer.",
			Queries: []Query{
				{Metric: "coldtrace_admission_duration_seconds", Stat: P50, Name: "p50"},
				{Metric: "coldtrace_admission_duration_seconds", Stat: P99, Name: "p99"},
			},
		},
		{
			Title: "Certificate's remaining time", Unit: Seconds,
			Queries: []Query{{Metric: "coldtrace_certificate_expiry_timestamp_seconds", Stat: Until, Name: "expires in"}},
		},
		{
			Title: "Spans by what became of them", Unit: Count, Shape: Stack, Help: "Of the watcher. Dropped and refused ones are lost.",
			Queries: counter("coldtrace_watch_spans_total", "result"),
		},
		{
			Title: "Lag", Unit: Seconds, Help: "From the end of a phase until the receiver has its span.",
			Queries: []Query{
				{Metric: "coldtrace_watch_lag_seconds", Stat: P50, Name: "p50"},
				{Metric: "coldtrace_watch_lag_seconds", Stat: P99, Name: "p99"},
			},
		},
		{
			Title: "Trouble", Unit: Count, Help: "All of them stay at nothing in a cluster that is well.",
			Queries: []Query{
				{Metric: "coldtrace_watch_export_retries_total", Stat: Increase, Name: "exports tried again"},
				{Metric: "coldtrace_watch_rederived_total", Stat: Increase, Name: "starts read again"},
				{Metric: "coldtrace_watch_api_errors_total", Stat: Increase, Name: "API errors", By: []string{"resource", "verb"}},
				{Metric: "coldtrace_breaker_open_owners", Stat: Max, Name: "owners without the wrapper"},
			},
		},
		{
			Title: "Checkpoint", Unit: Bytes, Help: "A ConfigMap can hold 1 MiB.",
			Queries: []Query{{Metric: "coldtrace_watch_checkpoint_bytes", Stat: Max, Name: "size"}},
		},
	}}
}
