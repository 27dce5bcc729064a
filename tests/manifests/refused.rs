//! Values that the chart refuses, each with its name and what there is instead.

use testbed::helm;

use crate::{NAME, REGISTRY};

/// What is set, and what is told.
const REFUSED: &[(&str, &str)] = &[
    ("replcas=2", "additional properties 'replcas' not allowed"),
    ("replicas=-1", "at '/replicas': minimum: got -1, want 0"),
    ("features.logs=maybe", "at '/features/logs': got string, want boolean"),
    ("features.secrets=true", "at '/features': additional properties 'secrets' not allowed"),
    ("logFormat=xml", "at '/logFormat': value must be one of 'text', 'json'"),
    ("image.pullPolicy=Sometimes", "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'"),
    ("image.digest=abc", "at '/image/digest': 'abc' does not match pattern"),
    ("service.port=99999", "at '/service/port': maximum: got 99,999, want 65,535"),
    ("resources.limits.memory=12Q", "at '/resources/limits/memory': '12Q' does not match pattern"),
    ("podDisruptionBudget.minAvailable=half", "at '/podDisruptionBudget/minAvailable': 'half' does not match pattern"),
    ("metricsServer.namespace=Kube_System", "at '/metricsServer/namespace': 'Kube_System' does not match pattern"),
    (
        "verticalPodAutoscaler.updateMode=Auto",
        "at '/verticalPodAutoscaler/updateMode': value must be one of 'Off', 'Initial', 'Recreate', 'InPlaceOrRecreate'",
    ),
    ("serviceMonitor.interval=30", "at '/serviceMonitor/interval': got number, want string"),
    ("rbac.extraRules[0].verb=get", "at '/rbac/extraRules/0': additional properties 'verb' not allowed"),
    ("extraArgs[0]=verbose", "at '/extraArgs/0': 'verbose' does not match pattern"),
    ("extraArgs[0]=--without=logs", "extraArgs: --without=logs would not change the rules; use features.*"),
    ("extraArgs[0]=--listen-address=:80", "is fixed by the ports of the chart"),
    ("metrics.authentication=basic", "at '/metrics/authentication': value must be one of 'none', 'token-review'"),
    ("metrics.tls.secretName=page", "at '/metrics/tls': additional properties 'secretName' not allowed"),
    ("metrics.tls.existingSecret=My_Secret", "at '/metrics/tls/existingSecret': 'My_Secret' does not match pattern"),
    ("metrics.readers[0].name=a", "at '/metrics/readers/0': missing property 'namespace'"),
    ("metrics.tls.clientAuthority.secret=a", "client certificates come with TLS alone; set metrics.tls.existingSecret"),
    (
        "metrics.tls.existingSecret=a,metrics.tls.clientAuthority.secret=a,metrics.tls.clientAuthority.configMap=a",
        "configMap and secret are both set; name one of them",
    ),
    (
        "metrics.readers[0].name=a,metrics.readers[0].namespace=b",
        "without metrics.authentication=token-review nobody is asked who they are",
    ),
    ("extraArgs[0]=--authentication=none", "would not change probes, rules and monitors; use metrics.*"),
    ("extraArgs[0]=--tls-key-file=/a", "would not change probes, rules and monitors; use metrics.*"),
    (
        "podMonitor.enabled=true,metrics.authentication=token-review,metrics.scraper.create=false",
        "podMonitor.authorization: set credentials, since metrics.authentication asks for a token and metrics.scraper.create is off",
    ),
    (
        "serviceMonitor.enabled=true,metrics.tls.existingSecret=a,metrics.tls.clientAuthority.secret=b",
        "serviceMonitor.tlsConfig: set cert and keySecret, since metrics.tls.clientAuthority asks for a client certificate",
    ),
    (
        "serviceMonitor.enabled=true,serviceMonitor.namespace=elsewhere,metrics.tls.existingSecret=a",
        "serviceMonitor.tlsConfig: set ca, since a monitor in namespace elsewhere cannot name Secret a",
    ),
    ("serviceMonitor.enabled=true,podMonitor.enabled=true", "every series would be scraped twice"),
    ("serviceMonitor.jobLabel=a b", "at '/serviceMonitor/jobLabel': 'a b' does not match pattern"),
    ("podMonitor.targetLabels[0]=a b", "at '/podMonitor/targetLabels/0': 'a b' does not match pattern"),
    (
        "hostNetwork=true,networkPolicy.enabled=true",
        "networkPolicy.enabled: a NetworkPolicy does not hold for hostNetwork=true",
    ),
    ("namespaceOverride=Doctor", "at '/namespaceOverride': 'Doctor' does not match pattern"),
    ("schedulerName=My_Scheduler", "at '/schedulerName': 'My_Scheduler' does not match pattern"),
    ("global.imageRegistry=5", "at '/global/imageRegistry': got number, want string"),
    // Images that no runtime could pull.
    (
        "image.registry=",
        r#"image.registry is empty: no registry is known that serves "metrics-server-doctor"; set image.registry"#,
    ),
    ("image.repository=", "image.repository is empty: name the image"),
    ("image.registry=https://r.example.com", r#"image.registry: "https://r.example.com" has a scheme"#),
    (
        "image.registry=corp",
        r#"image.registry: "corp" is no host of a registry, since it has neither a dot nor a port; docker.io would be asked for "corp/metrics-server-doctor""#,
    ),
    ("global.imageRegistry=corp", r#"global.imageRegistry: "corp" is no host of a registry"#),
    ("image.repository=Doctor", r#"image.repository: "registry.example.com/Doctor" is no name of an image"#),
    // Links.
    (
        "externalUrl=doctor.example.com",
        r#"externalUrl: "doctor.example.com" is no address: http:// or https:// with a host"#,
    ),
    ("externalUrl=ftp://doctor.example.com", r#"externalUrl: "ftp://doctor.example.com" is no address"#),
    ("externalUrl=https://", r#"externalUrl: "https://" is no address"#),
    ("externalUrl=http://fd00::1:19102", r#"externalUrl: "http://fd00::1:19102" is no address"#),
    ("externalUrl=https://doctor.example.com/?a", r#"externalUrl: "https://doctor.example.com/?a" is no address"#),
    ("externalUrl=https://user:secret@doctor.example.com", "is no address: http:// or https:// with a host"),
    ("grafanaUrl=grafana", r#"grafanaUrl: "grafana" is no address"#),
    ("extraArgs[0]=--external-url=https://a", "has a value of its own"),
    ("ingress.enabled=true", "ingress.enabled: set externalUrl, whose host and path it serves"),
    (
        "ingress.enabled=true,externalUrl=http://[fd00::1]:19102",
        "ingress.enabled: externalUrl has the address fd00::1, and a route goes by a name of a host",
    ),
    ("ingress.hosts[0]=a", "at '/ingress': additional properties 'hosts' not allowed"),
    ("httpRoute.enabled=true,externalUrl=https://a.example.com", "httpRoute.parentRefs is empty: name the Gateway"),
    ("httpRoute.parentRefs[0].namespace=a", "at '/httpRoute/parentRefs/0': missing property 'name'"),
    // Rules.
    (
        "prometheusRule.rules.HPATargetUnknown.for=1m",
        "prometheusRule.rules.HPATargetUnknown: there is no such alert; there are HPATargetsUnknown, MetricsPipelineDown, ",
    ),
    (
        "prometheusRule.rules.HPATargetsUnknown.fore=1m",
        "prometheusRule.rules.HPATargetsUnknown.fore: there is no such setting; there are enabled, for, keepFiringFor, severity, labels, annotations",
    ),
    (
        "prometheusRule.rules.HPATargetsUnknown.warning.keep_firing_for=1m",
        "prometheusRule.rules.HPATargetsUnknown.warning.keep_firing_for: there is no such setting; there are enabled, for, ",
    ),
    (
        "prometheusRule.rules.HPATargetsUnknown.info.for=1m",
        "prometheusRule.rules.HPATargetsUnknown.info: the alert has no such rule; it has critical, warning",
    ),
    (
        "prometheusRule.rules.MetricsPipelineDown.for=5 minutes",
        r#"prometheusRule.rules.MetricsPipelineDown.for: "5 minutes" is no duration of Prometheus, such as 30s, 15m or 1h30m"#,
    ),
    (
        "prometheusRule.rules.MetricsPipelineDown.critical.keepFiringFor=1h30",
        r#"prometheusRule.rules.MetricsPipelineDown.critical.keepFiringFor: "1h30" is no duration of Prometheus"#,
    ),
    (
        "prometheusRule.rules.MetricsPipelineDown.for=5",
        "at '/prometheusRule/rules/MetricsPipelineDown/for': got number, want string",
    ),
    (
        "prometheusRule.rules.MetricsPipelineDown.enabled=no",
        "at '/prometheusRule/rules/MetricsPipelineDown/enabled': got string, want boolean",
    ),
    (
        "prometheusRule.rules.MetricsPipelineDown.labels.on-call=a",
        r#"prometheusRule.rules.MetricsPipelineDown.labels: "on-call" is no name for Prometheus: letters, digits and _"#,
    ),
    (
        "prometheusRule.rules.MetricsPipelineDown.annotations.on-call=a",
        r#"prometheusRule.rules.MetricsPipelineDown.annotations: "on-call" is no name for Prometheus"#,
    ),
    (
        "prometheusRule.rules.MetricsPipelineDown.labels.step=a",
        "prometheusRule.rules.MetricsPipelineDown.labels.step: alertname, severity, step and cause are the rules' own",
    ),
    (
        "prometheusRule.additionalRuleLabels.severity=a",
        "prometheusRule.additionalRuleLabels.severity: alertname, severity, step and cause are the rules' own",
    ),
    (
        "prometheusRule.additionalAggregationLabels[0]=availability-zone",
        "at '/prometheusRule/additionalAggregationLabels/0': 'availability-zone' does not match pattern",
    ),
];

#[test]
fn a_wrong_value_is_refused_by_name() {
    let chart = helm::chart().display().to_string();
    for (set, told) in REFUSED {
        let error = helm::run(&["template", NAME, &chart, "--set", REGISTRY, "--set", set]).expect_err(set).to_string();
        assert!(error.contains(told), "--set {set} is refused with\n{error}");
    }
}
