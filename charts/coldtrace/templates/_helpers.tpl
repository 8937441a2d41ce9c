{{- define "coldtrace.name" -}}
{{- if contains "coldtrace" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-coldtrace" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "coldtrace.selector" -}}
app.kubernetes.io/name: coldtrace
app.kubernetes.io/instance: {{ .Release.Name | quote }}
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

{{- /* Not empty: the webhook's certificate comes from a CA of coldtrace's own. */}}
{{- define "coldtrace.ownCA" -}}
{{- if and .Values.webhook.enabled (not .Values.certManager.enabled) }}true{{ end }}
{{- end }}

{{- /* Not empty: it comes from cert-manager. */}}
{{- define "coldtrace.certManager" -}}
{{- if and .Values.webhook.enabled .Values.certManager.enabled }}true{{ end }}
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


{{- /* One CEL expression: a container (a native sidecar is one) asks for one of the resources, or for devices by claim or class. */}}
{{- define "coldtrace.gpuCEL" -}}
{{- $tests := list }}
{{- range .Values.policy.selection.gpuResources }}
{{- if hasSuffix "*" . }}{{ $tests = append $tests (printf "r.startsWith('%s')" (trimSuffix "*" .)) }}
{{- else }}{{ $tests = append $tests (printf "r == '%s'" .) }}{{ end }}
{{- end -}}
has(object.spec.resourceClaims) || (object.spec.containers + object.spec.?initContainers.orValue([])).exists(c, has(c.resources) && has(c.resources.limits) && c.resources.limits.exists(r, r.startsWith('deviceclass.resource.kubernetes.io/') || {{ join " || " $tests }}))
{{- end }}
