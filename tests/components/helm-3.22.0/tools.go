//go:build tools

// Package components pins the commands that the test bed builds.
package components

import (
	_ "helm.sh/helm/v3/cmd/helm"
)
