// Only the definitions of ServiceMonitor, PodMonitor and PrometheusRule are read from this module; nothing is built.
module components/prometheus-operator-0.85.0

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
