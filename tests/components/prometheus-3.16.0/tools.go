//go:build tools

// Package components pins the commands that the test bed builds.
package components

import (
	_ "github.com/prometheus/prometheus/cmd/promtool"
	_ "github.com/prometheus/prometheus/cmd/prometheus"
)
