{{- define "doctor.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "doctor.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := include "doctor.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "doctor.selectorLabels" -}}
app.kubernetes.io/name: {{ include "doctor.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "doctor.labels" -}}
{{ include "doctor.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "doctor.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "doctor.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "doctor.image" -}}
{{- with .Values.image.registry }}{{ . }}/{{ end }}{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- /* Subjects of every binding. */ -}}
{{- define "doctor.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "doctor.serviceAccountName" . }}
    namespace: {{ .Release.Namespace }}
{{- end }}

{{- /* What both serve and check are told about the cluster; a JSON list. */ -}}
{{- define "doctor.lookArguments" -}}
{{- $arguments := list }}
{{- range $value, $look := dict "rbac" "rbac" "awsAuth" "aws-auth" "nodes" "nodes" "networkPolicies" "network-policies" "logs" "logs" "probes" "probes" }}
{{- if not (index $.Values.features $value) }}{{ $arguments = append $arguments (printf "--without=%s" $look) }}{{ end }}
{{- end }}
{{- if .Values.features.accessReviews }}{{ $arguments = append $arguments "--with=access-reviews" }}{{ end }}
{{- if not .Values.features.dial }}{{ $arguments = append $arguments "--dial=never" }}{{ end }}
{{- with .Values.probeNamespaces }}{{ $arguments = append $arguments (printf "--probe-namespaces=%s" (join "," .)) }}{{ end }}
{{- with .Values.runbookUrl }}{{ $arguments = append $arguments (printf "--runbook-url=%s" .) }}{{ end }}
{{- if ne .Values.logLevel "info" }}{{ $arguments = append $arguments (printf "--log-level=%s" .Values.logLevel) }}{{ end }}
{{- toJson $arguments }}
{{- end }}

{{- define "doctor.arguments" -}}
{{- range .Values.extraArgs }}
{{- if regexMatch "^--(with|without|dial)(=|$)" . }}{{ fail (printf "extraArgs: %s would not change the rules; use features.*" .) }}{{ end }}
{{- if regexMatch "^--(listen-address|probe-namespaces|runbook-url|log-level|log-format)(=|$)" . }}{{ fail (printf "extraArgs: %s has a value of its own, or is fixed by the ports of the chart" .) }}{{ end }}
{{- end }}
{{- $fixed := list "serve" (printf "--log-format=%s" .Values.logFormat) }}
{{- concat $fixed (include "doctor.lookArguments" . | fromJsonArray) .Values.extraArgs | toYaml }}
{{- end }}

{{- /* A name with a suffix behind it, within the 63 characters of a label's value. */ -}}
{{- define "doctor.suffixed" -}}
{{- $suffix := index . 1 }}
{{- printf "%s-%s" (include "doctor.fullname" (index . 0) | trunc (int (sub 62 (len $suffix))) | trimSuffix "-") $suffix }}
{{- end }}

{{- /* The endpoint of a ServiceMonitor or PodMonitor. */ -}}
{{- define "doctor.endpoint" -}}
- port: metrics
  path: /metrics
  interval: {{ .interval }}
  honorLabels: {{ .honorLabels }}
  {{- with .scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  {{- with .scheme }}
  scheme: {{ . }}
  {{- end }}
  {{- with .tlsConfig }}
  tlsConfig: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .authorization }}
  authorization: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .relabelings }}
  relabelings: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .metricRelabelings }}
  metricRelabelings: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
