//go:build tools

// Package components pins the commands that the test bed builds.
package components

import (
	_ "sigs.k8s.io/krew/cmd/krew"
	_ "sigs.k8s.io/krew/cmd/validate-krew-manifest"
)
