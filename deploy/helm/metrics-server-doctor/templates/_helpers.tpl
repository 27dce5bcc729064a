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
{{- range $value, $look := dict "rbac" "rbac" "awsAuth" "aws-auth" "authenticationConfig" "authentication-config" "certificateRequests" "certificate-requests" "customResourceDefinitions" "custom-resource-definitions" "events" "events" "nodes" "nodes" "networkPolicies" "network-policies" "logs" "logs" "probes" "probes" }}
{{- if not (index $.Values.features $value) }}{{ $arguments = append $arguments (printf "--without=%s" $look) }}{{ end }}
{{- end }}
{{- if .Values.features.accessReviews }}{{ $arguments = append $arguments "--with=access-reviews" }}{{ end }}
{{- if not .Values.features.dial }}{{ $arguments = append $arguments "--dial=never" }}{{ end }}
{{- with .Values.probeNamespaces }}{{ $arguments = append $arguments (printf "--probe-namespaces=%s" (join "," .)) }}{{ end }}
{{- with .Values.runbookUrl }}{{ $arguments = append $arguments (printf "--runbook-url=%s" .) }}{{ end }}
{{- if ne .Values.logLevel "info" }}{{ $arguments = append $arguments (printf "--log-level=%s" .Values.logLevel) }}{{ end }}
{{- toJson $arguments }}
{{- end }}

{{- /* Where Secrets and ConfigMaps of values metrics.* are mounted; the container's root is read-only and empty. */ -}}
{{- define "doctor.tlsFolder" -}}/run/metrics-server-doctor/tls{{- end }}
{{- define "doctor.clientAuthorityFolder" -}}/run/metrics-server-doctor/client-authority{{- end }}

{{- /* What serve is told about who may read the page; a JSON list. */ -}}
{{- define "doctor.accessArguments" -}}
{{- $arguments := list }}
{{- $authority := .Values.metrics.tls.clientAuthority }}
{{- if .Values.metrics.tls.existingSecret }}
{{- $arguments = append $arguments (printf "--tls-certificate-file=%s/tls.crt" (include "doctor.tlsFolder" .)) }}
{{- $arguments = append $arguments (printf "--tls-key-file=%s/tls.key" (include "doctor.tlsFolder" .)) }}
{{- end }}
{{- if or $authority.configMap $authority.secret }}
{{- if not .Values.metrics.tls.existingSecret }}{{ fail "metrics.tls.clientAuthority: client certificates come with TLS alone; set metrics.tls.existingSecret" }}{{ end }}
{{- if and $authority.configMap $authority.secret }}{{ fail "metrics.tls.clientAuthority: configMap and secret are both set; name one of them" }}{{ end }}
{{- $arguments = append $arguments (printf "--tls-client-ca-file=%s/%s" (include "doctor.clientAuthorityFolder" .) $authority.key) }}
{{- end }}
{{- if ne .Values.metrics.authentication "none" }}
{{- $arguments = append $arguments (printf "--authentication=%s" .Values.metrics.authentication) }}
{{- else if .Values.metrics.readers }}{{ fail "metrics.readers: without metrics.authentication=token-review nobody is asked who they are" }}
{{- end }}
{{- toJson $arguments }}
{{- end }}

{{- /* Volumes of what metrics.* names; a JSON list. */ -}}
{{- define "doctor.accessVolumes" -}}
{{- $volumes := list }}
{{- with .Values.metrics.tls.existingSecret }}
{{- $items := list (dict "key" "tls.crt" "path" "tls.crt") (dict "key" "tls.key" "path" "tls.key") }}
{{- $volumes = append $volumes (dict "name" "tls" "secret" (dict "secretName" . "items" $items)) }}
{{- end }}
{{- with .Values.metrics.tls.clientAuthority }}
{{- $items := list (dict "key" .key "path" .key) }}
{{- if .secret }}{{ $volumes = append $volumes (dict "name" "client-authority" "secret" (dict "secretName" .secret "items" $items)) }}{{ end }}
{{- if .configMap }}{{ $volumes = append $volumes (dict "name" "client-authority" "configMap" (dict "name" .configMap "items" $items)) }}{{ end }}
{{- end }}
{{- toJson $volumes }}
{{- end }}

{{- /* Where they are mounted; a JSON list. */ -}}
{{- define "doctor.accessVolumeMounts" -}}
{{- $mounts := list }}
{{- if .Values.metrics.tls.existingSecret }}
{{- $mounts = append $mounts (dict "name" "tls" "mountPath" (include "doctor.tlsFolder" .) "readOnly" true) }}
{{- end }}
{{- if or .Values.metrics.tls.clientAuthority.configMap .Values.metrics.tls.clientAuthority.secret }}
{{- $mounts = append $mounts (dict "name" "client-authority" "mountPath" (include "doctor.clientAuthorityFolder" .) "readOnly" true) }}
{{- end }}
{{- toJson $mounts }}
{{- end }}

