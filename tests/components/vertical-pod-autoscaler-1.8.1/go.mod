// Only the definition of VerticalPodAutoscaler is read from this module; nothing is built.
module components/vertical-pod-autoscaler-1.8.1

go 1.26.0

require k8s.io/autoscaler/vertical-pod-autoscaler v1.8.1
