{{- /* A path, or its beginning and a *, as a regular expression for what spans call it: a path, a target, a URL, "GET /path". */}}
{{- define "coldtrace.routeRegexp" -}}
^(?:[A-Z]+ |https?://[^/]+)?
{{- if hasSuffix "*" . }}{{ trimSuffix "*" . | regexQuoteMeta }}{{ else }}{{ regexQuoteMeta . }}/?(?:[?#]|$){{ end }}
{{- end }}

{{- /* What is written on spans before any pipeline looks at them. */}}
{{- define "coldtrace.collectorStatements" -}}
{{- /* vLLM's own loading spans know no sampling.priority; they belong to the startup trace, which is kept. */}}
{{- $statements := list `set(span.attributes["sampling.priority"], 2) where span.attributes["sampling.priority"] == nil and span.attributes["gen_ai.request.id"] == nil and span.attributes["code.namespace"] != nil and IsMatch(span.attributes["code.namespace"], "^vllm([.]|$$)")` }}
{{- if and .enabled .routes }}
{{- $statements = append $statements `set(span.cache["path"], span.name)` }}
{{- range list "http.route" "url.full" "http.url" "http.target" "url.path" }}
{{- $statements = append $statements (printf `set(span.cache["path"], span.attributes[%q]) where span.attributes[%q] != nil` . .) }}
{{- end }}
{{- range .routes }}
{{- $statements = append $statements (printf `set(span.attributes["coldtrace.route"], %q) where span.attributes["coldtrace.route"] == nil and span.attributes["sampling.priority"] == nil and IsMatch(span.cache["path"], %q)` .path (include "coldtrace.routeRegexp" .path | replace "$" "$$")) }}
{{- end }}
{{- end }}
{{- /* The collector reads $ as the start of a variable, $$ as itself. */}}
{{- toJson $statements }}
{{- end }}

{{- /* Which traces are kept: one policy for errors, one for each route with a share, one for the rest. */}}
{{- define "coldtrace.samplingPolicies" -}}
{{- $policies := list (dict "name" "errors" "type" "status_code" "status_code" (dict "status_codes" (list "ERROR"))) }}
{{- $listed := list }}
{{- range .routes }}
{{- $listed = append $listed .path }}
{{- if gt (float64 .keepPercent) 0.0 }}
{{- $policies = append $policies (dict "name" .path "type" "and" "and" (dict "and_sub_policy" (list
  (dict "name" "route" "type" "string_attribute" "string_attribute" (dict "key" "coldtrace.route" "values" (list .path)))
  (dict "name" "share" "type" "probabilistic" "probabilistic" (dict "sampling_percentage" .keepPercent))))) }}
{{- end }}
{{- end }}
{{- $share := dict "name" "share" "type" "probabilistic" "probabilistic" (dict "sampling_percentage" .keepPercent) }}
{{- if $listed }}
{{- $policies = append $policies (dict "name" "rest" "type" "and" "and" (dict "and_sub_policy" (list
  (dict "name" "unlisted" "type" "not" "not" (dict "not_sub_policy"
    (dict "name" "listed" "type" "string_attribute" "string_attribute" (dict "key" "coldtrace.route" "values" $listed))))
  $share))) }}
{{- else }}{{ $policies = append $policies (set $share "name" "rest") }}
{{- end }}
{{- toYaml $policies }}
{{- end }}

{{- /* The collector's configuration. */}}
{{- define "coldtrace.collectorConfig" -}}
{{- $exporters := deepCopy .Values.collector.exporters }}
{{- if .Values.collector.datadog.enabled }}
{{- /* The node's name, or every collector would be a host of its own; the node's own agent reports the host. */}}
{{- $_ := set $exporters "datadog" (dict
  "api" (dict "key" "${env:DD_API_KEY}" "site" .Values.collector.datadog.site)
  "hostname" "${env:K8S_NODE_NAME}"
  "host_metadata" (dict "enabled" false)
  "traces" (dict "span_name_as_resource_name" true)
  "metrics" (dict "histograms" (dict "mode" "distributions"))) }}
{{- end }}
{{- if not $exporters }}{{ $_ := set $exporters "debug" dict }}{{ end }}
{{- $names := keys $exporters | sortAlpha }}
{{- $volume := .Values.traceVolume -}}
receivers:
  otlp:
    protocols:
      grpc: {endpoint: ":4317"}
      http: {endpoint: ":4318"}
processors:
  memory_limiter: {check_interval: 1s, limit_percentage: 80, spike_limit_percentage: 20}
  batch: {timeout: 10s}
  transform/mark:
    error_mode: ignore
    trace_statements:
      {{- range include "coldtrace.collectorStatements" $volume | fromJsonArray }}
      - {{ toJson . }}
      {{- end }}
  # sampling.priority of 0 and below asks to be dropped: annotation coldtrace.io/startup-traces: drop. Metrics are not affected.
  filter/startup:
    error_mode: ignore
    traces:
      span:
        {{- if $volume.enabled }}
        - span.attributes["sampling.priority"] == nil
        {{- end }}
        - span.attributes["sampling.priority"] != nil and span.attributes["sampling.priority"] <= 0
  {{- if $volume.enabled }}
  filter/requests:
    error_mode: ignore
    traces:
      span:
        - span.attributes["sampling.priority"] != nil
  # Whole traces, as far as this node sees them: by trace id, so that all nodes decide alike.
  tail_sampling:
    decision_wait: {{ $volume.decisionWait }}
    num_traces: {{ int64 $volume.maxTraces }}
    # Spans that come after the decision follow it.
    decision_cache: {sampled_cache_size: {{ int64 $volume.maxTraces }}, non_sampled_cache_size: {{ int64 $volume.maxTraces }}}
    policies:
      {{- include "coldtrace.samplingPolicies" $volume | nindent 6 }}
connectors:
  forward: {}
  # Every span counts, before any is dropped. The node's name tells the collectors' series apart.
  spanmetrics:
    histogram: {unit: s, exponential: {}}
    aggregation_temporality: AGGREGATION_TEMPORALITY_DELTA
    aggregation_cardinality_limit: 5000
    metrics_flush_interval: 15s
    dimensions:
      - {name: coldtrace.route}
      - {name: http.route}
      - {name: http.response.status_code}
      - {name: http.status_code}
  {{- end }}
exporters: {{- toYaml $exporters | nindent 2 }}
extensions:
  health_check: {endpoint: ":13133"}
service:
  extensions: [health_check]
  telemetry:
    resource: {service.instance.id: "${env:K8S_NODE_NAME}"}
  pipelines:
    {{- if $volume.enabled }}
    traces/in:
      receivers: [otlp]
      processors: [memory_limiter, transform/mark]
      exporters: [spanmetrics, forward]
    traces/startup:
      receivers: [forward]
      processors: [filter/startup, batch]
      exporters: {{ toJson $names }}
    traces/requests:
      receivers: [forward]
      processors: [filter/requests, tail_sampling, batch]
      exporters: {{ toJson $names }}
    {{- else }}
    traces:
      receivers: [otlp]
      processors: [memory_limiter, transform/mark, filter/startup, batch]
      exporters: {{ toJson $names }}
    {{- end }}
    metrics:
      receivers: [otlp{{ if $volume.enabled }}, spanmetrics{{ end }}]
      processors: [memory_limiter, batch]
      exporters: {{ toJson $names }}
{{- end }}