{{- /* A probe, over HTTPS where the page is; a kubelet does not verify the certificate. */ -}}
{{- define "doctor.probe" -}}
{{- $probe := deepCopy (index . 1) }}
{{- if and $probe.httpGet (index . 0).Values.metrics.tls.existingSecret }}
{{- $probe = merge $probe (dict "httpGet" (dict "scheme" "HTTPS")) }}
{{- end }}
{{- toYaml $probe }}
{{- end }}

{{- define "doctor.arguments" -}}
{{- range .Values.extraArgs }}
{{- if regexMatch "^--(with|without|dial)(=|$)" . }}{{ fail (printf "extraArgs: %s would not change the rules; use features.*" .) }}{{ end }}
{{- if regexMatch "^--(tls-[a-z-]+|authentication)(=|$)" . }}{{ fail (printf "extraArgs: %s would not change probes, rules and monitors; use metrics.*" .) }}{{ end }}
{{- if regexMatch "^--(listen-address|probe-namespaces|hpa-series|runbook-url|log-level|log-format)(=|$)" . }}{{ fail (printf "extraArgs: %s has a value of its own, or is fixed by the ports of the chart" .) }}{{ end }}
{{- end }}
{{- $fixed := list "serve" (printf "--log-format=%s" .Values.logFormat) }}
{{- if ne .Values.hpaSeries "blind" }}{{ $fixed = append $fixed (printf "--hpa-series=%s" .Values.hpaSeries) }}{{ end }}
{{- concat $fixed (include "doctor.lookArguments" . | fromJsonArray) (include "doctor.accessArguments" . | fromJsonArray) .Values.extraArgs | toYaml }}
{{- end }}

{{- /* A name with a suffix behind it, within the 63 characters of a label's value. */ -}}
{{- define "doctor.suffixed" -}}
{{- $suffix := index . 1 }}
{{- printf "%s-%s" (include "doctor.fullname" (index . 0) | trunc (int (sub 62 (len $suffix))) | trimSuffix "-") $suffix }}
{{- end }}

{{- /* The endpoint of a monitor: the root, and the name of its values. */ -}}
{{- define "doctor.endpoint" -}}
{{- $root := index . 0 }}{{ $name := index . 1 }}{{ $monitor := index $root.Values $name }}{{ $tls := $root.Values.metrics.tls }}
{{- $scheme := $monitor.scheme | default (ternary "https" "" (ne $tls.existingSecret "")) }}
{{- $tlsConfig := $monitor.tlsConfig }}
{{- if $tls.existingSecret }}
{{- $verifies := dict "serverName" (printf "%s.%s.svc" (include "doctor.fullname" $root) $root.Release.Namespace) }}
{{- if not (or $tlsConfig.ca $tlsConfig.caFile $tlsConfig.insecureSkipVerify) }}
{{- if and $monitor.namespace (ne $monitor.namespace $root.Release.Namespace) }}{{ fail (printf "%s.tlsConfig: set ca, since a monitor in namespace %s cannot name Secret %s of namespace %s" $name $monitor.namespace $tls.existingSecret $root.Release.Namespace) }}{{ end }}
{{- $_ := set $verifies "ca" (dict "secret" (dict "name" $tls.existingSecret "key" "ca.crt")) }}
{{- end }}
{{- $tlsConfig = merge (deepCopy $tlsConfig) $verifies }}
{{- end }}
{{- if and (or $tls.clientAuthority.configMap $tls.clientAuthority.secret) (eq $root.Values.metrics.authentication "none") (not (or $monitor.tlsConfig.cert $monitor.tlsConfig.certFile)) }}{{ fail (printf "%s.tlsConfig: set cert and keySecret, since metrics.tls.clientAuthority asks for a client certificate" $name) }}{{ end }}
{{- $ownToken := and (ne $root.Values.metrics.authentication "none") (not $monitor.authorization) (not (or $monitor.tlsConfig.cert $monitor.tlsConfig.certFile)) }}
{{- if and $ownToken (eq $name "podMonitor") }}{{ fail "podMonitor.authorization: set credentials, since a PodMonitor cannot send Prometheus's own token and metrics.authentication asks for one" }}{{ end -}}
- port: metrics
  path: /metrics
  interval: {{ $monitor.interval }}
  honorLabels: {{ $monitor.honorLabels }}
  {{- with $monitor.scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  {{- with $scheme }}
  scheme: {{ . }}
  {{- end }}
  {{- with $tlsConfig }}
  tlsConfig: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $monitor.authorization }}
  authorization: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if $ownToken }}
  bearerTokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
  {{- end }}
  {{- with $monitor.relabelings }}
  relabelings: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $monitor.metricRelabelings }}
  metricRelabelings: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
