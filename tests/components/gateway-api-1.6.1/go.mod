// Only the definition of HTTPRoute is read from this module; nothing is built.
module components/gateway-api-1.6.1

go 1.26.0

require sigs.k8s.io/gateway-api v1.6.1
