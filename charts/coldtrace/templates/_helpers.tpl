{{- define "coldtrace.name" -}}
{{- if contains "coldtrace" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-coldtrace" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "coldtrace.selector" -}}
app.kubernetes.io/name: coldtrace
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "coldtrace.labels" -}}
{{ include "coldtrace.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* Cluster-wide objects carry the namespace, so that two releases of one name do not meet. */}}
{{- define "coldtrace.clusterName" -}}
{{ printf "%s-%s" .Release.Namespace (include "coldtrace.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "coldtrace.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "coldtrace.otlpEndpoint" -}}
{{- if .Values.otlp.endpoint }}{{ .Values.otlp.endpoint }}
{{- else if .Values.collector.enabled }}http://{{ include "coldtrace.name" . }}-collector.{{ .Release.Namespace }}:{{ eq .Values.otlp.protocol "grpc" | ternary 4317 4318 }}
{{- end }}
{{- end }}

{{- define "coldtrace.policy" -}}
{{- $wrapper := dict "image" (.Values.wrapper.image | default (printf "ghcr.io/coldtrace/coldtrace-wrapper:%s" .Chart.AppVersion)) }}
{{- $policy := dict
  "clusterName" .Values.clusterName
  "region" .Values.region
  "otlp" (dict "endpoint" (include "coldtrace.otlpEndpoint" .) "protocol" .Values.otlp.protocol)
  "wrapper" $wrapper }}
{{- toYaml (mergeOverwrite $policy (deepCopy .Values.policy)) }}
{{- end }}

{{- /* One CEL expression: a container asks for one of the resources. */}}
{{- define "coldtrace.gpuCEL" -}}
{{- $tests := list }}
{{- range .Values.policy.selection.gpuResources }}
{{- if hasSuffix "*" . }}{{ $tests = append $tests (printf "r.startsWith('%s')" (trimSuffix "*" .)) }}
{{- else }}{{ $tests = append $tests (printf "r == '%s'" .) }}{{ end }}
{{- end -}}
has(object.spec.resourceClaims) || object.spec.containers.exists(c, has(c.resources) && has(c.resources.limits) && c.resources.limits.exists(r, {{ join " || " $tests }}))
{{- end }}

{{- /* The collector's configuration. */}}
{{- define "coldtrace.collectorConfig" -}}
{{- $exporters := deepCopy .Values.collector.exporters }}
{{- if .Values.collector.datadog.enabled }}
{{- $_ := set $exporters "datadog" (dict
  "api" (dict "key" "${env:DD_API_KEY}" "site" .Values.collector.datadog.site)
  "traces" (dict "span_name_as_resource_name" true)
  "metrics" (dict "histograms" (dict "mode" "distributions"))) }}
{{- end }}
{{- if not $exporters }}{{ $_ := set $exporters "debug" dict }}{{ end }}
{{- $names := keys $exporters | sortAlpha }}
{{- $volume := .Values.traceVolume.enabled -}}
receivers:
  otlp:
    protocols:
      grpc: {endpoint: ":4317"}
      http: {endpoint: ":4318"}
processors:
  memory_limiter: {check_interval: 1s, limit_percentage: 80, spike_limit_percentage: 20}
  batch: {timeout: 10s}
  {{- if $volume }}
  # Startup spans carry sampling.priority and errors their status: neither is dropped.
  filter/routes:
    error_mode: ignore
    traces:
      span:
        {{- range .Values.traceVolume.dropRoutes }}
        {{- $route := . }}
        {{- range list "url.path" "http.target" "http.route" }}
        - attributes["sampling.priority"] == nil and status.code != STATUS_CODE_ERROR and attributes[{{ . | quote }}] != nil and IsMatch(attributes[{{ . | quote }}], {{ $route | quote }})
        {{- end }}
        {{- end }}
  transform/keep_errors:
    error_mode: ignore
    trace_statements:
      - context: span
        statements:
          - set(attributes["sampling.priority"], 2) where status.code == STATUS_CODE_ERROR and attributes["sampling.priority"] == nil
  # By trace id, so that a trace is kept or dropped as a whole; it heeds sampling.priority.
  probabilistic_sampler: {sampling_percentage: {{ .Values.traceVolume.keepPercent }}}
  {{- end }}
connectors:
  {{- if $volume }}
  spanmetrics:
    histogram: {exponential: {}}
    aggregation_temporality: AGGREGATION_TEMPORALITY_DELTA
    dimensions: [{name: http.route}, {name: http.response.status_code}]
  forward: {}
  {{- else }} {}
  {{- end }}
exporters: {{- toYaml $exporters | nindent 2 }}
extensions:
  health_check: {endpoint: ":13133"}
service:
  extensions: [health_check]
  pipelines:
    {{- if $volume }}
    traces/in:
      receivers: [otlp]
      processors: [memory_limiter]
      exporters: [spanmetrics, forward]
    traces:
      receivers: [forward]
      processors: [filter/routes, transform/keep_errors, probabilistic_sampler, batch]
      exporters: {{ toJson $names }}
    metrics:
      receivers: [otlp, spanmetrics]
      processors: [memory_limiter, batch]
      exporters: {{ toJson $names }}
    {{- else }}
    traces:
      receivers: [otlp]
      processors: [memory_limiter, batch]
      exporters: {{ toJson $names }}
    metrics:
      receivers: [otlp]
      processors: [memory_limiter, batch]
      exporters: {{ toJson $names }}
    {{- end }}
{{- end }}
