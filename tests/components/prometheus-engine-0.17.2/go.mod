// Only the definitions of PodMonitoring and ClusterRules of Google Managed Prometheus are read from this module; nothing is built.
module components/prometheus-engine-0.17.2

go 1.26.0

require github.com/GoogleCloudPlatform/prometheus-engine v0.17.2
