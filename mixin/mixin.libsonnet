// Rules and dashboards as a monitoring mixin: the files of alerts/ and dashboards/, with what differs from place to place
// changed. Nothing else is written here.
//
//   local doctor = (import 'metrics-server-doctor/mixin/mixin.libsonnet') + {
//     _config+:: { selector: 'job="doctor"', clusterLabel: 'k8s_cluster', runbookBase: 'https://doctor.example/runbooks' },
//   };
//   { 'rules.yaml': std.manifestYamlDoc(doctor.prometheusAlerts) }
{
  _config+:: {
    // Chooses the doctor's series.
    selector: 'job="metrics-server-doctor"',
    // The label that tells clusters apart.
    clusterLabel: 'cluster',
    // Where links to runbooks begin.
    runbookBase: 'docs/runbooks',
    // Where links to dashboards begin: the address of Grafana, with a slash at the end.
    dashboardBase: '',
  },

  local config = self._config,
  local label = config.clusterLabel,
  local replaced(text, pairs) = std.foldl(function(all, pair) std.strReplace(all, pair[0], pair[1]), pairs, text),

  // Every place where rules name the label: lists of labels, matchers of queries in texts, and texts themselves.
  local in_rules = [
    ['job="metrics-server-doctor"', config.selector],
    ['(cluster)', '(' + label + ')'],
    ['(cluster, ', '(' + label + ', '],
    ['cluster=%q', label + '=%q'],
    ['$labels.cluster', '$labels.' + label],
    ['runbook_url: docs/runbooks', 'runbook_url: ' + config.runbookBase],
    ['dashboard_url: d/', 'dashboard_url: ' + config.dashboardBase + 'd/'],
  ],
  local rules(text) = std.parseYaml(replaced(text, in_rules)).groups,
  local alerting(group) = std.all([std.objectHas(rule, 'alert') for rule in group.rules]),
  local groups = std.flatMap(rules, [
    importstr '../alerts/apiservice.yaml',
    importstr '../alerts/connection_refused.yaml',
    importstr '../alerts/doctor.yaml',
    importstr '../alerts/forbidden.yaml',
    importstr '../alerts/hpa.yaml',
    importstr '../alerts/installed.yaml',
    importstr '../alerts/known_issues.yaml',
    importstr '../alerts/logs.yaml',
    importstr '../alerts/other_reasons.yaml',
    importstr '../alerts/pipeline.yaml',
    importstr '../alerts/recording.yaml',
    importstr '../alerts/retrieve.yaml',
    importstr '../alerts/timeout.yaml',
  ]),

  prometheusAlerts+:: { groups: std.filter(alerting, groups) },
  prometheusRules+:: { groups: std.filter(function(group) !alerting(group), groups) },

  // Panels select by variables `cluster` and `job`; the label behind the first is what is changed.
  local in_dashboards = [
    ['cluster=~\\"$cluster\\"', label + '=~\\"$cluster\\"'],
    ['(cluster)', '(' + label + ')'],
    ['(cluster, ', '(' + label + ', '],
    [', cluster)', ', ' + label + ')'],
    ['{{cluster}}', '{{' + label + '}}'],
    ['"docs/runbooks"', '"' + config.runbookBase + '"'],
  ],
  local dashboard(text) = std.parseJson(replaced(text, in_dashboards)),
  grafanaDashboards+:: {
    'metrics-server-doctor-detail.json': dashboard(importstr '../dashboards/metrics-server-doctor-detail.json'),
    'metrics-server-doctor-fleet.json': dashboard(importstr '../dashboards/metrics-server-doctor-fleet.json'),
    'metrics-server-doctor-hpa.json': dashboard(importstr '../dashboards/metrics-server-doctor-hpa.json'),
    'metrics-server-doctor-overview.json': dashboard(importstr '../dashboards/metrics-server-doctor-overview.json'),
  },
}
