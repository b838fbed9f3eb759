{{- define "lapsed.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "lapsed.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "lapsed.labels" -}}
{{ include "lapsed.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "lapsed.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The configuration's files merged into one map, as JSON; empty where a ConfigMap of the user's own is mounted. */}}
{{- define "lapsed.config" -}}
{{- $merged := dict -}}
{{- range $name, $text := .Values.config.files -}}
{{- $part := fromYaml $text -}}
{{- if hasKey $part "Error" -}}{{- fail (printf "config.files.%s is not YAML: %s" $name $part.Error) -}}{{- end -}}
{{- $merged = merge $merged $part -}}
{{- end -}}
{{- toJson $merged -}}
{{- end -}}

{{/* What a change of which needs a restart. */}}
{{- define "lapsed.restart" -}}
{{- pick (include "lapsed.config" . | fromJson) "application" "kafka" "topics" | toJson | sha256sum -}}
{{- end -}}

{{- define "lapsed.userName" -}}
{{- .Values.strimzi.userName | default (include "lapsed.fullname" .) -}}
{{- end -}}

{{- define "lapsed.application" -}}
{{- (include "lapsed.config" . | fromJson).application | default "lapsed" -}}
{{- end -}}
