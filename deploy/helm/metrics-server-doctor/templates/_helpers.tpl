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

{{- define "doctor.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
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

{{- /* The image; what no runtime could pull is refused here, not on a node. */ -}}
{{- define "doctor.image" -}}
{{- $image := .Values.image }}
{{- $value := ternary "global.imageRegistry" "image.registry" (ne .Values.global.imageRegistry "") }}
{{- $registry := trimSuffix "/" (.Values.global.imageRegistry | default $image.registry) }}
{{- if not $image.repository }}{{ fail "image.repository is empty: name the image, such as metrics-server-doctor" }}{{ end }}
{{- if contains "://" $registry }}{{ fail (printf "%s: %q has a scheme; name the host alone, such as registry.example.com" $value $registry) }}{{ end }}
{{- $name := ternary (printf "%s/%s" $registry $image.repository) $image.repository (ne $registry "") }}
{{- if ne $image.pullPolicy "Never" }}
{{- if and (not $registry) (not (regexMatch "^[^/]*([.:][^/]*|localhost)/" $name)) }}
{{- fail (printf "image.registry is empty: no registry is known that serves %q; set image.registry (or global.imageRegistry) to where you keep the image, or image.pullPolicy=Never where it is on every node" $name) }}
{{- end }}
{{- if and $registry (not (regexMatch "^([^/]*[.:][^/]*|localhost)(/|$)" $registry)) }}
{{- fail (printf "%s: %q is no host of a registry, since it has neither a dot nor a port; docker.io would be asked for %q" $value $registry $name) }}
{{- end }}
{{- end }}
{{- if not (regexMatch "^(([A-Za-z0-9.-]+|\\[[0-9A-Fa-f:]+\\])(:[0-9]+)?/)?[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*$" $name) }}
{{- fail (printf "image.repository: %q is no name of an image: small letters, digits, and . _ - / between them" $name) }}
{{- end }}
{{- $name }}{{ if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- /* An address of the values, without the slash at its end, or empty: the value's name, and the address. */ -}}
{{- define "doctor.url" -}}
{{- with index . 1 }}
{{- if not (regexMatch "^https?://([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?(/[^?#\\s\"'<>]*)?$" .) }}
{{- fail (printf "%s: %q is no address: http:// or https:// with a host and, where there is one, port and path, such as https://doctor.example.com/east or http://[fd00::1]:19102" (index $ 0) .) }}
{{- end }}
{{- regexReplaceAll "/+$" . "" }}
{{- end }}
{{- end }}

{{- define "doctor.externalUrl" -}}
{{- include "doctor.url" (list "externalUrl" .Values.externalUrl) }}
{{- end }}

{{- /* Where links lead to: to externalUrl, or to what the notes tell. */ -}}
{{- define "doctor.address" -}}
{{- include "doctor.externalUrl" . | default (printf "%s://localhost:19102" (ternary "https" "http" (ne .Values.metrics.tls.existingSecret ""))) }}
{{- end }}

{{- /* Host and path of externalUrl for an Ingress or HTTPRoute, whose value is named; JSON. */ -}}
{{- define "doctor.reached" -}}
{{- $root := index . 0 }}{{ $url := include "doctor.externalUrl" $root }}
{{- if not $url }}{{ fail (printf "%s.enabled: set externalUrl, whose host and path it serves, such as https://doctor.example.com" (index . 1)) }}{{ end }}
{{- $host := (urlParse $url).hostname | lower }}
{{- if regexMatch "^[0-9.]+$|:" $host }}{{ fail (printf "%s.enabled: externalUrl has the address %s, and a route goes by a name of a host" (index . 1) $host) }}{{ end }}
{{- toJson (dict "host" $host "path" ((urlParse $url).path | default "/")) }}
{{- end }}

{{- /* Names of Secrets for the registry, those of global too; a JSON list. */ -}}
{{- define "doctor.imagePullSecrets" -}}
{{- $secrets := .Values.imagePullSecrets }}
{{- range .Values.global.imagePullSecrets }}
{{- $secrets = append $secrets (ternary (dict "name" .) . (kindIs "string" .)) }}
{{- end }}
{{- toJson (uniq $secrets) }}
{{- end }}

{{- /* What the Deployment's pod and the one of `helm test` share with each other about where they run. */ -}}
{{- define "doctor.placement" -}}
{{- with include "doctor.imagePullSecrets" . | fromJsonArray }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .Values.hostNetwork }}
{{- if .Values.networkPolicy.enabled }}{{ fail "networkPolicy.enabled: a NetworkPolicy does not hold for hostNetwork=true; turn one of them off" }}{{ end }}
hostNetwork: true
dnsPolicy: ClusterFirstWithHostNet
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.schedulerName }}
schedulerName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Subjects of every binding. */ -}}
{{- define "doctor.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "doctor.serviceAccountName" . }}
    namespace: {{ include "doctor.namespace" . }}
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
{{- with include "doctor.externalUrl" . }}{{ $arguments = append $arguments (printf "--external-url=%s" .) }}{{ end }}
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
{{- if regexMatch "^--(listen-address|probe-namespaces|hpa-series|external-url|runbook-url|log-level|log-format)(=|$)" . }}{{ fail (printf "extraArgs: %s has a value of its own, or is fixed by the ports of the chart" .) }}{{ end }}
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
{{- $verifies := dict "serverName" (printf "%s.%s.svc" (include "doctor.fullname" $root) (include "doctor.namespace" $root)) }}
{{- if not (or $tlsConfig.ca $tlsConfig.caFile $tlsConfig.insecureSkipVerify) }}
{{- if and $monitor.namespace (ne $monitor.namespace (include "doctor.namespace" $root)) }}{{ fail (printf "%s.tlsConfig: set ca, since a monitor in namespace %s cannot name Secret %s of namespace %s" $name $monitor.namespace $tls.existingSecret (include "doctor.namespace" $root)) }}{{ end }}
{{- $_ := set $verifies "ca" (dict "secret" (dict "name" $tls.existingSecret "key" "ca.crt")) }}
{{- end }}
{{- $tlsConfig = merge (deepCopy $tlsConfig) $verifies }}
{{- end }}
{{- if and (or $tls.clientAuthority.configMap $tls.clientAuthority.secret) (eq $root.Values.metrics.authentication "none") (not (or $monitor.tlsConfig.cert $monitor.tlsConfig.certFile)) }}{{ fail (printf "%s.tlsConfig: set cert and keySecret, since metrics.tls.clientAuthority asks for a client certificate" $name) }}{{ end }}
{{- $authorization := $monitor.authorization }}
{{- if and (ne $root.Values.metrics.authentication "none") (not $authorization) (not (or $monitor.tlsConfig.cert $monitor.tlsConfig.certFile)) }}
{{- if not $root.Values.metrics.scraper.create }}{{ fail (printf "%s.authorization: set credentials, since metrics.authentication asks for a token and metrics.scraper.create is off" $name) }}{{ end }}
{{- $authorization = dict "type" "Bearer" "credentials" (dict "name" (include "doctor.suffixed" (list $root "scraper")) "key" "token") }}
{{- end -}}
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
  {{- with $authorization }}
  authorization: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $monitor.relabelings }}
  relabelings: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $monitor.metricRelabelings }}
  metricRelabelings: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- /* Where the scraper's Secret is: beside the monitor that names it. */ -}}
{{- define "doctor.scraperNamespace" -}}
{{- $monitor := ternary .Values.podMonitor .Values.serviceMonitor .Values.podMonitor.enabled }}
{{- ternary $monitor.namespace "" $monitor.enabled | default (include "doctor.namespace" .) }}
{{- end }}

