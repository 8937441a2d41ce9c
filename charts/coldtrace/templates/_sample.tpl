{{- /* An endpoint that any policy would select, fit for a namespace that enforces `restricted`; for dry runs. */}}
{{- define "coldtrace.sample" -}}
{{- $gpu := "nvidia.com/gpu" }}
{{- range reverse .Values.policy.selection.gpuResources }}{{ if not (hasSuffix "*" .) }}{{ $gpu = . }}{{ end }}{{ end }}
{{- $container := dict "name" "main" "image" "sample" "command" (list "vllm" "serve" "sample")
  "resources" (dict "limits" (dict $gpu "1"))
  "securityContext" (dict "allowPrivilegeEscalation" false "capabilities" (dict "drop" (list "ALL"))) }}
{{- dict "apiVersion" "v1" "kind" "Pod"
  "metadata" (dict "name" "coldtrace-sample" "annotations" (dict "coldtrace.io/inject" "true"))
  "spec" (dict "containers" (list $container)
    "securityContext" (dict "runAsNonRoot" true "runAsUser" 65534 "seccompProfile" (dict "type" "RuntimeDefault"))) | toJson }}
{{- end }}
