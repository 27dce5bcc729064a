//go:build tools

// Package components pins the commands that the test bed builds.
package components

import (
	_ "helm.sh/helm/v4/cmd/helm"
)