{{- /* The label job of what is scraped, as the monitor takes it from the Service or from the pods; rules ask for it. */ -}}
{{- define "doctor.job" -}}
{{- $own := include "doctor.selectorLabels" . | fromYaml }}
{{- if .Values.podMonitor.enabled }}
{{- $labels := merge dict .Values.podLabels .Values.commonLabels $own }}
{{- get $labels .Values.podMonitor.jobLabel | default (printf "%s/%s" (.Values.podMonitor.namespace | default (include "doctor.namespace" .)) (include "doctor.fullname" .)) }}
{{- else }}
{{- $labels := merge dict .Values.service.labels .Values.commonLabels $own }}
{{- get $labels .Values.serviceMonitor.jobLabel | default (include "doctor.fullname" .) }}
{{- end }}
{{- end }}

{{- /* Refuses a wait that Prometheus would not read: the value's name, and the value. */ -}}
{{- define "doctor.duration" -}}
{{- if not (regexMatch "^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$" (index . 1)) }}
{{- fail (printf "%s: %q is no duration of Prometheus, such as 30s, 15m or 1h30m" (index . 0) (index . 1)) }}
{{- end }}
{{- end }}

{{- /* Refuses names of labels or annotations that Prometheus would not take: the value's name, and the map. */ -}}
{{- define "doctor.prometheusNames" -}}
{{- range $name, $_ := index . 1 }}
{{- if not (regexMatch "^[a-zA-Z_][a-zA-Z0-9_]*$" $name) }}
{{- fail (printf "%s: %q is no name for Prometheus: letters, digits and _, and no digit first" (index $ 0) $name) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The same, and labels that tell alerts apart. */ -}}
{{- define "doctor.alertLabels" -}}
{{- include "doctor.prometheusNames" . }}
{{- range $name, $_ := index . 1 }}
{{- if has $name (list "alertname" "severity" "step" "cause") }}
{{- fail (printf "%s.%s: alertname, severity, step and cause are the rules' own, by which alerts are held back; %s" (index $ 0) $name (ternary "the key severity beside labels changes that one" "name another label" (eq $name "severity"))) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The groups of files/alerts with what prometheusRule.* changes of them; a JSON list. */ -}}
{{- define "doctor.groups" -}}
{{- $values := .Values.prometheusRule }}
{{- $job := printf "job=%q" (include "doctor.job" .) }}
{{- $address := include "doctor.address" . }}
{{- $grafana := include "doctor.url" (list "grafanaUrl" .Values.grafanaUrl) }}
{{- $aggregation := join ", " (prepend $values.additionalAggregationLabels "cluster") }}
{{- include "doctor.alertLabels" (list "prometheusRule.additionalRuleLabels" $values.additionalRuleLabels) }}
{{- include "doctor.prometheusNames" (list "prometheusRule.additionalRuleAnnotations" $values.additionalRuleAnnotations) }}
{{- $keys := list "enabled" "for" "keepFiringFor" "severity" "labels" "annotations" }}
{{- $severities := list "critical" "warning" "info" }}
{{- $names := list }}
{{- $shippedSeverities := dict }}
{{- $groups := list }}
{{- range $path, $file := .Files.Glob "files/alerts/*.yaml" }}
{{- range $group := (fromYaml (toString $file)).groups }}
{{- $rules := list }}
{{- range $rule := $group.rules }}
{{- $_ := set $rule "expr" (regexReplaceAll "\\b(by|on) ?\\(cluster\\b" ($rule.expr | replace "job=\"metrics-server-doctor\"" $job) (printf "${1} (%s" $aggregation)) }}
{{- if $rule.alert }}
{{- $names = append $names $rule.alert }}
{{- $_ := set $shippedSeverities $rule.alert (append (get $shippedSeverities $rule.alert | default list) $rule.labels.severity) }}
{{- $annotations := dict }}
{{- range $name, $text := $rule.annotations }}
{{- $text = $text | replace "/api/v1/report" (printf "%s/api/v1/report" $address) }}
{{- if $.Values.runbookUrl }}
{{- $text = $text | replace "docs/runbooks" (trimSuffix "/" $.Values.runbookUrl) }}
{{- else if contains "docs/runbooks" $text }}
{{- $text = $text | replace "docs/runbooks" (printf "%s/runbooks" $address) | replace ".md" "" }}
{{- end }}
{{- if eq $name "dashboard_url" }}{{ $text = ternary (printf "%s/%s" $grafana $text) "" (ne $grafana "") }}{{ end }}
{{- if $text }}
{{- $_ := set $annotations $name ($text | replace "job=\"metrics-server-doctor\"" $job | replace "job=\\\"metrics-server-doctor\\\"" (printf "job=\\\"%s\\\"" (include "doctor.job" $))) }}
{{- end }}
{{- end }}
{{- $_ := set $rule "annotations" (merge dict $values.additionalRuleAnnotations $annotations) }}
{{- $_ := set $rule "labels" (merge dict $values.additionalRuleLabels $rule.labels) }}
{{- $isOn := true }}
{{- $shipped := $rule.labels.severity }}
{{- $settings := get $values.rules $rule.alert | default dict }}
{{- range $key := list "" $shipped }}
{{- $where := printf "prometheusRule.rules.%s%s" $rule.alert (ternary (printf ".%s" $key) "" (ne $key "")) }}
{{- $change := ternary (get $settings $key | default dict) $settings (ne $key "") }}
{{- if not (kindIs "map" $change) }}{{ fail (printf "%s: %v is no map of %s" $where $change (join ", " $keys)) }}{{ end }}
{{- range $name, $_ := $change }}
{{- if not (has $name (ternary (concat $keys $severities) $keys (eq $key ""))) }}
{{- fail (printf "%s.%s: there is no such setting; there are %s" $where $name (join ", " $keys)) }}
{{- end }}
{{- end }}
{{- if hasKey $change "enabled" }}{{ $isOn = $change.enabled }}{{ end }}
{{- with $change.for }}{{ include "doctor.duration" (list (printf "%s.for" $where) .) }}{{ $_ := set $rule "for" . }}{{ end }}
{{- with $change.keepFiringFor }}{{ include "doctor.duration" (list (printf "%s.keepFiringFor" $where) .) }}{{ $_ := set $rule "keep_firing_for" . }}{{ end }}
{{- with $change.labels }}{{ include "doctor.alertLabels" (list (printf "%s.labels" $where) .) }}{{ $_ := set $rule "labels" (merge dict . $rule.labels) }}{{ end }}
{{- with $change.severity }}{{ $_ := set $rule.labels "severity" . }}{{ end }}
{{- with $change.annotations }}{{ include "doctor.prometheusNames" (list (printf "%s.annotations" $where) .) }}{{ $_ := set $rule "annotations" (merge dict . $rule.annotations) }}{{ end }}
{{- end }}
{{- if $isOn }}{{ $rules = append $rules $rule }}{{ end }}
{{- else }}
{{- $rules = append $rules $rule }}
{{- end }}
{{- end }}
{{- if $rules }}{{ $groups = append $groups (set $group "rules" $rules) }}{{ end }}
{{- end }}
{{- end }}
{{- range $name, $settings := $values.rules }}
{{- range $severity := $severities }}
{{- if and (hasKey ($settings | default dict) $severity) (hasKey $shippedSeverities $name) (not (has $severity (get $shippedSeverities $name))) }}
{{- fail (printf "prometheusRule.rules.%s.%s: the alert has no such rule; it has %s" $name $severity (join ", " (get $shippedSeverities $name | uniq))) }}
{{- end }}
{{- end }}
{{- if and $names (not (has $name $names)) }}
{{- fail (printf "prometheusRule.rules.%s: there is no such alert; there are %s" $name (join ", " (uniq $names | sortAlpha))) }}
{{- end }}
{{- end }}
{{- toJson $groups }}
{{- end }}
