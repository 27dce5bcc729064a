//go:build tools

// Package components pins the commands that the test bed builds.
package components

import _ "github.com/google/go-jsonnet/cmd/jsonnet"
