module components/alertmanager-0.35.0

go 1.26.0

require github.com/prometheus/alertmanager v0.35.0
