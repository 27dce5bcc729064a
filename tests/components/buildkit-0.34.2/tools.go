//go:build tools

// Package components pins the commands that the test bed builds.
package components

import (
	_ "github.com/moby/buildkit/cmd/buildctl"
	_ "github.com/moby/buildkit/cmd/buildkitd"
)
